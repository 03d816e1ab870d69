"""What a study tells while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ..trial import State, Trial

if TYPE_CHECKING:
    from .study import Study

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


def tell(study: Study, kind: Kind, trial: Trial) -> None:
    """Pass progress on to the study's listener."""
    if study.on_event is None:
        return
    counts, seconds = study.counts, study.elapsed
    study.on_event(
        Progress(
            kind,
            trial,
            study.incumbents.best,
            study.running,
            counts[State.FINISHED],
            counts[State.FAILED],
            counts[State.PRUNED],
            study.counted,
            study.trials,
            seconds,
            _left(study, seconds),
            study.last_error,
        )
    )


def _left(study: Study, seconds: float) -> float | None:
    estimates = []
    if study.trials is not None and study.counted_now:
        # The pace of this session: others may have had more workers, or been killed at the start.
        pace = study.elapsed_now / study.counted_now
        estimates.append(pace * max(0, study.trials - study.counted))
    if study.budget is not None:
        estimates.append(max(0.0, study.budget - study.spent))
    return min(estimates, default=None)
