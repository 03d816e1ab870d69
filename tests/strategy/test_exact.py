"""Costs that are known before a trial enter Bayesian optimisation as they are."""

from __future__ import annotations

import random

import numpy as np
import pytest

from archsmith.evaluate.base import Evaluator, Price, Stages
from archsmith.history.objective import Limit, Objective
from archsmith.history.trial import History, KnownCosts, State, Trial
from archsmith.space import Space, choose
from archsmith.strategy.bayesian import BayesianOptimization
from archsmith.strategy.exact import Exact
from archsmith.study.reach import known_costs

ACCURACY = Objective("accuracy", "maximize")
BOTH = (ACCURACY, Objective("params", "minimize"))


def grid():
    """Four numbers: 1,296 architectures, of which each is looked at by its number."""
    from torch import nn

    for name in "abcd":
        choose(name, list(range(6)))
    return nn.Identity()


def accuracy(architecture):
    return sum(map(int, architecture.values())) / 20


def jagged(architecture):
    """A cost that no smooth process knows: neighbours are far apart."""
    a, b, c, d = map(int, architecture.values())
    return float(1 + (7 * a + 11 * b + 5 * c + 3 * d) % 13)


class Counted:
    """Known costs whose looks are counted."""

    def __init__(self, cost=jagged, looks=48):
        self.looked: list[object] = []
        self.cost = cost
        self.known = KnownCosts(("params",), self.of, looks)

    def of(self, architecture):
        self.looked.append(architecture)
        value = self.cost(architecture)
        return {} if value is None else {"params": value}


def empty(space, costs, objectives=(ACCURACY,), limits=()):
    return History(objectives, limits, key=space.canonical, costs=costs)


def go_on(space, history, strategy, count):
    while len(history) < count:
        number = len(history)
        proposal = strategy.propose(space, history, random.Random(number))
        trial = Trial(number, proposal.architecture, seed=number, note=proposal.note)
        trial.metrics = {"accuracy": accuracy(trial.architecture)}
        trial.metrics["params"] = jagged(trial.architecture)
        broken = history.violation(trial.metrics) > 0
        trial.state = State.PRUNED if broken else State.FINISHED
        history.add(trial)
        history.close(trial)
    return history


def run(costs, count, objectives=(ACCURACY,), limits=()):
    space = Space(grid)
    history = empty(space, costs, objectives, limits)
    return go_on(space, history, BayesianOptimization(), count)


LIMIT = Limit("params", "<=", 1.0)  # 1 architecture in 13 keeps it, all over the space


def after_start(history):
    return [trial for trial in history.trials if trial.note != "random"]


@pytest.mark.processes
@pytest.mark.parametrize("looks", [48, 2000])
def test_a_limit_with_a_jagged_boundary_is_kept(looks):
    kept = after_start(run(Counted(looks=looks).known, 17, limits=(LIMIT,)))
    assert len(kept) == 7
    broken = sum(trial.state is State.PRUNED for trial in kept)
    assert broken == 0 if looks == 2000 else broken <= 1
    guessed = after_start(run(None, 17, limits=(LIMIT,)))
    assert sum(trial.state is State.PRUNED for trial in guessed) > len(guessed) / 2


def test_the_best_that_keeps_the_limit_is_found():
    space = Space(grid)
    best = max(accuracy(a) for a in space.enumerate() if jagged(a) <= 1)
    found = run(Counted(looks=2000).known, 18, limits=(LIMIT,)).best()
    assert found is not None
    assert found.metrics["accuracy"] == best


def test_a_lower_bound_is_kept_as_well():
    history = run(Counted(looks=2000).known, 16, limits=(Limit("params", ">=", 13.0),))
    assert all(trial.metrics["params"] == 13.0 for trial in after_start(history))


@pytest.mark.slow
def test_two_objectives_reach_the_front():
    """At each cost the best accuracy: a process that guesses the cost looks in the wrong places."""
    corner = accuracy(Space(grid).complete(dict.fromkeys("abcd", 5)))
    space = Space(grid)
    cheap = max(accuracy(a) for a in space.enumerate() if jagged(a) == 1.0)
    front = run(Counted(looks=2000).known, 26, objectives=BOTH).front()
    reached = {(t.metrics["params"], t.metrics["accuracy"]) for t in front}
    assert (1.0, cheap) in reached
    assert corner == max(accuracy for _, accuracy in reached)


