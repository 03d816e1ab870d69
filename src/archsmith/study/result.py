"""What a study comes to."""

from __future__ import annotations

from dataclasses import dataclass

from ..history.trial import History, Trial

INTERRUPTED = "interrupted"
#: Why a session closed in which the study was only made ready.
PREPARED = "made ready for its first trial"


@dataclass(frozen=True)
class StudyResult:
    """What a study came to.

    Attributes:
        best: the best finished trial by the first objective; ``None`` where none keeps the limits.
        front: the Pareto front, by first objective.
        stopped: why the study ended; ``"interrupted"`` after Ctrl-C or SIGTERM.
        seconds: time worked, over all sessions.
    """

    history: History
    best: Trial | None
    front: list[Trial]
    stopped: str
    seconds: float

    @property
    def interrupted(self) -> bool:
        return self.stopped == INTERRUPTED
