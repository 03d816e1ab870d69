"""The result of a study."""

from __future__ import annotations

from dataclasses import dataclass

from ..history.trial import History, Trial

INTERRUPTED = "interrupted"
#: Why a session closed that only prepared the study.
PREPARED = "made ready for its first trial"


@dataclass(frozen=True)
class StudyResult:
    """The result of a study.

    Attributes:
        history: all trials.
        best: the best finished trial by the first objective; ``None`` if none keeps the limits.
        front: the Pareto front, ordered by the first objective.
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
