"""What a search gives and tells: the winner, the whole result, and who listens."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from .._support.renamed import warn_renamed
from ..history.paired import Comparison
from ..history.trial import History, Trial
from ..study.result import INTERRUPTED
from ..task.problem import Problem
from .finalist import Finalist

if TYPE_CHECKING:
    pass


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
    best: Finalist | None = None
    default: Finalist | None = None
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
