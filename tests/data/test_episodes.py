"""Episodes: who is drawn, how evenly, and what is refused."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsmith._support.errors import DataError, InputError
from archsmith.data.episodes import Episodes, one_drawer_each, without_replacement


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_an_episode_is_what_it_says(data):
    ways = data.draw(st.integers(2, 5))
    shots, queries = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4))
    sizes = data.draw(st.lists(st.integers(shots + queries, 12), min_size=ways, max_size=9))
    labels = np.repeat(np.arange(len(sizes)) * 3, sizes)
    labels = labels[data.draw(st.permutations(range(len(labels))))]
    seed = data.draw(st.integers(0, 2**32 - 1))
    support, query = Episodes(labels, ways, shots, queries).draw(7, seed)
    assert support.shape == (7, ways, shots)
    assert query.shape == (7, ways, queries)
    for some, asked in zip(support, query):
        together = np.concatenate([some, asked], axis=1)
        assert len(np.unique(together)) == together.size
        assert (labels[together] == labels[together][:, :1]).all()
        assert len(np.unique(labels[together])) == ways
    again = Episodes(labels, ways, shots, queries).draw(7, seed)
    assert (again[0] == support).all()
    assert (again[1] == query).all()


def test_a_generator_goes_on():
    labels = np.repeat(np.arange(6), 10)
    rng = np.random.default_rng(0)
    one, two = (Episodes(labels, 3, 1, 2).draw(20, rng)[0] for _ in range(2))
    assert (one != two).any()


def test_groups_give_all_classes_of_an_episode():
    labels = np.repeat([f"{g}/{c}" for g, n in (("a", 5), ("b", 9)) for c in range(n)], 4)
    groups = np.array([label[0] for label in labels])
    support, query = Episodes(labels, 4, 1, 3, groups=groups).draw(500, 1)
    drawn = groups[np.concatenate([support, query], axis=2)].reshape(500, -1)
    assert (drawn == drawn[:, :1]).all()
    assert abs((drawn[:, 0] == "a").mean() - 0.5) < 0.08  # groups evenly, whatever their size


def test_every_example_has_the_same_chance():
    labels = np.repeat([0, 1, 2, 3], [3, 6, 6, 9])
    support, _ = Episodes(labels, 2, 2, 1).draw(20_000, 0)
    counts = np.bincount(support.reshape(-1), minlength=24)
    expected = 20_000 * (2 / 4) * 2 / np.array([3, 6, 6, 9])[labels]
    assert np.abs(counts / expected - 1).max() < 0.06


def test_draws_without_replacement_are_uniform_over_orders():
    drawn = without_replacement(np.random.default_rng(0), np.full(60_000, 4), 2)
    counts = np.bincount(4 * drawn[:, 0] + drawn[:, 1], minlength=16).reshape(4, 4)
    assert (counts.diagonal() == 0).all()
    off = counts[~np.eye(4, dtype=bool)]
    assert np.abs(off / 5000 - 1).max() < 0.06


def test_a_thousand_episodes_take_no_time():
    episodes = Episodes(np.repeat(np.arange(1000), 600))
    began = time.process_time()
    episodes.draw(1000, 0)
    assert time.process_time() - began < 0.2


def test_a_small_class_is_named():
    labels = np.repeat(["ant", "bee", "cow"], [16, 9, 16])
    with pytest.raises(DataError, match="'bee' has 9"):
        Episodes(labels, 2, 1, 15)
    with pytest.raises(DataError, match="'second' has 9"):
        Episodes(labels, 2, 1, 15, names=["first", "second", "third"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ways": 1}, "ways: expected 2 or more, got 1"),
        ({"shots": 0}, "shots: expected 1 or more, got 0"),
        ({"queries": 0}, "queries: expected 1 or more, got 0"),
        ({"ways": 5}, "at least 5 classes for episodes of 5 ways, got 4"),
        ({"groups": ["g"] * 30 + ["h"] * 50, "ways": 2}, "class '1': .* one group, got g and h"),
        ({"groups": ["g"] * 20 + ["h"] * 60, "ways": 2}, "group g: expected at least 2 classes"),
        ({"groups": ["g"], "ways": 2}, "groups: expected one for each of 80 examples"),
        ({"names": ["a"], "ways": 2}, "names: expected one for each class"),
    ],
)
def test_what_cannot_be_drawn_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        Episodes(np.repeat(np.arange(4), 20), **{"ways": 2, **arguments})


def test_labels_are_one_for_each_example():
    with pytest.raises(DataError, match="labels"):
        Episodes(np.zeros((4, 2), int))
    with pytest.raises(InputError, match="1 or more"):
        Episodes(np.repeat(np.arange(4), 20), 2).draw(0, 0)


def alphabets() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two alphabets of 6 and 4 letters, drawn by five people each once, in random order."""
    rows = [(f"{a}{c}", d, a) for a, n in (("x", 6), ("y", 4)) for c in range(n) for d in range(5)]
    order = np.random.default_rng(3).permutation(len(rows))
    labels, drawers, groups = (np.array(column)[order] for column in zip(*rows))
    return labels, drawers, groups


def test_one_drawer_teaches_and_another_asks():
    labels, drawers, groups = alphabets()
    support, query = one_drawer_each(labels, drawers, groups, ways=4, count=30, rng=5)
    assert support.shape == query.shape == (60, 4, 1)
    assert (labels[support] == labels[query]).all()
    for some, asked, group in zip(support, query, ["x"] * 30 + ["y"] * 30):
        assert len(set(labels[some.ravel()])) == 4
        assert len(set(drawers[some.ravel()])) == len(set(drawers[asked.ravel()])) == 1
        assert drawers[some[0, 0]] != drawers[asked[0, 0]]
        assert set(groups[some.ravel()]) == {group}
    again = one_drawer_each(labels, drawers, groups, ways=4, count=30, rng=5)
    assert (again[0] == support).all()
    pairs = {(drawers[s[0, 0]], drawers[q[0, 0]]) for s, q in zip(support, query)}
    assert len(pairs) > 12  # of 20


def test_drawers_who_left_something_out_do_not_teach():
    labels, drawers, groups = alphabets()
    kept = ~((labels == "y2") & np.isin(drawers, [0, 3]))
    support, query = one_drawer_each(labels[kept], drawers[kept], groups[kept], ways=3, count=50)
    assert set(drawers[kept][support[50:]].ravel()) == {1, 2, 4}
    assert set(drawers[kept][query[50:]].ravel()) == {1, 2, 4}


def test_an_alphabet_that_is_too_small_is_named():
    labels, drawers, groups = alphabets()
    with pytest.raises(DataError, match=r"group y: .* got 4 classes and 5 such drawers"):
        one_drawer_each(labels, drawers, groups, ways=5)
    alone = drawers == 2
    with pytest.raises(DataError, match=r"group x: .* 1 such drawers"):
        one_drawer_each(labels[alone], drawers[alone], groups[alone], ways=3)
    with pytest.raises(InputError, match="2 ways"):
        one_drawer_each(labels, drawers, groups, ways=1)
