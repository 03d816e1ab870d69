"""The agreement of short with longer trials of a study, against scipy."""

from __future__ import annotations

import random

import pytest
from scipy.stats import kendalltau

import archsmith as nas
from archsmith.history.ladder import rung_agreements
from archsmith.history.trial import Fidelity, History, State, Trial


def studied(values: dict[int, dict[int, float]], direction: str = "maximize") -> History:
    """A history of trials by architecture and epochs."""
    history = History((nas.Objective("score", direction),), epochs=(1, 3, 9))
    for name, scores in values.items():
        for epochs, score in scores.items():
            architecture = nas.Architecture({"x": name})
            trial = Trial(len(history), architecture, Fidelity(epochs), state=State.FINISHED)
            trial.metrics = {"score": score}
            history.add(trial)
            history.close(trial)
    return history


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_each_rung_is_compared_with_the_next(direction):
    rng = random.Random(0)
    values = {n: {e: rng.random() for e in (1, 3, 9)[: 1 + (n < 8) + (n < 4)]} for n in range(20)}
    found = rung_agreements(studied(values, direction))
    assert [(a.low.epochs, a.high.epochs, a.count) for a in found] == [(1, 3, 8), (3, 9, 4)]
    for agreement, count in zip(found, (8, 4)):
        low, high = (
            [values[n][f.epochs] for n in range(count)] for f in (agreement.low, agreement.high)
        )
        assert agreement.tau.value == pytest.approx(kendalltau(low, high).statistic)
    assert str(found[0]).startswith("rank agreement of 1 epoch with 3 epochs, over the 8 ")
    assert "[" in str(found[0])


def test_two_architectures_on_both_rungs_say_nothing():
    assert rung_agreements(studied({0: {1: 0.1, 3: 0.2}, 1: {1: 0.2, 3: 0.3}, 2: {1: 0.0}})) == []


def test_failed_trials_do_not_count():
    history = studied({n: {1: n / 10, 3: n / 5} for n in range(4)})
    assert rung_agreements(history)[0].tau.value == 1.0
    history.trials[1].state = State.FAILED
    assert rung_agreements(history)[0].count == 3
