from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archsmith.data.batches import balanced, batches, shuffled


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(st.lists(st.integers(0, 12), min_size=1, max_size=40), st.integers(2, 6), st.integers(8, 32))
@settings(max_examples=60, deadline=None)
def test_balanced_batches_hold_groups_of_a_class(counts: list[int], each: int, size: int) -> None:
    targets = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    index = torch.arange(len(targets))
    found = balanced(index, targets, size, each, generator())
    drawn = torch.cat(found) if found else torch.empty(0, dtype=torch.int64)
    assert len(drawn.unique()) == len(drawn)  # nothing twice
    used = torch.bincount(targets[drawn], minlength=len(counts)).tolist()
    for count, taken in zip(counts, used, strict=True):
        if count >= each:
            assert taken == count // each * each
        else:
            assert taken == (count if count >= 2 else 0)
    for chunk in found:
        assert (torch.bincount(targets[chunk])[targets[chunk]] >= 2).all()
    # How many steps there are does not depend on the generator.
    again = balanced(index, targets, size, each, generator(1))
    assert len(again) == len(found)


def test_classes_of_a_batch_differ_while_there_are_enough() -> None:
    targets = torch.arange(60).repeat(8)
    found = balanced(torch.arange(480), targets, 80, 4, generator())
    assert [len(chunk) for chunk in found] == [80] * 6
    for chunk in found:
        assert torch.bincount(targets[chunk]).max() == 4
    other = balanced(torch.arange(480), targets, 80, 4, generator(1))
    assert not torch.equal(found[0], other[0])
    same = balanced(torch.arange(480), targets, 80, 4, generator())
    assert all(torch.equal(a, b) for a, b in zip(found, same, strict=True))


def test_only_the_given_indices_are_drawn() -> None:
    targets = torch.arange(10).repeat(6)
    index = torch.arange(0, 60, 2)
    drawn = torch.cat(balanced(index, targets, 12, 3, generator()))
    assert set(drawn.tolist()) == set(index.tolist())


def test_a_last_group_alone_joins_the_batch_before() -> None:
    targets = torch.arange(5).repeat_interleave(4)
    found = balanced(torch.arange(20), targets, 8, 4, generator())
    assert [len(chunk) for chunk in found] == [8, 12]


def test_shuffled_batches_hold_every_index_once() -> None:
    index = torch.arange(10, 31)
    found = shuffled(index, 5, generator())
    assert torch.equal(torch.cat(found).sort().values, index)
    assert [len(chunk) for chunk in found] == [5, 5, 5, 6] == [len(c) for c in batches(index, 5)]