@pytest.mark.parametrize("objectives", [(ACCURACY,), BOTH])
def test_looks_of_a_proposal_are_bounded(objectives):
    space, counted = Space(grid), Counted(looks=20)
    history = run(counted.known, 12, objectives, (LIMIT,))
    for number in range(2):
        counted.looked.clear()
        assert BayesianOptimization().propose(space, history, random.Random(number)) is not None
        assert 0 < len(counted.looked) <= 20


@pytest.mark.slow
def test_looks_are_bounded_in_a_space_that_is_climbed():
    def large():
        from torch import nn

        for i in range(12):
            choose(f"layer{i}", [0, 1, 2, 3, 4])
        return nn.Identity()

    space, counted = Space(large), Counted(lambda a: float(sum(map(int, a.values()))))
    limit = Limit("params", "<=", 20.0)
    history, strategy = empty(space, counted.known, limits=(limit,)), BayesianOptimization()
    for number in range(16):
        counted.looked.clear()
        proposal = strategy.propose(space, history, random.Random(number))
        assert len(counted.looked) <= 48
        params = counted.cost(proposal.architecture)
        assert params <= 20 or proposal.note == "random"
        trial = Trial(number, proposal.architecture, state=State.FINISHED)
        trial.metrics = {"accuracy": params / 48, "params": params}
        history.add(trial)
        history.close(trial)


def test_nothing_is_looked_at_that_nobody_asks_for():
    counted = Counted()
    run(counted.known, 14)  # no limit and no objective on params
    assert not counted.looked


@pytest.mark.slow
@pytest.mark.parametrize("objectives", [(ACCURACY,), BOTH])
def test_a_resumed_study_goes_on_the_same(objectives):
    space = Space(grid)
    whole = go_on(
        space, empty(space, Counted().known, objectives, (LIMIT,)), BayesianOptimization(), 15
    )
    again = empty(space, Counted().known, objectives, (LIMIT,))
    for trial in whole.trials[:12]:
        again.add(trial)
        again.close(trial)
    go_on(space, again, BayesianOptimization(), 15)
    assert [t.architecture for t in again.trials] == [t.architecture for t in whole.trials]


@pytest.mark.slow
@pytest.mark.parametrize("objectives", [(ACCURACY,), BOTH])
def test_without_a_cost_that_can_be_known_it_is_learned(objectives):
    """What a process believes is all there is, as without known costs."""
    nothing = run(Counted(lambda a: None).known, 13, objectives, (LIMIT,))
    without = run(None, 13, objectives, (LIMIT,))
    assert [t.architecture for t in nothing.trials] == [t.architecture for t in without.trials]


class Static(Evaluator):
    """Parameters of what can be built."""

    name, price = "static", Price.STATIC
    provides = ("params",)

    def evaluate(self, architecture, fidelity, seed, watch):
        if architecture["a"] == 0:
            raise ValueError("the builder refuses")
        return {"params": jagged(architecture)}


class Trained(Static):
    name, price = "trained", Price.TRAINED
    provides = ("accuracy",)


def test_only_what_needs_no_training_is_known():
    space = Space(grid)
    costs = known_costs(space, Stages([Trained(), Static()]))
    assert costs.names == ("params",)
    assert 0 < costs.looks < 100
    fine = space.complete({"a": 1, "b": 0, "c": 0, "d": 0})
    assert costs(fine) == {"params": jagged(fine)}
    assert costs(space.complete({"a": 0})) == {}
    assert known_costs(space, Trained()).names == ()


def test_order_looks_on_until_nothing_more_is_believed():
    """The first sixteen promise nothing; of the next, one promises more than the rest is believed
    to."""
    space = Space(grid)
    candidates = list(space.enumerate())[:100]
    counted = Counted(lambda a: 1.0 if a == candidates[20] else 2.0)
    exact = Exact(empty(space, counted.known, BOTH))

    def score(some, known):
        return np.where(known["params"] == 1.0, 5.0, 0.0)

    order = exact.order(candidates, np.linspace(4.0, 1.0, 100), score)
    assert sorted(order) == list(range(100))
    assert order[:2] == [20, 32]
    assert len(counted.looked) == 32
