"""One run of a strategy on a benchmark table, and its curve over queries."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..evaluate.table import TableEvaluator
from ..history.objective import Limit, Objective, hypervolume
from ..history.trial import Fidelity, History, Proposal, Trial
from ..strategy.base import Strategy
from ..study import Study
from ..study.result import INTERRUPTED
from ..study.simulated import Simulated
from ..tables.base import BenchmarkTable

if TYPE_CHECKING:
    from ..space import Space

#: Tolerance for rounding when the costs of many small evaluations are summed.
_EPSILON = 1e-9


@dataclass(frozen=True, slots=True)
class Goal:
    """What runs aim for.

    Attributes:
        objectives: the first one is the table's own.
        limits: bounds that a result must keep.
        optimum: the least loss by the first objective among the rows that keep the limits.
        reference: with several objectives, the reference point (as losses) for hypervolume.
    """

    objectives: tuple[Objective, ...]
    limits: tuple[Limit, ...]
    optimum: float
    reference: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Repeat:
    """One run; each list has one value per query.

    Only full evaluations count, since a short one says little about an architecture.

    Attributes:
        valid: the table's own objective of the best architecture so far; NaN before the first full
            evaluation that keeps the limits.
        test: the reported metric of the same architecture.
        optimum: whether it is the optimum.
        clock: simulated time, in the table's unit.
        volume: hypervolume so far, 0.0 before the first result; empty with one objective.
        seconds: real seconds per trial.
        trials: number of trials.
        stopped: why the run ended.
    """

    valid: list[float]
    test: list[float]
    optimum: list[bool]
    clock: list[float]
    volume: list[float]
    seconds: float
    trials: int
    stopped: str


class Within(Strategy):
    """Stops a strategy when its evaluations add up to a number of full ones; for one study."""

    name = "within"

    def __init__(self, strategy: Strategy, queries: int, full: int) -> None:
        self.strategy, self.queries, self.full = strategy, queries, full
        self._spent, self._counted = 0.0, 0

    def check(self, space: Space, history: History) -> None:
        self.strategy.check(space, history)

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        for trial in history.trials[self._counted :]:
            self._spent += self.cost(trial.fidelity)
        self._counted = len(history)
        spent = self._spent
        if spent + _EPSILON >= self.queries:
            return None
        proposal = self.strategy.propose(space, history, rng)
        if proposal is None:
            return None
        more = self.cost(proposal.fidelity or Fidelity())
        return proposal if spent + more <= self.queries + _EPSILON else None

    def cost(self, fidelity: Fidelity) -> float:
        """The cost of an evaluation, in full evaluations."""
        if fidelity.epochs is None or not self.full:
            return 1.0
        return fidelity.epochs / self.full


def repeat(
    table: BenchmarkTable, strategy: Strategy, goal: Goal, queries: int, workers: int, seed: int
) -> Repeat:
    """Run a strategy once, and record its best architecture after each query."""
    full = table.epochs[-1] if table.epochs else 0
    within = Within(strategy, queries, full)
    simulated = Simulated(workers)
    study = Study(
        table.space,
        within,
        TableEvaluator(table),
        goal.objectives,
        goal.limits,
        executor=simulated,
        seed=seed,
        trials=queries,
    )
    began = time.perf_counter()
    result = study.run()
    seconds = time.perf_counter() - began
    if result.stopped == INTERRUPTED:
        raise KeyboardInterrupt  # a study keeps its trials, but half a run is useless here
    ended = result.history.ended
    stopped = "all queries were spent"
    if sum(within.cost(t.fidelity) for t in ended) + 1 <= queries:
        stopped = f"all {len(result.history.seen):,} graphs were seen"
        if len(result.history.seen) < table.graphs:
            stopped = "the strategy had nothing new left to try"
    curve = _Curve(table, goal, result.history, queries)
    spent = 0.0
    for trial in ended:
        spent += within.cost(trial.fidelity)
        curve.take(trial, spent, simulated.ended[trial.number])
    curve.fill()
    return Repeat(
        curve.valid,
        curve.test,
        curve.optimum,
        curve.clock,
        curve.volume,
        seconds / max(1, len(ended)),
        len(ended),
        stopped,
    )


class _Curve:
    """The best after each query; an evaluation that ends between two counts for the later one."""

    def __init__(self, table: BenchmarkTable, goal: Goal, history: History, queries: int) -> None:
        self.table, self.goal, self.queries = table, goal, queries
        self.valid: list[float] = []
        self.test: list[float] = []
        self.optimum: list[bool] = []
        self.clock: list[float] = []
        self.volume: list[float] = []
        self._history = history
        self._best: Trial | None = None
        self._rank: tuple[float, ...] = ()
        self._front: list[tuple[float, ...]] = []
        self._volume = self._now = 0.0

    def take(self, trial: Trial, spent: float, now: float) -> None:
        """Add a trial that ended after ``spent`` queries, at simulated time ``now``."""
        while len(self.valid) + 1 < spent - _EPSILON:
            self._note()
        self._now = now
        if trial.metrics and self._whole(trial.fidelity):
            violation = self._history.violation(trial.metrics)
            # The limits decide first, then the objective; ties keep the earlier trial.
            rank = (violation, self.goal.objectives[0].loss(trial.metrics))
            if self._best is None or rank < self._rank:
                self._best, self._rank = trial, rank
            if self.goal.reference and violation == 0.0:
                self._grow(self._history.losses(trial))
        if spent >= len(self.valid) + 1 - _EPSILON:
            self._note()

    def fill(self) -> None:
        """Repeat the last value up to the last query."""
        while len(self.valid) < self.queries:
            self._note()

    def _whole(self, fidelity: Fidelity) -> bool:
        epochs = self.table.epochs
        return fidelity.epochs is None or not epochs or fidelity.epochs >= epochs[-1]

    def _grow(self, losses: tuple[float, ...]) -> None:
        if any(all(x <= y for x, y in zip(other, losses)) for other in self._front):
            return
        self._front.append(losses)
        self._volume = hypervolume(self._front, self.goal.reference)

    def _note(self) -> None:
        if len(self.valid) >= self.queries:
            return
        row = self.table.row(self._best.architecture) if self._best else None
        kept = row is not None and self._rank[0] == 0.0
        loss = float(self.table.losses[row]) if row is not None else math.inf
        values = self.table.values
        self.valid.append(float(values[self.table.select.metric][row]) if kept else math.nan)
        self.test.append(float(values[self.table.report][row]) if kept else math.nan)
        self.optimum.append(kept and loss <= self.goal.optimum)
        self.clock.append(self._now)
        if self.goal.reference:
            self.volume.append(self._volume)


def checkpoints(queries: int) -> Sequence[int]:
    """The numbers of queries that a table of results shows."""
    return [q for q in (10, 30, 50, 100, 150, 200, 300, 500, 1000) if q < queries] + [queries]
