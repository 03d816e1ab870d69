from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsmith._support.errors import DataError
from archsmith.data.partition import split, split_by_group, split_by_order, strata, subset
from archsmith.data.raw import TEST, TRAIN


def test_split_is_stratified_disjoint_and_complete() -> None:
    labels = np.repeat([0, 1, 2], [100, 50, 10])
    train, validation, test = split(labels, np.zeros(160, np.int8), 0.2, 0.1, 0, "x")
    assert np.bincount(train).max() == 1
    assert sorted([*train, *validation, *test]) == list(range(160))
    assert np.bincount(labels[validation]).tolist() == [20, 10, 2]
    assert np.bincount(labels[test]).tolist() == [10, 5, 1]


def test_split_depends_on_the_seed_alone() -> None:
    labels, parts = np.arange(100) % 2, np.zeros(100, np.int8)
    first, again, other = (split(labels, parts, 0.2, 0.2, seed, "x") for seed in (3, 3, 4))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert (first[2] != other[2]).any()
    # Recorded once. A run of another version must split the same, or its test part leaks.
    assert first[2][:5].tolist() == [7, 12, 13, 18, 24]


def test_parts_of_the_source_are_kept() -> None:
    parts = np.array([TRAIN] * 20 + [TEST] * 7, np.int8)
    train, validation, test = split(np.arange(27) % 2, parts, 0.2, 0.2, 0, "x")
    assert test.tolist() == list(range(20, 27))
    assert len(validation) == 4
    assert len(train) == 16


def test_a_tiny_class_stays_in_training() -> None:
    labels = np.array([0] * 20 + [1] * 2)
    train, validation, test = split(labels, np.zeros(22, np.int8), 0.2, 0.2, 0, "x")
    assert {20, 21} <= set(train.tolist())
    assert (labels[[*validation, *test]] == 0).all()


@pytest.mark.parametrize(("validation", "test"), [(0.6, 0.5), (0.0, 0.2), (0.2, -0.1)])
def test_shares_that_make_no_sense_are_refused(validation: float, test: float) -> None:
    with pytest.raises(DataError, match="shares"):
        split(np.zeros(50, np.int64), np.zeros(50, np.int8), validation, test, 0, "x")


def test_too_few_examples_are_refused() -> None:
    with pytest.raises(DataError, match="enough examples for a validation part"):
        split(np.array([0, 1, 0, 1]), np.zeros(4, np.int8), 0.2, 0.2, 0, "x")


def test_strata_of_values_are_their_deciles() -> None:
    values = np.random.RandomState(0).permutation(100).astype(np.float32)
    assert (strata(values) == values // 10).all()
    assert strata(np.array([4, 2])).tolist() == [4, 2]


def test_subset_is_in_proportion_and_fixed() -> None:
    groups = np.repeat([0, 1, 2], [100, 50, 2])
    chosen = subset(groups, 0.1, 7)
    assert np.bincount(groups[chosen]).tolist() == [10, 5, 1]
    assert (chosen == subset(groups, 0.1, 7)).all()
    assert (chosen != subset(groups, 0.1, 8)).any()
    assert len(subset(groups, 1.0, 0)) == 152


@given(
    st.lists(st.integers(0, 12), min_size=20, max_size=120).filter(lambda g: len(set(g)) >= 5),
    st.integers(0, 5),
)
def test_groups_stay_together(owners, seed):
    parts = np.zeros(len(owners), dtype=np.int8)
    found = split_by_group(np.array(owners), parts, 0.2, 0.2, seed, "x")
    assert sorted(np.concatenate(found).tolist()) == list(range(len(owners)))
    seen = [{owners[i] for i in index.tolist()} for index in found]
    assert not seen[0] & seen[1]
    assert not seen[0] & seen[2]
    assert not seen[1] & seen[2]
    again = split_by_group(np.array(owners), parts, 0.2, 0.2, seed, "x")
    assert all(np.array_equal(a, b) for a, b in zip(found, again, strict=True))


def test_groups_of_equal_size_give_the_shares():
    owners = np.repeat(np.arange(50), 4)
    sizes = [len(i) for i in split_by_group(owners, np.zeros(200, np.int8), 0.2, 0.1, 0, "x")]
    assert sizes == [140, 40, 20]


@pytest.mark.slow
@given(st.lists(st.integers(0, 30), min_size=30, max_size=120).filter(lambda t: len(set(t)) >= 15))
def test_nothing_of_the_future_is_learned_from(times):
    ranks = np.array(times)
    train, validation, test = split_by_order(ranks, np.zeros(len(times), np.int8), 0.2, 0.2, "x")
    assert ranks[train].max() < ranks[validation].min()
    assert ranks[validation].max() < ranks[test].min()
    assert len(train) + len(validation) + len(test) == len(times)


def test_too_few_groups_and_times_are_told():
    parts = np.zeros(20, np.int8)
    with pytest.raises(DataError, match="enough groups for a"):
        split_by_group(np.array([0, 1] * 10), parts, 0.2, 0.2, 0, "x")
    with pytest.raises(DataError, match="enough different times"):
        split_by_order(np.array([0, 1] * 10), parts, 0.2, 0.2, "x")
    brought = np.array([0] * 10 + [2] * 10, dtype=np.int8)
    with pytest.raises(DataError, match="each group in one part"):
        split_by_group(np.array([0, 1] * 10), brought, 0.2, 0.2, 0, "x")
