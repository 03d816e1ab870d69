"""Data sets of torch as splits: the same examples as in memory, in the order asked for."""

from __future__ import annotations

import hashlib
import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from archsmith._support.errors import DataError, InputError
from archsmith.data.dataset import DatasetSplit


class Squares(Dataset):
    """Numbers and their squares; a list of reads."""

    def __init__(self, count: int = 10, shift: int = 0) -> None:
        self.count, self.shift = count, shift
        self.targets = [n % 3 for n in range(count)]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, place: int):
        value = float(place + self.shift)
        return {"x": torch.tensor([value]), "y": np.float32(value * value)}, place % 3


class Ragged(Squares):
    """A sentence of each length."""

    def __getitem__(self, place: int):
        return torch.arange(place + 1), place


def padded(examples):
    lengths = torch.tensor([len(tokens) for tokens, _ in examples])
    tokens = torch.zeros(len(examples), int(lengths.max()), dtype=torch.int64)
    for row, (given, _) in zip(tokens, examples, strict=True):
        row[: len(given)] = given
    return (tokens, lengths), torch.tensor([target for _, target in examples])


def digest(split: DatasetSplit) -> str:
    found = hashlib.sha256()
    split.update(found)
    return found.hexdigest()


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_come_in_the_order_asked_for(workers):
    split = DatasetSplit(Squares(), workers=workers)
    order = [torch.tensor([7, 2, 2]), torch.tensor([0]), torch.tensor([9, 8])]
    for _ in range(2):  # workers stay for the next epoch
        batches = list(split.batches(order))
        assert [batch.inputs["y"].tolist() for batch in batches] == [[49, 4, 4], [0], [81, 64]]
        assert [batch.targets.tolist() for batch in batches] == [[1, 2, 2], [0], [0, 2]]
        order.reverse()
        assert split.take(torch.tensor([3])).inputs["x"].tolist() == [[3.0]]
        order.reverse()


def test_ragged_examples_are_padded_by_the_collate_function():
    batch = DatasetSplit(Ragged(), padded).take(torch.tensor([0, 3]))
    tokens, lengths = batch.inputs
    assert tokens.tolist() == [[0, 0, 0, 0], [0, 1, 2, 3]]
    assert lengths.tolist() == [1, 4]


def test_labels_are_found_or_given_and_counted():
    assert DatasetSplit(Squares()).labels.tolist() == [n % 3 for n in range(10)]
    given = DatasetSplit(Squares(), labels=np.arange(10) % 2)
    assert np.array_equal(given.strata(), np.arange(10) % 2)
    with pytest.raises(InputError, match="one for each of 10"):
        DatasetSplit(Squares(), labels=[1, 2])
    with pytest.raises(InputError, match="one number for each"):
        DatasetSplit(Squares(), labels=np.ones((10, 2)))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (iter([1]), "__getitem__ and __len__"),
        ([], "expected examples"),
        ([(1.0, 2.0, 3.0)] * 4, "pairs of inputs and targets"),
        ([(torch.ones(3), None)] * 2, "default_collate|NoneType"),
    ],
)
def test_what_gives_no_pairs_is_told_at_once(wrong, told):
    with pytest.raises((InputError, DataError, TypeError), match=told):
        DatasetSplit(wrong)


def test_the_digest_tells_data_sets_apart():
    assert digest(DatasetSplit(Squares())) == digest(DatasetSplit(Squares()))
    others = [Squares(11), Squares(shift=1)]
    assert len({digest(DatasetSplit(each)) for each in (Squares(), *others)}) == 3
    other = DatasetSplit(Squares(), labels=np.zeros(10, np.int64))
    assert digest(other) != digest(DatasetSplit(Squares()))


def test_it_travels_to_other_processes_without_its_workers():
    split = DatasetSplit(Squares(), workers=1)
    list(split.batches([torch.tensor([1])]))
    again = pickle.loads(pickle.dumps(split))
    assert again.take(torch.tensor([2])).inputs["y"].tolist() == [4.0]
