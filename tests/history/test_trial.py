"""Histories: what counts as new, what may be compared, and incumbents kept up to date."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from archsmith.history.objective import Limit, Objective
from archsmith.history.trial import Fidelity, History, State, Trial
from archsmith.space.architecture import Architecture
from archsmith.study.incumbent import Incumbents

ACCURACY = Objective("accuracy", "maximize")
PARAMS = Objective("params", "minimize")


def trial(number, answer, epochs=None, state=State.FINISHED, share=1.0, **metrics):
    return Trial(
        number, Architecture({"a": answer}), Fidelity(epochs, share), state=state, metrics=metrics
    )


def test_another_spelling_is_not_new():
    history = History([ACCURACY], key=lambda a: abs(a["a"]))
    assert history.new(Architecture({"a": 3}))
    running = trial(0, 3, state=State.RUNNING)
    history.add(running)
    assert not history.new(Architecture({"a": 3})), "running ones are seen too"
    assert not history.new(Architecture({"a": -3}))
    assert history.new(Architecture({"a": 4}))
    running.state = State.FAILED
    history.close(running)
    assert not history.new(Architecture({"a": -3})), "and failed ones"
    assert history.seen == {3}


def test_without_a_key_the_content_counts():
    history = History([ACCURACY])
    history.add(trial(0, 3))
    assert not history.new(Architecture({"a": 3}))
    assert history.new(Architecture({"a": -3}))


def test_full_are_the_finished_at_the_highest_fidelity_seen():
    history = History([ACCURACY], epochs=[1, 3, 9])
    assert history.epochs == (1, 3, 9)
    steps = [
        (trial(0, 0, 1, accuracy=0.9), [0]),
        (trial(1, 1, 1, accuracy=0.8), [0, 1]),
        (trial(2, 2, 9, State.FAILED), [0, 1]),
        (trial(3, 3, 3, accuracy=0.1), [3]),
        (trial(4, 4, 1, accuracy=1.0), [3]),
        (trial(5, 5, 9, State.PRUNED, accuracy=0.7), [3]),
        (trial(6, 6, 3, share=0.5, accuracy=0.9), [3]),
        (trial(7, 7, 9, accuracy=0.2), [7]),
        (trial(8, 8, None, accuracy=0.3), [8]),
    ]
    for made, full in steps:
        history.add(made)
        history.close(made)
        assert [t.number for t in history.full] == full
    best = history.best()
    assert best is not None
    assert best.number == 8
    assert len(history.finished) == 7


@pytest.mark.parametrize("seed", range(30))
def test_incumbents_are_the_front_at_every_moment(seed):
    """Random trials of several fidelities, with limits, ties, failures and NaN."""
    rng = random.Random(seed)
    objectives = [[ACCURACY], [ACCURACY, PARAMS]][seed % 2]
    limits = [Limit("params", "<=", 7)] if seed % 3 else []
    history = History(objectives, limits)
    incumbents = Incumbents(history)
    kept: set[int] = set()
    for number in range(60):
        state = rng.choices([State.FINISHED, State.FAILED, State.PRUNED], [8, 1, 1])[0]
        metrics = {
            "accuracy": rng.choice(
                [rng.randint(0, 5) / 5, float("nan")]
                if number % 9 == 0
                else [rng.randint(0, 5) / 5]
            ),
            "params": float(rng.randint(1, 9)),
        }
        if rng.random() < 0.5:
            metrics["loss"] = rng.choice([0.1, 0.2, float("nan")])
        epochs = rng.choices([1, 3, 9, None], [60, 12, 4, 1])[0]
        made = trial(number, number, epochs, state, **metrics)
        history.add(made)
        history.close(made)
        dropped = incumbents.add(made)
        kept = (kept | {number}) - {t.number for t in dropped}
        assert Counter(t.number for t in incumbents.front()) == Counter(
            t.number for t in history.front()
        )
        best, other = incumbents.best, history.best()
        assert (best is None) == (other is None)
        if best is not None and other is not None:
            assert best.number == other.number
        assert kept == incumbents.kept()
    # Taken in at once, as when a study is resumed.
    again = Incumbents(history)
    assert [t.number for t in again.front()] == [t.number for t in incumbents.front()]
    assert again.best is incumbents.best


def test_ranking_by_limits_then_objective_then_loss():
    history = History([ACCURACY], [Limit("params", "<=", 10)])
    trials = [
        trial(0, 0, accuracy=0.9, params=99.0),
        trial(1, 1, accuracy=0.5, params=1.0, loss=0.4),
        trial(2, 2, accuracy=0.5, params=1.0, loss=0.3),
        trial(3, 3, accuracy=0.9, params=11.0),
        trial(4, 4, accuracy=0.6, params=10.0),
    ]
    assert [t.number for t in history.ranked(trials)] == [4, 2, 1, 3, 0]
