"""Workers on a simulated clock, against schedules worked out by hand."""

from __future__ import annotations

import heapq
import random

import numpy as np
import pytest
from torch import nn

import archsmith as nas
from archsmith.evaluate.base import Evaluator, Price
from archsmith.history.objective import Objective
from archsmith.history.trial import Fidelity, Proposal
from archsmith.space import Space
from archsmith.strategy.random import RandomSearch
from archsmith.study import Study
from archsmith.study.simulated import Simulated


def numbered() -> nn.Module:
    nas.choose("n", list(range(64)))
    return nn.Identity()


class Takes(Evaluator):
    """Answers at once and says how long it took."""

    name = "takes"
    price = Price.TABLE
    provides = ("score", "seconds")

    def __init__(self, seconds):
        self.seconds = seconds

    def evaluate(self, architecture, fidelity, seed, watch):
        n = architecture["n"]
        found = {"score": float(n)}
        if self.seconds is not None:
            found["seconds"] = self.seconds[n]
        return found


class InOrder(RandomSearch):
    """0, 1, 2, … and a note of what ran and what had ended at each proposal."""

    def __init__(self):
        self.ran, self.ended = [], []

    def propose(self, space, history, rng):
        self.ran.append(sorted(history.running))
        self.ended.append([t.number for t in history.ended])
        return Proposal(space.complete({"n": len(history)}))


def study(seconds, workers, trials, strategy=None):
    simulated = Simulated(workers)
    made = Study(
        Space(numbered),
        strategy or InOrder(),
        Takes(seconds),
        [Objective("score", "maximize")],
        executor=simulated,
        trials=trials,
    )
    return made, simulated


def test_trials_end_in_the_order_of_their_ends_and_not_of_their_starts():
    made, simulated = study([5.0, 1.0, 2.0, 4.0, 1.0], 2, 5)
    result = made.run()
    # worker A: 0 until 5, then 4 until 6; worker B: 1 until 1, 2 until 3, 3 until 7
    assert [t.number for t in result.history.ended] == [1, 2, 0, 4, 3]
    assert simulated.ended == {1: 1.0, 2: 3.0, 0: 5.0, 4: 6.0, 3: 7.0}
    assert simulated.now == 7.0


def test_a_strategy_sees_what_runs_and_what_has_ended_at_its_moment():
    strategy = InOrder()
    made, _ = study([5.0, 1.0, 2.0, 4.0, 1.0], 2, 5, strategy)
    made.run()
    assert strategy.ran == [[], [0], [0], [0], [3]]
    assert strategy.ended == [[], [], [1], [1, 2], [1, 2, 0]]


@pytest.mark.parametrize("workers", [1, 3, 8])
def test_no_worker_ever_waits(workers):
    rng = random.Random(workers)
    seconds = [rng.uniform(0.5, 9) for _ in range(64)]
    made, simulated = study(seconds, workers, 64)
    result = made.run()
    # List scheduling: each trial begins when the first worker is free.
    free, ends = [0.0] * workers, {}
    for n in range(64):
        ends[n] = heapq.heappop(free) + seconds[n]
        heapq.heappush(free, ends[n])
    assert simulated.ended == pytest.approx(ends)
    assert simulated.now == pytest.approx(max(ends.values()))
    order = [t.number for t in result.history.ended]
    assert order == sorted(ends, key=ends.__getitem__)


def test_equal_ends_come_in_the_order_of_numbers_and_none_takes_a_second():
    made, simulated = study(None, 4, 8)
    result = made.run()
    assert [t.number for t in result.history.ended] == list(range(8))
    assert simulated.now == 2.0


def test_one_worker_is_the_plain_study():
    made, _ = study([1.0] * 64, 1, 10, RandomSearch())
    plain = Study(
        Space(numbered),
        RandomSearch(),
        Takes([1.0] * 64),
        [Objective("score", "maximize")],
        trials=10,
    )
    assert [t.architecture for t in made.run().history.trials] == [
        t.architecture for t in plain.run().history.trials
    ]


def test_a_study_can_run_again():
    made, simulated = study([2.0] * 64, 2, 4)
    made.run()
    made.trials = 8
    made.run()
    assert len(made.history.ended) == 8
    assert len(simulated.ended) == 8


@pytest.mark.parametrize(("continuing", "ends"), [(False, [2.0, 12.0, 15.0]), (True, [2, 10, 13])])
def test_a_continued_training_takes_what_is_added(continuing, ends):
    class Again(InOrder):
        def propose(self, space, history, rng):
            if len(history) == 3:
                return None
            n, epochs = [(0, 2), (0, 10), (1, 3)][len(history)]
            return Proposal(space.complete({"n": n}), Fidelity(epochs=epochs))

    class ByEpochs(Takes):
        fidelities = (2, 3, 10)

        def evaluate(self, architecture, fidelity, seed, watch):
            return {"score": 1.0, "seconds": float(fidelity.epochs)}

    simulated = Simulated(1, continuing)
    goals = [Objective("score", "maximize")]
    made = Study(Space(numbered), Again(), ByEpochs(None), goals, executor=simulated, trials=9)
    history = made.run().history
    assert list(simulated.ended.values()) == ends
    assert np.cumsum([t.metrics["seconds"] for t in history.ended]).tolist() == ends
