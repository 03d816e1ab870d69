"""BOHB: when it has a model and of what."""

from __future__ import annotations

import itertools
import random
import statistics

import pytest
from torch import nn

import archsmith as nas
from archsmith.history.objective import Limit
from archsmith.history.trial import Fidelity, History, State, Trial
from archsmith.strategy.bohb import BOHB
from archsmith.testing.strategy import StrategyContract

from .toys import ACCURACY, EPOCHS, Play, chain, total, uneven

MODEL = "of the density model"


class TestBOHB(StrategyContract):
    budget = 12  # of short evaluations for the most part
    make = staticmethod(BOHB)


@pytest.fixture(scope="module")
def space() -> nas.Space:
    return nas.Space(chain)


def test_the_brackets_are_those_of_hyperband(space):
    round_ = [1] * 9 + [3] * 3 + [9] + [3] * 5 + [9] + [9] * 3
    play = Play(BOHB, space, epochs=2 * sum(round_))
    assert [t.fidelity.epochs for t in play.history.trials] == 2 * round_


def test_the_model_comes_with_enough_results(space):
    """Five decisions: six results at least, and two more, on one rung."""
    trials = Play(lambda: BOHB(random_share=0), space, epochs=60).history.trials
    assert {t.note for t in trials[:8]} == {"random"}
    assert {t.note for t in trials[8:] if not t.note.startswith("promoted")} == {MODEL}


def test_the_highest_rung_with_enough_results_counts(space):
    """One epoch says the reverse of the total; the model that has full results knows better."""
    history = History([ACCURACY], epochs=EPOCHS)
    for number, architecture in enumerate(space.sample(random.Random(i)) for i in range(400)):
        for epochs in (1, 9) if number % 10 == 0 else (1,):
            sign = 1 if epochs == 9 else -1
            trial = Trial(len(history), architecture, Fidelity(epochs=epochs), state=State.FINISHED)
            trial.metrics = {"accuracy": sign * total(architecture)}
            history.add(trial)
            history.close(trial)
    strategy = BOHB(random_share=0)
    entrants = [strategy.entrant(space, history, random.Random(i)) for i in range(20)]
    assert {p.note for p in entrants} == {MODEL}
    assert statistics.mean(total(p.architecture) for p in entrants) > 12


def test_what_breaks_a_limit_is_bad(space):
    """Pruned before any training: no accuracy is known, but the model keeps away."""
    history = History([ACCURACY], [Limit("size", "<=", 10)], epochs=EPOCHS)
    for number in range(200):
        trial = Trial(number, space.sample(random.Random(number)), Fidelity(epochs=1))
        size = total(trial.architecture)
        trial.state = State.PRUNED if size > 10 else State.FINISHED
        trial.metrics = {"size": size} | ({} if size > 10 else {"accuracy": 0.0})
        history.add(trial)
        history.close(trial)
    strategy = BOHB(random_share=0)
    entrants = [strategy.entrant(space, history, random.Random(i)) for i in range(40)]
    kept = sum(total(p.architecture) <= 10 for p in entrants) / 40
    even = sum(total(t.architecture) <= 10 for t in history.trials) / 200
    # Draws are three times as wide as the density, and the best of them stay within for the most.
    assert kept > 0.7
    assert kept > even + 0.15


@pytest.mark.parametrize("workers", [1, 4])
def test_state_is_told_from_the_history_alone(space, workers):
    def play(remake: bool) -> Play:
        return Play(BOHB, space, epochs=200, workers=workers, seconds=uneven, remake=remake)

    assert play(True).told == play(False).told


def test_draws_that_the_builder_refuses_are_left_out():
    """Half of the pairs, of a space whose new questions make the builder run."""

    def picky() -> nn.Module:
        a, b = nas.choose("a", list(range(6))), nas.choose("b", list(range(6)))
        nas.choose(f"c{a}{b}", list(range(100)))
        if (a + b) % 2:
            raise ValueError("odd")
        return nn.Identity()

    space = nas.Space(picky)
    history = History([ACCURACY], epochs=EPOCHS)
    for a, b in itertools.product(range(6), range(6)):
        if (a + b) % 2 == 0:
            architecture = space.complete({"a": a, "b": b})
            trial = Trial(len(history), architecture, Fidelity(epochs=1), state=State.FINISHED)
            trial.metrics = {"accuracy": float(a)}
            history.add(trial)
            history.close(trial)
    strategy = BOHB(random_share=0)
    for seed in range(5):
        proposal = strategy.entrant(space, history, random.Random(seed))
        assert proposal is not None
        assert proposal.note == MODEL
        space.build(proposal.architecture)


def test_bad_settings_are_refused():
    for name, value in (("random_share", 2.0), ("good", 1.0), ("candidates", 0)):
        with pytest.raises(nas.InputError, match=name):
            BOHB(**{name: value})
