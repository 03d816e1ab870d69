"""The contract suite of an export format: what an export relies on.

Test your own format in one line::

    class TestMine(ExportFormatContract):
        make = staticmethod(lambda: MyFormat())
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from .._support.trees import Tree, leaves, take
from ..export.format import ExportFormat
from ..export.parity import compare
from ..export.programs import live
from ..task.base import Signature


class Two(nn.Module):
    """Takes two inputs and gives two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(3, 4), nn.Linear(2, 4)

    def forward(self, a: Tensor, b: Tensor) -> dict[str, Tensor]:
        both = self.left(a) + self.right(b)
        return {"sum": both, "chance": both.softmax(-1)}


class ExportFormatContract:
    """Tests of an export format. They are skipped, with its reason, if it cannot be written."""

    @staticmethod
    def make() -> ExportFormat:
        """The format to test."""
        raise NotImplementedError("a subclass says how to make its format")

    @pytest.fixture
    def format(self) -> ExportFormat:
        format_ = self.make()
        if reason := format_.missing():
            pytest.skip(reason)
        return format_

    def agree(self, format_: ExportFormat, model: nn.Module, inputs: Tree, folder: Path) -> None:
        """Assert that the file read back computes what the model does, in all batch sizes."""
        path = folder / format_.file
        model.eval()
        example = take(inputs, slice(2))
        format_.write(model, Signature(example, "inputs", "outputs", "for a test"), path)
        assert path.is_file()
        written = {entry.name for entry in folder.iterdir()}
        assert written <= {format_.file, *format_.beside}
        sizes = [inputs, take(inputs, slice(3)), take(inputs, slice(1))]
        assert compare(format_.file, live(model), format_.read(path), sizes).ok

    def test_it_has_a_name_and_a_file(self) -> None:
        format_ = self.make()
        assert format_.name.isidentifier()
        assert Path(format_.file).name == format_.file
        assert type(format_).__doc__

    def test_what_stands_in_the_way_is_told_before_any_work(self) -> None:
        format_ = self.make()
        if format_.missing():
            with pytest.raises(Exception, match=r"."):
                format_.expect()
        else:
            format_.expect()

    def test_one_input_and_one_output(self, format: ExportFormat, tmp_path: Path) -> None:
        torch.manual_seed(0)
        layers = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout()
        model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(4 * 36, 5), nn.Softmax(-1))
        self.agree(format, model, torch.rand(7, 3, 6, 6), tmp_path)

    def test_several_inputs_and_outputs(self, format: ExportFormat, tmp_path: Path) -> None:
        torch.manual_seed(0)
        self.agree(format, Two(), (torch.rand(7, 3), torch.rand(7, 2)), tmp_path)

    def test_indices_go_in_as_they_are(self, format: ExportFormat, tmp_path: Path) -> None:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Embedding(10, 4), nn.Flatten(), nn.Linear(20, 3))
        self.agree(format, model, torch.randint(10, (7, 5)), tmp_path)

    def test_the_card_says_how_to_load_it(self) -> None:
        format_ = self.make()
        words = {"torch": "TORCH", "numpy": "NUMPY", "call": "", "fed": "FED", "one": ""}
        text = format_.loading(words)
        assert not text or format_.file in text

    def test_reading_changes_no_input(self, format: ExportFormat, tmp_path: Path) -> None:
        model, inputs = nn.ReLU(inplace=True), torch.randn(4, 3)
        path = tmp_path / format.file
        format.write(model, Signature(inputs[:2], "inputs", "outputs", ""), path)
        before = inputs.clone()
        format.read(path)(inputs)
        assert all(torch.equal(a, b) for a, b in zip(leaves(inputs), leaves(before), strict=True))
