"""Search guided by a predictor: the contract, what it does before and after it believes."""

from __future__ import annotations

import numpy as np
import pytest

import archsmith as nas
from archsmith._support.errors import InputError, UnknownNameError
from archsmith.history.objective import Limit
from archsmith.history.trial import State
from archsmith.predictor.linear import LinearEnsemble
from archsmith.strategy.guided import PredictorGuided
from archsmith.testing.strategy import StrategyContract

from .toys import BEST, SCORE, TRADE, best, edges, params, play, stack, worth


class TestPredictorGuided(StrategyContract):
    seeds, budget = 20, 40
    make = staticmethod(lambda: PredictorGuided("linear"))


def quick() -> PredictorGuided:
    return PredictorGuided("linear")


@pytest.fixture(scope="module")
def space() -> nas.Space:
    return nas.Space(stack)


@pytest.mark.slow
def test_finds_the_optimum_of_12288_in_most_runs(space):
    runs = [play(quick(), space, 100, seed, measure=worth, objectives=[SCORE]) for seed in range(3)]
    assert sum(best(run) == BEST for run in runs) >= 2


@pytest.mark.slow
def test_what_breaks_a_limit_is_avoided(space):
    """Half of the architectures cost more, those most like the best; they end pruned."""
    limits = (Limit("cost", "<=", 4.5),)
    runs = [
        play(quick(), space, 60, seed, measure=worth, objectives=[SCORE], limits=limits)
        for seed in range(2)
    ]
    late = [t for run in runs for t in run.trials[20:]]
    assert sum(t.state is State.PRUNED for t in late) < 0.3 * len(late)
    assert np.mean([best(run) for run in runs]) >= 6.0  # of random search 4.9


@pytest.mark.slow
def test_limits_are_kept_before_the_objective_can_be_predicted():
    """At random four in five cost too much."""
    space = nas.Space(edges)

    def noisy(architecture: nas.Architecture) -> dict[str, float]:
        """Its accuracy has nothing to do with it."""
        noise = int(architecture.id[:6], 16) / 16**6
        return {"accuracy": noise, "params": params(architecture)}

    limits = (Limit("params", "<=", 18.0),)
    run = play(quick(), space, 60, 0, measure=noisy, limits=limits)
    late = run.trials[30:]
    assert sum("likely to keep the limits" in t.note for t in late) > 15
    assert sum(t.state is State.PRUNED for t in late) < 0.4 * len(late)
    assert sum(t.state is State.PRUNED for t in run.trials[:10]) >= 5


@pytest.mark.slow
def test_several_objectives_find_both_ends(space):
    front = play(quick(), space, 100, 0, measure=worth, objectives=TRADE).front()
    assert max(t.metrics["score"] for t in front) >= 8.0
    assert min(t.metrics["cost"] for t in front) <= 2.0


@pytest.mark.slow
def test_it_says_by_what_it_goes(space):
    history = play(quick(), space, 40, 0, measure=worth, objectives=[SCORE])
    assert history.trials[3].note == "random"
    assert history.trials[39].note.startswith("linear, cross-validated tau 0.")
    assert "not" not in history.trials[39].note


def test_what_cannot_be_predicted_is_searched_at_random_and_the_note_says_so(space):
    """The value has nothing to do with the architecture."""

    def noise(architecture: nas.Architecture) -> float:
        return int(architecture.id[:6], 16) / 16**6

    history = play(quick(), space, 40, 0, measure=noise)
    unsure = [t.note for t in history.trials[10:] if "is not clearly above 0" in t.note]
    assert len(unsure) > 20
    assert unsure[0].startswith("random: linear, cross-validated tau ")


def test_a_predictor_is_left_as_it_was_given(space):
    given = LinearEnsemble()
    play(PredictorGuided(given), space, 15, measure=worth, objectives=[SCORE])
    assert not given.fitted


def test_wrong_arguments_are_refused():
    with pytest.raises(UnknownNameError, match="predictor"):
        PredictorGuided("bosted")
    with pytest.raises(InputError, match="start"):
        PredictorGuided(start=2)
    with pytest.raises(InputError, match="growth"):
        PredictorGuided(growth=0)
