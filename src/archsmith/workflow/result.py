"""The result of a search."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from .._support.renamed import warn_renamed
from ..history.paired import Comparison
from ..history.trial import History, Trial
from ..study.result import INTERRUPTED
from ..task.problem import Problem
from .baseline import Baseline
from .finalist import Finalist


@dataclass
class SearchResult:
    """The result of a search.

    Attributes:
        best: the winner trained to the end; ``None`` if the search was interrupted, if no trial
            kept the limits, or with ``finalists=0``.
        default: the space's default architecture, trained with the same recipe and seed.
        comparison: of both on the test examples; ``None`` if they are the same architecture, or if
            the task's metrics are not means over examples.
        baselines: reference models, each with its comparison with the winner.
        front: trials on the Pareto front, at the search's fidelity.
        stopped: why the search ended; ``"interrupted"`` after Ctrl-C.
        report: the HTML page, if there is a run folder.
        problems: messages about what went wrong while finalists were trained.
    """

    history: History
    front: list[Trial]
    stopped: str
    seconds: float
    problem: Problem
    best: Finalist | None = None
    default: Finalist | None = None
    comparison: Comparison | None = None
    baselines: list[Baseline] = field(default_factory=list)
    run: Path | None = None
    report: Path | None = None
    problems: list[str] = field(default_factory=list)

    @property
    def setting(self) -> Problem:
        """The problem, under its name in earlier versions."""
        warn_renamed("SearchResult.setting", "SearchResult.problem")
        return self.problem

    @property
    def interrupted(self) -> bool:
        return self.stopped == INTERRUPTED
