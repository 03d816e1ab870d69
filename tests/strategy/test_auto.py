"""The default strategy: what it picks, that it says so, and the contract."""

from __future__ import annotations

import random
import re

import pytest

import archsmith as nas
from archsmith.history.objective import Objective
from archsmith.history.trial import History, State, Trial
from archsmith.strategy.auto import Auto, pick
from archsmith.strategy.bayesian import BayesianOptimization
from archsmith.strategy.genetic import GeneticAlgorithm
from archsmith.strategy.nsga2 import NSGA2
from archsmith.testing.landscape import height, hills
from archsmith.testing.strategy import StrategyContract, flat, generated

ONE = (Objective("accuracy", "maximize"),)
BOTH = (*ONE, Objective("params", "minimize"))


class TestAuto(StrategyContract):
    steps, seeds, budget = 22, 12, 30
    make = staticmethod(Auto)


def after(trials: int, space: nas.Space, objectives=ONE, **known) -> History:
    """A history of so many random trials."""
    history = History(objectives, key=space.canonical, **known)
    rng = random.Random(0)
    for number in range(trials):
        trial = Trial(number, space.sample(rng), state=State.FINISHED)
        value = height(trial.architecture)
        trial.metrics = {"accuracy": value, "params": 1 - value**2}
        history.add(trial)
        history.close(trial)
    return history


@pytest.mark.slow
def test_a_budget_that_covers_the_space_is_spent_on_all_of_it_best_first():
    """Never in the grid's order: the optimum comes long before the end."""
    space, strategy = nas.Space(flat), Auto()
    history = History(ONE, key=space.canonical, budget=125)
    values = []
    while (proposal := strategy.propose(space, history, random.Random(len(values)))) is not None:
        trial = Trial(len(values), proposal.architecture, state=State.FINISHED)
        values.append(sum(space.encode(proposal.architecture) * range(len(space.columns()))))
        trial.metrics = {"accuracy": float(values[-1])}
        history.add(trial)
        history.close(trial)
    assert len(values) == len(history.seen) == 125
    assert values.index(max(values)) < 40


@pytest.mark.slow
@pytest.mark.parametrize(
    ("builder", "trials", "objectives", "known", "expected", "says"),
    [
        (hills, 0, ONE, {"budget": 4095}, BayesianOptimization, "4,095 trials .* 4,096"),
        (hills, 20, ONE, {}, BayesianOptimization, "no number of trials is set"),
        (hills, 20, BOTH, {"workers": 4}, BayesianOptimization, "4 at a time"),
        (hills, 999, ONE, {}, BayesianOptimization, "4,096"),
        (hills, 1000, ONE, {}, GeneticAlgorithm, "1,000 trials are done"),
        (hills, 1000, BOTH, {}, NSGA2, "1,000 trials are done"),
        (generated, 0, ONE, {"budget": 10**9}, BayesianOptimization, "trials are planned"),
    ],
)
def test_what_it_picks_proposes(builder, trials, objectives, known, expected, says):
    space = nas.Space(builder)
    history = after(trials, space, objectives, **known)
    with pytest.MonkeyPatch.context() as patch:
        seen = []
        patch.setattr(expected, "propose", lambda *asked: seen.append(asked))
        Auto().propose(space, history, random.Random(0))
    assert [type(asked[0]) for asked in seen] == [expected]
    said = Auto().describe(space, history)
    assert said.startswith(f"auto: {expected.name}, because ")
    assert re.search(says, said), said
    # All that it goes by, and what the rule was measured on.
    assert str(space.size()) in said
    assert ("2 objectives" if len(objectives) > 1 else "one objective") in said
    assert "docs/benchmarks.md" in said


def test_it_goes_on_from_what_the_surrogate_found():
    """The genetic algorithm breeds trials that it has not proposed itself."""
    space = nas.Space(hills)
    proposal = Auto().propose(space, after(1000, space), random.Random(1))
    assert proposal.note.startswith("child of trials ")


def test_pruned_trials_do_not_count_against_the_surrogate():
    space = nas.Space(hills)
    history = after(990, space)
    for number in range(990, 1100):
        trial = Trial(number, space.sample(random.Random(number)), state=State.PRUNED)
        history.add(trial)
        history.close(trial)
    assert pick(space, history)[0] == "bayesian"


def test_on_rungs_it_races_from_the_lowest():
    space, history = nas.Space(hills), History(ONE, epochs=(1, 3, 9))
    strategy = Auto(rungs=True)
    assert strategy.promotes
    assert strategy.entry(history) == nas.Fidelity(epochs=1)
    assert Auto().entry(history) is None
    assert strategy.describe(space, history).startswith("auto: race, because trials of equal time")
    proposal = strategy.propose(space, history, random.Random(0))
    assert proposal is not None
    assert proposal.fidelity == nas.Fidelity(epochs=1)
