"""Workers on a simulated clock: evaluations take the time that they report, not real time."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Mapping
from pathlib import Path

from ..evaluate.base import Evaluator
from ..evaluate.table import SECONDS
from ..space.architecture import Architecture
from .executor import NEVER, Ended, Executor, Job, Report, evaluate


class Simulated(Executor):
    """Evaluates in this process, and reports as if several workers ran in parallel.

    A benchmark table answers at once; this returns its answers in the order, and with the same
    trials running in parallel, as in a real search. The metric ``seconds`` says how long an
    evaluation takes; one without it takes one second.

    Args:
        workers: number of simulated workers.
        continuing: whether an evaluation goes on from the longest earlier one of the same
            architecture, as a training from kept weights does: it takes, and reports, only the
            seconds that are added. By default each begins anew and takes all of them.

    Attributes:
        now: simulated seconds since the study began.
    """

    def __init__(self, workers: int = 1, continuing: bool = False) -> None:
        self.workers, self.continuing = workers, continuing
        self.now = 0.0
        #: When each trial ended.
        self.ended: dict[int, float] = {}

    def open(
        self, evaluator: Evaluator, folder: Path | None, report: Callable[[Report], None]
    ) -> None:
        self._evaluator, self._folder, self._report = evaluator, folder, report
        self._free = [f"simulated {i}" for i in range(self.workers)]
        self._busy: list[tuple[float, int, str, Ended]] = []
        #: Seconds that each architecture was trained for.
        self._trained: dict[Architecture, float] = {}

    def free(self) -> list[str]:
        return list(self._free)

    def submit(self, worker: str, job: Job) -> None:
        self._free.remove(worker)
        ended = evaluate(self._evaluator, job, self._folder, self._report)
        if self.continuing and SECONDS in ended.metrics:
            whole, before = ended.metrics[SECONDS], self._trained.get(job.architecture, 0.0)
            self._trained[job.architecture] = max(whole, before)
            ended.metrics[SECONDS] = max(whole - before, 0.0)
        end = self.now + ended.metrics.get(SECONDS, 1.0)
        heapq.heappush(self._busy, (end, job.number, worker, ended))

    def wait(self, until: Mapping[int, float] = NEVER, wake: float = math.inf) -> None:
        if not self._busy:
            return
        self.now, number, worker, ended = heapq.heappop(self._busy)
        self.ended[number] = self.now
        self._free.append(worker)
        self._report(ended)

    def close(self) -> None:
        self._busy = []
