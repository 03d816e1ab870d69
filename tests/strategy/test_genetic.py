"""The genetic algorithm: who is alive, who breeds, and whether it finds an optimum."""

from __future__ import annotations

import random
from functools import partial

import pytest

import archsmith as nas
from archsmith.history.objective import hypervolume
from archsmith.history.trial import History, Trial
from archsmith.strategy.genetic import GeneticAlgorithm
from archsmith.strategy.population import breed, offspring
from archsmith.testing.strategy import StrategyContract

from .toys import BOTH, against_random, best, edges, sized
from .toys import play as play_any

play = partial(play_any, measure=sized)


class TestGenetic(StrategyContract):
    make = staticmethod(GeneticAlgorithm)


class TestAgeing(StrategyContract):
    make = staticmethod(lambda: GeneticAlgorithm(population=4, elite=0, sample=2))


class TestElite(StrategyContract):
    make = staticmethod(lambda: GeneticAlgorithm(population=6, elite=6, sample=2))


@pytest.fixture(scope="module")
def space() -> nas.Space:
    return nas.Space(edges)


def parents(trial: Trial) -> list[int]:
    assert trial.note.startswith("child of trials ")
    return [int(n) for n in trial.note.removeprefix("child of trials ").split(" and ")]


@pytest.mark.slow
def test_the_optimum_is_found(space):
    assert sum(best(play(GeneticAlgorithm(), space, 300, seed)) == 1.0 for seed in range(5)) >= 4


@pytest.mark.slow
def test_several_objectives_beat_random_search(space):
    def volume(history: History) -> float:
        return hypervolume([history.losses(t) for t in history.finished], (0.0, 50.0))

    assert (
        against_random(GeneticAlgorithm, space, 100, reached=volume, measure=sized, objectives=BOTH)
        < 0.01
    )


def test_the_best_and_the_newest_breed(space):
    history = play(GeneticAlgorithm(population=8, elite=3, sample=1), space, 120)
    old = 0
    for trial in history.trials[8:]:
        before = history.trials[: trial.number]
        elite = [t.number for t in sorted(before, key=lambda t: -t.metrics["accuracy"])[:3]]
        newest = [t.number for t in before if t.number not in elite][-5:]
        for number in parents(trial):
            assert number in newest or before[number].metrics["accuracy"] >= min(
                before[n].metrics["accuracy"] for n in elite
            )
            old += number not in newest
    assert old, "the elite breeds whatever its age"


def test_without_mutation_children_mix_their_parents(space):
    strategy = GeneticAlgorithm(population=20, sample=1, crossover=1.0, mutation=0.0)
    history = play(strategy, space, 60)
    mixed = 0
    for trial in history.trials[20:]:
        first, second = (history.trials[n].architecture for n in parents(trial))
        mixed += all(v in (first[k], second[k]) for k, v in trial.architecture.items())
    assert mixed > 20


def test_no_worker_waits(space):
    history = play(GeneticAlgorithm(), space, 120, workers=10)
    assert len({t.architecture for t in history.trials}) == len(history) == 120


def test_children_of_a_worn_out_population_go_farther(space):
    """All single mutations of the parent are known: a child has two or more."""
    history = History(BOTH)
    parent = space.default()
    for number, architecture in enumerate([parent, *space.neighbours(parent)]):
        history.add(Trial(number, architecture))
    for seed in range(20):
        rng = random.Random(seed)

        def mutation(rng: random.Random = rng) -> nas.Architecture:
            return space.mutate(parent, rng)

        child = offspring(space, history, rng, mutation)
        assert child is not None
        assert 2 <= sum(child[k] != parent[k] for k in child) <= 4


def test_a_child_like_its_parents_is_mutated(space):
    parent = space.default()
    child = breed(space, parent, parent, random.Random(0), crossover=1.0, mutation=0.0)
    assert sum(child[k] != parent[k] for k in child) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"population": 1},
        {"elite": 99},
        {"sample": 0},
        {"sample": 99},
        {"crossover": 1.5},
        {"mutation": -0.1},
    ],
)
def test_wrong_arguments(wrong):
    with pytest.raises(nas.InputError, match="genetic"):
        GeneticAlgorithm(**wrong)
