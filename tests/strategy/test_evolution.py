"""Random search and regularized evolution: by their contract, and against a known landscape."""

from __future__ import annotations

import random
import time

import pytest
from torch import nn

import archsmith as nas
from archsmith.history.trial import History, State, Trial
from archsmith.strategy.evolution import RegularizedEvolution
from archsmith.strategy.random import RandomSearch
from archsmith.strategy.start import StartFrom
from archsmith.testing.strategy import StrategyContract

from .toys import ACCURACY, chain, play, total


@pytest.fixture(scope="module")
def space() -> nas.Space:
    return nas.Space(chain, edges=6)


def test_the_oldest_dies_of_age(space):
    """A parent is among the newest ``population`` trials, however good older ones are."""
    history = play(RegularizedEvolution(population=5, sample=5), space, 60, 0)
    for trial in history.trials:
        if trial.note.startswith("mutation of trial "):
            parent = int(trial.note.rsplit(" ", 1)[1])
            alive = history.trials[trial.number - 5 : trial.number]
            assert parent in [t.number for t in alive]
            best = max(alive, key=lambda t: t.metrics["accuracy"])
            assert history.trials[parent].metrics == best.metrics, "sample of all: the best wins"
            differing = [
                name
                for name in trial.architecture
                if trial.architecture[name] != history.trials[parent].architecture[name]
            ]
            assert len(differing) == 1
    assert sum(t.note == "random" for t in history.trials) == 5


def test_trials_that_break_a_limit_lose(space):
    history = History([ACCURACY], [nas.Limit("params", "<=", 10)])
    for number in range(10):
        architecture = space.sample(random.Random(number))
        trial = Trial(number, architecture, state=State.FINISHED)
        trial.metrics = {"accuracy": float(number), "params": 5.0 if number == 3 else 50.0}
        history.add(trial)
        history.close(trial)
    strategy = RegularizedEvolution(population=10, sample=10)
    assert strategy.propose(space, history, random.Random(0)).note == "mutation of trial 3"


def test_pruned_trials_lead_to_the_limit(space):
    """Where no random draw keeps a limit, the least broken ones are parents."""
    limit = nas.Limit("cost", "<=", 1)

    def first_kept(strategy: nas.Strategy, seed: int) -> int | None:
        history = History([ACCURACY], [limit])
        for number in range(300):
            proposal = strategy.propose(space, history, random.Random(f"{seed}/{number}"))
            cost = total(proposal.architecture)
            trial = Trial(number, proposal.architecture, note=proposal.note)
            history.add(trial)
            trial.state = State.PRUNED if cost > 1 else State.FINISHED
            trial.metrics = {"cost": cost} if cost > 1 else {"cost": cost, "accuracy": 0.5}
            history.close(trial)
            if history.finished:
                return number
        return None

    found = [first_kept(RegularizedEvolution(), seed) for seed in range(8)]
    assert None not in found
    assert [first_kept(RandomSearch(), seed) for seed in range(8)].count(None) >= 6


def test_trials_pruned_for_other_reasons_are_no_parents(space):
    history = History([ACCURACY], [nas.Limit("cost", "<=", 1)])
    for number in range(30):
        trial = Trial(number, space.sample(random.Random(number)), state=State.PRUNED)
        history.add(trial)
        history.close(trial)
    assert len(history.pruned) == 30
    proposal = RegularizedEvolution().propose(space, history, random.Random(0))
    assert proposal.note == "random"


def test_a_proposal_is_fast_whatever_the_history(space):
    """About 0.03 ms; the bound leaves room for slow machines, not for reading 500 trials."""
    strategy = RegularizedEvolution()
    history = play(strategy, space, 500, 0)
    began = time.process_time()
    for seed in range(200):
        assert strategy.propose(space, history, random.Random(seed)) is not None
    assert (time.process_time() - began) / 200 < 0.001


def test_random_search_ends_when_the_space_is_used_up():
    small = nas.Space(lambda: nn.Linear(nas.choose("a", [1, 2, 3]), nas.choose("b", [1, 2])))
    history = History([ACCURACY])
    found = set()
    for number in range(10):
        proposal = RandomSearch().propose(small, history, random.Random(number))
        if proposal is None:
            break
        history.add(Trial(number, proposal.architecture))
        found.add(proposal.architecture)
    assert len(found) == number == 6


def test_start_from_gives_the_given_first(space):
    given = [space.default(), space.sample(random.Random(9))]
    history = play(StartFrom(given, RandomSearch()), space, 5, 0)
    assert [t.architecture for t in history.trials[:2]] == given
    assert history.trials[2].note == "random"


def test_proposals_repeat_with_the_seed(space):
    first = play(RegularizedEvolution(), space, 40, 4)
    second = play(RegularizedEvolution(), nas.Space(chain, edges=6), 40, 4)
    assert [t.architecture for t in first.trials] == [t.architecture for t in second.trials]
    other = play(RegularizedEvolution(), space, 40, 5)
    assert [t.architecture for t in first.trials] != [t.architecture for t in other.trials]


class TestRandomSearch(StrategyContract):
    better = False
    make = staticmethod(RandomSearch)


class TestEvolution(StrategyContract):
    make = staticmethod(RegularizedEvolution)


def test_a_population_smaller_than_its_tournament_is_refused():
    with pytest.raises(nas.InputError, match="sample <= population"):
        RegularizedEvolution(population=2, sample=3)
