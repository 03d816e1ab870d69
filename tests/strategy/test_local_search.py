"""Local search: climbs, restarts, parallel neighbours, Pareto local search."""

from __future__ import annotations

import itertools
import os
import random
import time
from functools import partial
from pathlib import Path

import pytest
from torch import nn

import archsmith as nas
from archsmith.history.objective import hypervolume
from archsmith.history.trial import History, State, Trial
from archsmith.space import graph_form
from archsmith.strategy.local_search import LocalSearch
from archsmith.testing.strategy import StrategyContract

from .toys import ACCURACY, BOTH, accuracy, against_random, best, edges, sized
from .toys import play as play_any

play = partial(play_any, measure=sized)


class TestFirst(StrategyContract):
    make = staticmethod(LocalSearch)


class TestBest(StrategyContract):
    make = staticmethod(lambda: LocalSearch("best", initial=3, returns=0))


@pytest.fixture(scope="module")
def space() -> nas.Space:
    return nas.Space(edges)


def apart(a: nas.Architecture, b: nas.Architecture) -> int:
    return sum(a[name] != b[name] for name in a)


def test_the_optimum_is_found(space):
    assert all(best(play(LocalSearch(), space, 250, seed)) == 1.0 for seed in range(5))


def test_each_step_is_a_neighbour_of_the_best_of_its_climb(space):
    history = play(LocalSearch(initial=4, returns=0), space, 150)
    assert [t.note for t in history.trials[:4]] == ["random"] * 4
    current = max(history.trials[:4], key=lambda t: t.metrics["accuracy"])
    asked: set[nas.Architecture] = {t.architecture for t in history.trials[:4]}
    for trial in history.trials[4:]:
        if trial.note == "random":
            assert all(n in asked for n in space.neighbours(current.architecture)), "an optimum"
            current = trial
        else:
            assert trial.note == f"neighbour of trial {current.number}"
            assert apart(trial.architecture, current.architecture) == 1
            if accuracy(trial.architecture) > accuracy(current.architecture):
                current = trial
        assert trial.architecture not in asked
        asked.add(trial.architecture)


def test_best_improvement_asks_the_whole_neighbourhood(space):
    history = play(LocalSearch("best", initial=1, returns=0), space, 40)
    start = history.trials[0]
    around = [t for t in history.trials if t.note == "neighbour of trial 0"]
    assert {t.architecture for t in around} == set(space.neighbours(start.architecture))
    following = history.trials[len(around) + 1]
    ahead = max(around, key=lambda t: t.metrics["accuracy"])
    assert following.note == f"neighbour of trial {ahead.number}"


def test_two_of_three_climbs_return_to_known_trials(space):
    history = play(LocalSearch(initial=5), space, 300)
    drawn = sum(t.note == "random" for t in history.trials[5:])
    climbed = [int(t.note.rsplit(" ", 1)[1]) for t in history.trials if t.note != "random"]
    # A climb goes from older trials to newer ones, except where it returns to a known one.
    returned = sum(after < before for before, after in itertools.pairwise(climbed))
    assert drawn >= 2
    assert returned >= drawn


def test_no_graph_twice():
    marked = graph_form(lambda a: "".join(sorted(map(str, a.values()))))(edges_again)
    history = play(LocalSearch(), nas.Space(marked), 200)
    keys = [history.key(t.architecture) for t in history.trials]
    assert len(set(keys)) == len(keys) == 84  # multisets of six out of four


def edges_again():
    return edges()


def test_workers_never_wait_and_never_repeat(space):
    history = play(LocalSearch(), space, 300, workers=40)
    assert len({t.architecture for t in history.trials}) == len(history) == 300
    assert sum(t.note == "random" for t in history.trials) < 200
    assert best(history) > 0.85


def test_a_narrow_limit_is_found(space):
    limits = (nas.Limit("params", "<=", 8),)
    history = play(LocalSearch(), space, 200, limits=limits)
    assert history.finished
    assert max(t.metrics["params"] for t in history.finished) <= 8


def test_neighbours_of_a_failed_restart_are_not_asked_for(space):
    history = History([ACCURACY], key=space.canonical)
    strategy = LocalSearch(initial=1)
    for number in range(5):
        proposal = strategy.propose(space, history, random.Random(number))
        assert proposal is not None
        assert proposal.note == "random"
        trial = Trial(number, proposal.architecture)
        history.add(trial)
        trial.state = State.FAILED
        history.close(trial)


