"""Races: where they begin, whose mutants enter, and that they climb faster than ASHA."""

from __future__ import annotations

import random
import statistics

import pytest

import archsmith as nas
from archsmith.history.trial import Fidelity, History, KnownCosts, State, Trial
from archsmith.strategy.asha import ASHA
from archsmith.strategy.race import Race, leading
from archsmith.strategy.start import StartFrom
from archsmith.testing.strategy import StrategyContract

from .toys import Play, chain, total


class TestRace(StrategyContract):
    budget = 20  # of short evaluations for the most part
    make = staticmethod(Race)


def differing(a: nas.Architecture, b: nas.Architecture) -> int:
    return sum(a.get(name) != b.get(name) for name in {*a, *b})


@pytest.fixture(scope="module")
def space() -> nas.Space:
    return nas.Space(chain)


def test_trials_rise_as_in_asha(space):
    trials = Play(Race, space, epochs=27).history.trials
    epochs = [t.fidelity.epochs for t in trials]
    assert (epochs[:4], epochs.count(9)) == ([1, 1, 1, 3], 1)
    for trial in trials:
        length = trial.fidelity.epochs
        assert length is not None
        if length > 1:  # it was among the best third of those before it
            rung = [t for t in trials[: trial.number] if t.fidelity.epochs == length // 3]
            ahead = sorted(rung, key=lambda t: -t.metrics["accuracy"])[: len(rung) // 3]
            assert trial.architecture in [t.architecture for t in ahead]


def test_entrants_are_mutants_of_a_leader(space):
    history = Play(Race, space, epochs=120).history
    mutants = [t for t in history.trials if t.note.startswith("mutant")]
    assert len(mutants) > 20
    for trial in mutants:
        parent = history.trials[int(trial.note.split()[3])]
        assert 1 <= differing(trial.architecture, parent.architecture) <= 3
        before = [t for t in history.trials[: trial.number] if t.fidelity == parent.fidelity]
        assert parent.metrics["accuracy"] == max(t.metrics["accuracy"] for t in before)


def test_a_mutant_changes_something():
    with pytest.raises(nas.InputError, match="race: most"):
        Race(most=0)


def test_the_default_enters_below(space):
    def make() -> StartFrom:
        return StartFrom([space.default()], Race())

    first = Play(make, space, epochs=5).history.trials[0]
    assert first.architecture == space.default()
    assert first.fidelity == Fidelity(epochs=1)


def test_leaders_are_the_best_of_each_fidelity(space):
    history = History((nas.Objective("accuracy", "maximize"),))
    for number, (epochs, value) in enumerate([(1, 0.2), (1, 0.5), (3, 0.4), (3, 0.9), (1, 0.3)]):
        trial = Trial(number, space.default(), Fidelity(epochs), state=State.FINISHED)
        trial.state = State.FAILED if value == 0.9 else trial.state
        trial.metrics = {"accuracy": value}
        history.add(trial)
        history.close(trial)
    assert [t.number for t in leading(history)] == [2, 1]


def test_mutants_cost_about_as_much_as_the_first_trial(space):
    """A chain of smaller numbers is ahead in short trainings, so that all would become small."""

    def flops(architecture: nas.Architecture) -> float:
        return float(1 + total(architecture)) ** 2

    costs = KnownCosts(("flops",), lambda a: {"flops": flops(a)}, 100)
    goal = nas.Objective("accuracy", "maximize")
    history = History((goal,), epochs=(1, 3, 9), costs=costs)
    start = space.complete({f"edge{i}": 2 for i in range(5)})
    for number in range(40):
        found = Race().entrant(space, history, random.Random(number))
        architecture = found.architecture if found and number else start
        trial = Trial(number, architecture, Fidelity(1), state=State.RUNNING)
        history.add(trial)
        trial.state, trial.metrics = State.FINISHED, {"accuracy": -total(architecture)}
        history.close(trial)
    ratios = [flops(trial.architecture) / flops(start) for trial in history.trials]
    assert min(ratios) < 0.9
    assert all(1 / 1.3 <= ratio <= 1.3 for ratio in ratios)


def test_size_is_free_where_it_is_an_objective(space):
    costs = KnownCosts(("flops",), lambda a: {"flops": 1.0 + total(a)}, 100)
    goals = (nas.Objective("accuracy", "maximize"), nas.Objective("flops", "minimize"))
    history = History(goals, epochs=(1, 3, 9), costs=costs)
    start = space.complete({f"edge{i}": 2 for i in range(5)})
    trial = Trial(0, start, Fidelity(1), state=State.RUNNING)
    history.add(trial)
    trial.state, trial.metrics = State.FINISHED, {"accuracy": 0.5, "flops": 11.0}
    history.close(trial)
    drawn = [Race().entrant(space, history, random.Random(n)) for n in range(60)]
    sizes = {total(found.architecture) for found in drawn if found}
    assert min(sizes) < 7
    assert max(sizes) > 13


@pytest.mark.statistical
def test_mutants_climb_faster_than_random_entrants():
    space = nas.Space(chain, edges=6)

    def found(make: type[ASHA]) -> float:
        histories = [Play(make, space, epochs=100, seed=seed).history for seed in range(20)]
        return statistics.mean(max(total(t.architecture) for t in h.trials) for h in histories)

    assert found(Race) > found(ASHA)
