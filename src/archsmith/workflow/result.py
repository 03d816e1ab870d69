"""What a search gives and tells: the winner, the whole result, and who listens."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._support.renamed import warn_renamed
from ..history.paired import Comparison
from ..history.trial import History, Trial
from ..space import Architecture
from ..space.ordinary import ordinary
from ..study import Progress, Study
from ..study.result import INTERRUPTED
from ..task.problem import Problem
from .advice import OnScored
from .finalist import Final, model_of
from .finalists import OnFinal
from .latency import OnMeasured
from .oneshot import OnShared

if TYPE_CHECKING:
    from torch import nn

    from ..export.parity import Parity


@dataclass
class Found:
    """An architecture that was found and trained to the end.

    Attributes:
        number: of its trial; -1 where no trial had it.
        metrics: validation metrics and costs.
        test: metrics on the test part.
        curve: per-epoch metrics of its training.
    """

    number: int
    architecture: Architecture
    metrics: dict[str, float]
    test: dict[str, float]
    curve: list[dict[str, float]]
    _problem: Problem = field(repr=False)
    _final: Final = field(repr=False)

    @property
    @ordinary()
    def model(self) -> nn.Module:
        """A fresh copy of the trained plain module, on the CPU and in evaluation mode."""
        return model_of(self._problem, self._final)

    @ordinary()
    def export(self, folder: str | Path, onnx: Any = "auto") -> Parity:
        """Write it as files that load without archsmith; see :func:`archsmith.export.export`."""
        from ..export import export

        s = self._problem
        metrics = {f"test_{name}": value for name, value in self.test.items()} | self.metrics
        return export(
            self.model,
            s.task,
            s.data,
            s.space,
            self.architecture,
            folder,
            metrics=metrics,
            onnx=onnx,
        )


@dataclass
class SearchResult:
    """What a search came to.

    Attributes:
        best: the winner trained to the end; ``None`` where the search was interrupted, where no
            trial kept the limits, or where ``finalists=0``.
        default: the space's default architecture under the same recipe and seed.
        comparison: of both on the test examples; ``None`` where they are the same architecture, or
            where the task's metrics are no means over examples.
        front: trials on the Pareto front, at the search's fidelity.
        stopped: why the search ended; ``"interrupted"`` after Ctrl-C.
        report: the page, where there is a run folder.
        problems: what went wrong while finalists were trained, in words.
    """

    history: History
    front: list[Trial]
    stopped: str
    seconds: float
    problem: Problem
    best: Found | None = None
    default: Found | None = None
    comparison: Comparison | None = None
    run: Path | None = None
    report: Path | None = None
    problems: list[str] = field(default_factory=list)

    @property
    def setting(self) -> Problem:
        """The problem, by its name of earlier versions."""
        warn_renamed("SearchResult.setting", "SearchResult.problem")
        return self.problem

    @property
    def interrupted(self) -> bool:
        return self.stopped == INTERRUPTED


@dataclass
class Listener:
    """What a search tells while it works; any part may be left out.

    Attributes:
        ready: once, when everything is checked and the search begins.
        event: at each step of the study.
        shared: after each epoch of a supernet.
        scored: after each architecture that a proxy has scored, with how many of how many.
        final: after each epoch of a training to the end.
        measured: how many measurements of a latency predictor are done, and of how many.
        doubt: why limits may be out of reach, before the search begins; a warning by default.
    """

    ready: Callable[[Problem, Study], None] | None = None
    event: Callable[[Progress], None] | None = None
    shared: OnShared | None = None
    final: OnFinal | None = None
    scored: OnScored | None = None
    measured: OnMeasured | None = None
    doubt: Callable[[str], None] = warnings.warn


def found_of(problem: Problem, final: Final) -> Found:
    return Found(
        final.number, final.architecture, final.metrics, final.test, final.curve, problem, final
    )
