"""Splits hand out the examples that are asked for, each with its own target."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

import archsmith as nas
from archsmith._support.trees import leaves
from archsmith.data.partition import strata
from archsmith.data.splits import TensorSplit


def split(count: int = 10) -> TensorSplit:
    numbers = torch.arange(count)
    boxes = numbers[:, None, None] + torch.zeros(count, 3, 4)
    return TensorSplit(
        {"image": numbers[:, None].float(), "size": numbers},
        {"boxes": boxes, "count": numbers % 4},
    )


def digest(given: TensorSplit) -> str:
    found = hashlib.sha256()
    given.update(found)
    return found.hexdigest()


def test_batches_come_in_the_order_asked_for():
    order = [torch.tensor([3, 1]), torch.tensor([9]), torch.tensor([], dtype=torch.int64)]
    batches = list(split().batches(order))
    assert [batch.inputs["size"].tolist() for batch in batches] == [[3, 1], [9], []]
    assert [batch.targets["boxes"][:, 0, 0].tolist() for batch in batches] == [[3, 1], [9], []]


def test_all_of_it_and_its_head():
    given = split()
    assert len(given) == 10
    sizes = [len(batch.inputs["size"]) for batch in given.chunks(4)]
    assert sizes == [4, 4, 2]
    assert given.head(3).inputs["size"].tolist() == [0, 1, 2]
    assert len(given.head(99).inputs["size"]) == 10


def test_strata_are_those_of_the_labels():
    labels = torch.tensor([0, 1, 1, 0, 2])
    given = TensorSplit(torch.zeros(5, 1), labels)
    assert np.array_equal(given.strata(), strata(labels.numpy()))
    assert np.array_equal(split().strata(), np.zeros(10))
    assert split().labels is None


def test_the_digest_sees_every_tensor():
    whole = digest(split())
    assert whole == digest(split())
    for place in range(4):
        changed = split()
        tensor = list(leaves((changed.inputs, changed.targets)))[place]
        tensor[-1] += 1
        assert digest(changed) != whole


def test_a_split_on_a_device_has_its_tensors_there():
    there = split().to("meta")
    assert all(tensor.device.type == "meta" for tensor in leaves(there.head(2)))


def test_the_old_name_still_works():
    with pytest.warns(DeprecationWarning, match="TensorSplit"):
        assert nas.Part is nas.TensorSplit
