"""Reports progress to a study's listener."""

from __future__ import annotations

from ..history.trial import State, Trial
from .progress import Kind, Progress
from .state import StudyState


def tell(study: StudyState, kind: Kind, trial: Trial) -> None:
    """Report an event of a trial to the study's listener, if it has one."""
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


def _left(study: StudyState, seconds: float) -> float | None:
    estimates = []
    if study.trials is not None and study.counted_now:
        # Only this session's pace: others may have had more workers, or been killed early.
        pace = study.elapsed_now / study.counted_now
        estimates.append(pace * max(0, study.trials - study.counted))
    if study.budget is not None:
        estimates.append(max(0.0, study.budget - study.spent))
    return min(estimates, default=None)
