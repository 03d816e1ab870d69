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


def test_classes_of_a_group_come_together() -> None:
    targets = torch.arange(60).repeat(8)
    groups = torch.arange(60) % 3  # of twenty classes each
    for together, most in ((1.0, 1), (0.0, 3)):
        found = balanced(torch.arange(480), targets, 80, 4, generator(), groups, together)
        assert [len(chunk) for chunk in found] == [80] * 6
        assert {len(groups[targets[chunk]].unique()) for chunk in found} == {most}
        assert sorted(torch.cat(found).tolist()) == list(range(480))
    # Every round has all groups, each in an order by luck.
    found = balanced(torch.arange(480), targets, 80, 4, generator(), groups, 1.0)
    order = [int(groups[targets[chunk[0]]]) for chunk in found]
    assert sorted(order[:3]) == sorted(order[3:]) == [0, 1, 2]


def test_some_rounds_bring_groups_together() -> None:
    targets = torch.arange(40).repeat(400)
    found = balanced(
        torch.arange(16000), targets, 80, 4, generator(), torch.arange(40) % 2, together=0.3
    )
    alone = sum(len((targets[chunk] % 2).unique()) == 1 for chunk in found)
    assert 0.2 < alone / len(found) < 0.4


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
