"""NSGA-II: survivors by front, crowding and limits; trade-offs against random search."""

from __future__ import annotations

from functools import partial

import pytest

import archsmith as nas
from archsmith.history.objective import hypervolume
from archsmith.history.trial import History, State, Trial
from archsmith.strategy.nsga2 import NSGA2
from archsmith.strategy.population import Survivors
from archsmith.testing.strategy import StrategyContract

from .toys import BOTH, accuracy, against_random, edges, params, sized
from .toys import play as play_any

play = partial(play_any, measure=sized)


class TestNSGA2(StrategyContract):
    make = staticmethod(NSGA2)


class TestSmall(StrategyContract):
    make = staticmethod(lambda: NSGA2(population=4))


@pytest.fixture(scope="module")
def space() -> nas.Space:
    return nas.Space(edges)


def volume(history: History) -> float:
    return hypervolume([history.losses(t) for t in history.finished], (0.0, 50.0))


@pytest.mark.slow
def test_better_trade_offs_than_random_search(space):
    assert against_random(NSGA2, space, 100, reached=volume, measure=sized, objectives=BOTH) < 0.01


def test_most_of_the_true_front_is_covered(space):
    everything = [(-accuracy(a), params(a)) for a in space.enumerate()]
    whole = hypervolume(everything, (0.0, 50.0))
    shares = [volume(play(NSGA2(), space, 300, s, objectives=BOTH)) / whole for s in range(3)]
    assert min(shares) > 0.95


def trial(number: int, space: nas.Space, **metrics: float) -> Trial:
    return Trial(number, space.default(), state=State.FINISHED, metrics=metrics)


def test_survivors_of_a_known_population(space):
    """Deb et al. 2002, section III: fronts first, then the loneliest of the front that is cut."""
    history = History(BOTH)
    survivors = Survivors(history, 3)
    corners = [(0, 0.9, 9.0), (1, 0.1, 1.0), (2, 0.5, 5.0), (3, 0.52, 5.2), (4, 0.4, 9.5)]
    for number, accurate, size in corners:
        survivors.take(trial(number, space, accuracy=accurate, params=size))
    alive = [t.number for t in survivors.alive]
    assert set(alive[:2]) == {0, 1}
    assert alive[2] in (2, 3)
    survivors.take(trial(5, space, accuracy=0.95, params=0.5))
    assert survivors.alive[0].number == 5, "what dominates all comes first"


def test_constraint_domination(space):
    history = History(BOTH, [nas.Limit("params", "<=", 4)])
    survivors = Survivors(history, 2)
    pruned = Trial(0, space.default(), state=State.PRUNED, metrics={"params": 5.0})
    failed = Trial(1, space.default(), state=State.FAILED, metrics={"params": 1.0})
    other = Trial(2, space.default(), state=State.PRUNED, metrics={"params": 3.0})
    for ended in (pruned, failed, other, trial(3, space, accuracy=0.9, params=50.0)):
        survivors.take(ended)
    assert [t.number for t in survivors.alive] == [0, 3], "the nearest to the limit first"
    survivors.take(trial(4, space, accuracy=0.1, params=4.0))
    assert [t.number for t in survivors.alive] == [4, 0]


def test_a_narrow_limit_is_found(space):
    limits = (nas.Limit("params", "<=", 8),)
    history = play(NSGA2(), space, 250, objectives=BOTH, limits=limits)
    assert len(history.finished) >= 5


def test_no_worker_waits(space):
    history = play(NSGA2(), space, 120, objectives=BOTH, workers=10)
    assert len({t.architecture for t in history.trials}) == len(history) == 120


@pytest.mark.parametrize("wrong", [{"population": 1}, {"crossover": 2}, {"mutation": -1}])
def test_wrong_arguments(wrong):
    with pytest.raises(nas.InputError, match="nsga2"):
        NSGA2(**wrong)
