"""What a study tells while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..history.trial import Trial

Kind = Literal["started", "epoch", "ended", "returned"]


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a study stands after something happened to one of its trials.

    Attributes:
        kind: what happened; an epoch's metrics are the last of ``trial.curve``.
        running: trials that are being evaluated now.
        wanted: finished and failed trials in the budget, ``None`` where only time limits.
        seconds: time worked so far, over all sessions.
        left: estimate of the seconds left, ``None`` before this session's first end.
        last_error: why the last failed trial failed, empty where none did.
    """

    kind: Kind
    trial: Trial
    best: Trial | None
    running: int
    finished: int
    failed: int
    pruned: int
    counted: float
    wanted: int | None
    seconds: float
    left: float | None
    last_error: str
