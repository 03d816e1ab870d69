"""Wrappers: no graph twice, and nothing that is known to break a limit."""

from __future__ import annotations

import random

import pytest

import archsmith as nas
from archsmith.space import Space, choose, graph_form
from archsmith.strategy.distinct import Distinct
from archsmith.strategy.evolution import RegularizedEvolution
from archsmith.strategy.grid import GridSearch
from archsmith.strategy.keep_limits import KeepLimits
from archsmith.strategy.random import RandomSearch
from archsmith.strategy.start import StartFrom
from archsmith.testing.strategy import StrategyContract
from archsmith.trial import History, Proposal, State, Trial

ACCURACY = [nas.Objective("accuracy", "maximize")]


@graph_form(lambda architecture: "".join(sorted(str(a) for a in architecture.values())))
def bag():
    """Three letters of which the order does not matter: 10 graphs, 27 spellings."""
    from torch import nn

    for i in range(3):
        choose(f"letter{i}", ["a", "b", "c"])
    return nn.Identity()


class Draws(nas.Strategy):
    """Draws without a look at the history."""

    name = "draws"

    def propose(self, space, history, rng):
        return Proposal(space.sample(rng))


class TestDistinct(StrategyContract):
    make = staticmethod(lambda: Distinct(RegularizedEvolution()))


class FromDefault(StartFrom):
    """Starts from the default of whatever space it meets, as a search does."""

    def __init__(self):
        super().__init__([], RegularizedEvolution())

    def propose(self, space, history, rng):
        return StartFrom([space.default()], self.then).propose(space, history, rng)


class TestStartFrom(StrategyContract):
    seeded = False  # where it begins
    make = staticmethod(FromDefault)


class TestKeepLimits(StrategyContract):
    make = staticmethod(lambda: KeepLimits(RegularizedEvolution(), lambda a: {"params": 0.0}))


def filled(strategy, space, count, limits=()):
    history = History(ACCURACY, limits, key=space.canonical)
    for number in range(count):
        proposal = strategy.propose(space, history, random.Random(number))
        if proposal is None:
            break
        trial = Trial(number, proposal.architecture, proposal.fidelity or nas.Fidelity())
        trial.state, trial.metrics = State.FINISHED, {"accuracy": number / count}
        history.add(trial)
        history.close(trial)
    return history


def test_distinct_tries_each_graph_once_and_ends():
    space = Space(bag)
    plain = filled(Draws(), space, 40)
    assert len(plain.seen) < len(plain.trials)
    history = filled(Distinct(Draws()), space, 40)
    assert len(history.trials) == len(history.seen) == 10


def test_distinct_lets_a_promotion_through():
    class Promotes(nas.Strategy):
        name = "promotes"

        def propose(self, space, history, rng):
            return Proposal(space.default(), nas.Fidelity(epochs=len(history) + 1))

    history = filled(Distinct(Promotes()), Space(bag), 3)
    assert [t.fidelity.epochs for t in history.trials] == [1, 2, 3]


def test_distinct_counts_open_epochs_as_the_full_evaluation():
    space = Space(bag)
    history = History(ACCURACY, key=space.canonical, epochs=(1, 9))
    strategy = Distinct(RegularizedEvolution())
    trial = Trial(0, space.default(), nas.Fidelity(epochs=9), state=State.RUNNING)
    again = Proposal(space.default(), nas.Fidelity())
    history.add(trial)
    assert not strategy._new(again, space, history), "while it runs"
    trial.state, trial.metrics = State.FINISHED, {"accuracy": 0.0}
    history.close(trial)
    assert not strategy._new(again, space, history)


def test_distinct_makes_the_key_of_a_trial_once():
    made = []
    space = Space(bag)

    def key(architecture):
        made.append(architecture)
        return space.canonical(architecture)

    class Promotes(nas.Strategy):
        name = "promotes"

        def propose(self, space, history, rng):
            return Proposal(space.default(), nas.Fidelity(epochs=len(history) + 1))

    history, strategy = History(ACCURACY, key=key), Distinct(Promotes())
    for number in range(50):
        proposal = strategy.propose(space, history, random.Random(number))
        trial = Trial(number, proposal.architecture, proposal.fidelity)
        trial.state, trial.metrics = State.FINISHED, {"accuracy": 0.0}
        history.add(trial)
        history.close(trial)
    assert len(made) <= 4 * 50


def count_a(architecture):
    return {"params": float(sum(answer == "a" for answer in architecture.values()))}


def test_keep_limits_proposes_only_what_keeps_them():
    limit = nas.Limit("params", "<=", 0.0)
    space = Space(bag)
    plain = filled(Draws(), space, 30, [limit])
    assert any(count_a(t.architecture)["params"] for t in plain.trials)
    kept = filled(KeepLimits(Draws(), count_a), space, 30, [limit])
    assert not any(count_a(t.architecture)["params"] for t in kept.trials)


def test_keep_limits_takes_the_nearest_where_nothing_keeps_them():
    limit = nas.Limit("params", ">=", 9.0)
    history = filled(KeepLimits(Draws(), count_a), Space(bag), 10, [limit])
    assert [count_a(t.architecture)["params"] for t in history.trials] == [
        3,
        2,
        2,
        *3 * [1],
        *4 * [0],
    ]


def ten():
    from torch import nn

    choose("size", list(range(10)))
    return nn.Identity()


@pytest.mark.parametrize("strategy", [RandomSearch, GridSearch])
def test_keep_limits_tries_nothing_twice_and_ends(strategy):
    """First what keeps the limit, then the strategy goes on by itself."""
    limit = nas.Limit("params", "<=", 3.0)
    wrapped = KeepLimits(strategy(), lambda a: {"params": 10.0 - a["size"]})
    history = filled(wrapped, Space(ten), 30, [limit])
    tried = [t.architecture["size"] for t in history.trials]
    assert sorted(tried) == list(range(10))
    assert set(tried[:3]) == {7, 8, 9}


@pytest.mark.parametrize(
    "make", [lambda: Distinct(Draws(), 0), lambda: KeepLimits(Draws(), count_a, 0)]
)
def test_tries_are_checked(make):
    with pytest.raises(nas.InputError, match="tries"):
        make()
