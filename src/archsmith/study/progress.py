"""What a study reports while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..history.trial import Trial

Kind = Literal["started", "epoch", "ended", "returned"]


@dataclass(frozen=True, slots=True)
class Progress:
    """The state of a study after an event of one of its trials.

    Attributes:
        kind: what happened; an epoch's metrics are the last of ``trial.curve``.
        running: number of trials that are being evaluated now.
        counted: trials that the budget counts, each as its part of a full evaluation.
        wanted: budget of finished and failed trials; ``None`` if only time is limited.
        seconds: time worked so far, over all sessions.
        left: estimate of the seconds left; ``None`` before the first trial of this session ends.
        last_error: why the last failed trial failed; empty if none did.
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
