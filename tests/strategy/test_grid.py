"""Grid search: every architecture once, in an order that stands still."""

from __future__ import annotations

import itertools
import math
import random
import time

import pytest
from torch import nn

import archsmith as nas
from archsmith.history.objective import Objective
from archsmith.history.trial import History, State, Trial
from archsmith.space.decision import Integer, Real
from archsmith.space.listed import ListedSpace
from archsmith.strategy.grid import GridSearch, grid, points
from archsmith.testing.strategy import StrategyContract, flat, nested

ACCURACY = (Objective("accuracy", "maximize"),)


class TestGrid(StrategyContract):
    make = staticmethod(GridSearch)
    seeded = better = False


def run(space: nas.Space, strategy: nas.Strategy, trials: int = 10_000) -> History:
    history = History(ACCURACY, key=space.canonical)
    for number in range(trials):
        proposal = strategy.propose(space, history, random.Random(number))
        if proposal is None:
            break
        history.add(Trial(number, proposal.architecture))
    return history


def test_all_of_a_flat_space_in_order():
    found = [t.architecture for t in run(nas.Space(flat), GridSearch()).trials]
    assert [tuple(a.values()) for a in found] == list(itertools.product(range(5), repeat=3))


def test_all_of_a_conditional_space():
    space = nas.Space(nested)
    found = [t.architecture for t in run(space, GridSearch()).trials]
    assert set(found) == set(space.enumerate())
    assert len(found) == len(set(found)) == space.size().count


def test_the_optimum_is_found_when_the_budget_covers_the_space():
    space = nas.Space(flat)
    best = max(space.enumerate(), key=lambda a: a.id)
    assert best in [t.architecture for t in run(space, GridSearch(), 125).trials]


def ranges() -> nn.Module:
    nas.real("rate", 1e-4, 1.0, log=True)
    nas.real("share", 0, 1)
    nas.integer("width", 10, 1000, log=True)
    nas.integer("few", 1, 3)
    return nn.Identity()


def test_ranges_are_cut_into_levels_on_their_scale():
    found = [t.architecture for t in run(nas.Space(ranges), GridSearch(levels=3)).trials]
    assert len(found) == 3 * 3 * 3 * 3
    rates = sorted({a["rate"] for a in found})
    assert rates == pytest.approx([1e-4, 1e-2, 1.0])
    assert {a["share"] for a in found} == {0.0, 0.5, 1.0}
    assert {a["width"] for a in found} == {10, 100, 1000}
    assert {a["few"] for a in found} == {1, 2, 3}


def test_points_of_long_ranges_are_answers():
    stepped = Integer("n", 8, low=8, high=1000, step=7)
    got = list(points(stepped, 6))
    assert len(got) == 6
    assert all(stepped.accepts(n) for n in got)
    assert got[0] == 8
    assert got[-1] == 8 + 7 * ((1000 - 8) // 7)
    narrow = Real("x", 1.0, low=1.0, high=1.0)
    assert list(points(narrow, 4)) == [1.0]
    assert all(
        Real("r", 0.3, low=0.1, high=0.3, log=True).accepts(v)
        for v in points(Real("r", 0.3, low=0.1, high=0.3, log=True), 7)
    )


def same_either_way() -> nn.Module:
    for name in "abc":
        nas.choose(name, [0, 1, 2])
    return nn.Identity()


def test_a_graph_comes_once():
    marked = nas.space.graph_form(lambda a: "".join(sorted(map(str, a.values()))))(same_either_way)
    found = run(nas.Space(marked), GridSearch()).trials
    assert len(found) == math.comb(3 + 3 - 1, 3)


def test_what_the_builder_refuses_is_left_out():
    found = [tuple(t.architecture.values()) for t in run(nas.Space(one_wrong), GridSearch()).trials]
    assert sorted(found) == [(1, 1), (1, 2), (2, 1)]


def one_wrong() -> nn.Module:
    a, b = nas.choose("a", [1, 2]), nas.choose("b", [1, 2])
    if a == b == 2:
        raise ValueError("not both 2")
    return nn.Identity()


def chain(depth: int = 0) -> nn.Module:
    if nas.choose("more" * (depth + 1), [False, True]):
        return chain(depth + 1)
    return nn.Identity()


def test_a_space_without_a_bound_goes_on():
    found = run(nas.Space(chain), GridSearch(), 60).trials
    assert len({t.architecture for t in found}) == 60


def test_a_restricted_space():
    space = nas.Space(flat)
    listed = [space.sample(random.Random(i)) for i in range(20)]
    listed = list(dict.fromkeys(listed))
    part = ListedSpace(space, listed, "a few")
    assert {t.architecture for t in run(part, GridSearch()).trials} == set(listed)


def test_a_proposal_does_not_start_from_the_beginning():
    def many() -> nn.Module:
        for place in range(8):
            nas.choose(f"c{place}", list(range(5)))
        return nn.Identity()

    space, strategy = nas.Space(many), GridSearch()
    history = run(space, strategy, 2000)
    began = time.process_time()
    for number in range(2000, 2200):
        proposal = strategy.propose(space, history, random.Random(0))
        assert proposal is not None
        history.add(Trial(number, proposal.architecture, state=State.RUNNING))
    assert (time.process_time() - began) / 200 < 0.002
    again = GridSearch().propose(space, history, random.Random(0))
    assert again == strategy.propose(space, history, random.Random(0))


def test_an_empty_grid_says_why():
    def broken() -> nn.Module:
        nas.choose("a", [1, 2])
        raise ValueError("never")

    with pytest.raises(nas.SpaceError, match="never"):
        next(grid(nas.Space(broken), 3))


def test_one_level_is_refused():
    with pytest.raises(nas.InputError, match="2 levels"):
        GridSearch(levels=1)


def test_levels_beyond_a_range_are_all_of_it():
    wide = Integer("n", 5, low=5, high=4000, step=40, log=True)
    assert list(points(wide, 100)) == list(wide.answers())


def test_a_grid_that_keeps_spelling_the_same_graph_is_left():
    def few() -> nn.Module:
        nas.choose("a", [0, 1, 2])
        for place in range(12):
            nas.choose(f"x{place}", [0, 1, 2, 3])
        return nn.Identity()

    space = nas.Space(nas.space.graph_form(lambda a: str(a["a"]))(few))
    history = run(space, GridSearch())
    assert sorted(t.architecture["a"] for t in history.trials) == [0, 1, 2]
    again, first = History(ACCURACY, key=space.canonical), history.trials[0].architecture
    again.add(Trial(0, first))
    goes_on = GridSearch().propose(space, again, random.Random(1))
    assert goes_on.architecture == history.trials[1].architecture, "a resumed one does the same"