def test_several_objectives_beat_random_search(space):
    def volume(history: History) -> float:
        return hypervolume([history.losses(t) for t in history.finished], (0.0, 50.0))

    assert (
        against_random(LocalSearch, space, 60, reached=volume, measure=sized, objectives=BOTH)
        < 0.01
    )


def test_several_objectives_start_from_the_front(space):
    history = play(LocalSearch(initial=5), space, 80, objectives=BOTH)
    for trial in history.trials[5:]:
        before = History(BOTH)
        for other in history.trials[: trial.number]:
            before.add(other)
            before.close(other)
        if trial.note != "random":
            assert int(trial.note.rsplit(" ", 1)[1]) in [t.number for t in before.front()]


def test_a_proposal_is_fast(space):
    strategy = LocalSearch()
    history = play(strategy, space, 400)
    began = time.process_time()
    for number in range(400, 500):
        proposal = strategy.propose(space, history, random.Random(number))
        assert proposal is not None
        trial = Trial(number, proposal.architecture, state=State.FINISHED)
        trial.metrics = {"accuracy": accuracy(trial.architecture)}
        history.add(trial)
        history.close(trial)
    assert (time.process_time() - began) / 100 < 0.002


@pytest.mark.parametrize("wrong", [{"improvement": "any"}, {"initial": 0}, {"returns": -1}])
def test_wrong_arguments(wrong):
    with pytest.raises(nas.InputError, match="local-search"):
        LocalSearch(**wrong)


@pytest.mark.slow
@pytest.mark.skipif("ARCHSMITH_DATA" not in os.environ, reason="ARCHSMITH_DATA is not set")
def test_nas_bench_201():
    """White et al. 2020 need 127 queries on average; 40 runs hold the optimum after 200."""
    import numpy as np

    from archsmith.zoo.nasbench201 import nasbench201, to_arch_str

    table = np.load(Path(os.environ["ARCHSMITH_DATA"]) / "nb201.npz")
    valid = dict(
        zip(table["arch_str"].tolist(), table["cifar10_valid_acc_200"].tolist(), strict=True)
    )
    space, optimum = nas.Space(nasbench201, channels=3, classes=10, cells=1), max(valid.values())
    queries = []
    for seed in range(40):
        history, strategy = History([ACCURACY], key=space.canonical), LocalSearch()
        for number in range(300):
            proposal = strategy.propose(space, history, random.Random(f"{seed}/{number}"))
            assert proposal is not None
            trial = Trial(number, proposal.architecture, state=State.FINISHED)
            trial.metrics = {"accuracy": valid[to_arch_str(trial.architecture)]}
            history.add(trial)
            history.close(trial)
            if trial.metrics["accuracy"] == optimum:
                break
        queries.append(len(history))
    assert sum(queries) / len(queries) < 100
    assert sum(n <= 100 for n in queries) >= 24
    assert sum(n <= 200 for n in queries) >= 36


@pytest.mark.slow
def test_neighbours_that_the_builder_refuses_are_passed_over():
    def picky():
        a, b = (nas.choose(name, list(range(6))) for name in "ab")
        nas.choose(f"x{a}{b}", [0, 1])
        if (a, b) == (3, 3):
            raise ValueError("no")
        return nn.Identity()

    def near_the_hole(architecture):
        return {"accuracy": -abs(architecture["a"] - 3) - abs(architecture["b"] - 3)}

    for seed in range(5):
        history = play_any(
            LocalSearch(initial=3), nas.Space(picky), 70, seed, measure=near_the_hole
        )
        assert len(history.seen) == 70, "all that can be built"


def test_returning_to_known_trials_does_not_look_at_them_all(monkeypatch):
    """Heights are all alike: each climb ends at once, and the search returns again and again."""

    def line():
        nas.integer("x", 0, 10**6)
        return nn.Identity()

    ranks = []
    rank = History.rank
    monkeypatch.setattr(History, "rank", lambda *asked: ranks.append(1) or rank(*asked))
    play_any(LocalSearch(initial=1), nas.Space(line), 600, measure=lambda _: {"accuracy": 0.0})
    assert len(ranks) < 600 * 5
