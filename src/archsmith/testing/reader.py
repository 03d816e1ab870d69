"""The contract suite of a reader: what a task reads from a source.

Test your own reader on files that the test writes::

    class TestMine(ReaderContract):
        task = MyTask()

        def write(self, folder):
            path = folder / "data.npz"
            np.savez(path, ...)
            return path
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from .._support.errors import DataError, InputError
from .._support.trees import count_examples, leaves, shapes
from ..data.splits import Split
from ..task.base import Data, ReadOptions, Task


class ReaderContract:
    """Subclass it, name the subclass ``Test…``, set ``task`` and write a source.

    Attributes:
        task: the task that reads the source.
        options: how to read it.
    """

    task: ClassVar[Task]
    options: ClassVar[ReadOptions] = ReadOptions()

    def write(self, folder: Path) -> Path | str:
        """Write a small source into the folder; its path, or the name of a data set."""
        raise NotImplementedError("a subclass writes a source")

    @pytest.fixture
    def source(self, tmp_path: Path) -> str:
        return str(self.write(tmp_path))

    @pytest.fixture
    def data(self, source: str) -> Data:
        return self.task.read(source, self.options)

    def parts(self, data: Data) -> dict[str, Split]:
        """The parts by name."""
        return {"train": data.train, "validation": data.validation, "test": data.test}

    def test_there_is_something_in_each_part(self, data: Data) -> None:
        for name, part in self.parts(data).items():
            assert len(part) > 0, name

    def test_examples_are_of_one_kind(self, data: Data) -> None:
        kinds = {shapes(part.head(1).inputs) for part in self.parts(data).values()}
        assert len(kinds) == 1

    def test_inputs_and_targets_belong_together(self, data: Data) -> None:
        for part in self.parts(data).values():
            batch = part.head(3)
            count = min(3, len(part))
            assert count_examples(batch.inputs) == count
            assert count_examples(batch.targets) == count

    def test_numbers_are_finite(self, data: Data) -> None:
        for part in self.parts(data).values():
            for tensor in leaves(tuple(part.head(len(part)))):
                assert not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())

    def test_the_same_options_read_the_same(self, source: str, data: Data) -> None:
        again = self.task.read(source, self.options)
        assert again.digest() == data.digest()
        assert again.facts == data.facts

    def test_facts_are_json(self, data: Data) -> None:
        assert json.loads(json.dumps(data.facts)) == data.facts

    def test_it_says_what_it_understood(self, data: Data) -> None:
        assert data.summary
        assert all(isinstance(line, str) and line for line in data.summary)

    def test_it_says_whose_data_it_is(self, source: str, data: Data) -> None:
        assert data.name
        assert data.task == self.task.name
        assert data.source

    def test_nothing_there_is_told(self, tmp_path: Path) -> None:
        with pytest.raises((DataError, InputError)):
            self.task.read(str(tmp_path / "nothing.here"), self.options)

    def test_bytes_that_are_none_of_its_files_are_told(self, tmp_path: Path) -> None:
        for end in (".npz", ".csv", ".parquet", ".txt"):
            path = tmp_path / f"damaged{end}"
            path.write_bytes(b"\x00\xff not a file of anybody\n" * 20)
            with pytest.raises((DataError, InputError)):
                self.task.read(str(path), self.options)
