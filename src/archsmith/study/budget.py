"""When a study has spent its budget, or finds that continuing would not help."""

from __future__ import annotations

from ..history.trial import State
from .checks import why_pruned
from .state import StudyState

#: The study stops when this many trials were pruned for each trial of the budget.
PRUNED = 50
#: It stops earlier if this many were pruned before any finished; later with only a time budget.
PRUNED_FIRST, PRUNED_IN_TIME = 400, 2000
#: A trial may start if this part of the time that it is expected to take is left.
LATE = 0.75
#: Without a trial that was trained, the study goes on for the time of so many more.
FRUITLESS = 3
#: Fractions of evaluations do not add up to whole numbers exactly.
_SLACK = 1e-9


def planned_trials(trials: int | None, seconds: float | None, expected: float) -> int | None:
    """The number of trials: as given, or as many of the expected length as fit into the time."""
    if trials is not None or seconds is None or not expected:
        return trials
    return max(1, round(seconds / expected))


def over(study: StudyState, waiting: bool) -> str:
    """Why no further trial may start; empty if one may.

    ``waiting``: whether returned trials are waiting, which the budget already includes.
    """
    # If preparation took all the time, it would be wasted without at least one trial.
    owed = study.prepared and not study.history.trials
    # Trials that a limit ended before they were trained have taken little time, and found nothing.
    begun = study.counted + study.running_parts > 0
    seconds = study.budget
    if seconds is not None and study.history.trials and not begun:
        seconds += FRUITLESS * study.expected
    if seconds is not None and study.spent >= seconds and not owed:
        return f"{seconds:.4g} seconds are over"
    late = seconds is not None and study.spent + LATE * study.expected >= seconds
    if late and begun and not waiting:
        return f"no time for another trial in {seconds:.4g} seconds"
    if waiting:
        return ""
    if study.trials is not None and study.counted + study.running_parts >= study.trials - _SLACK:
        return f"{study.trials} trials are done"
    finished = study.counts[State.FINISHED]
    if study.trials is None:
        most = PRUNED_IN_TIME
    else:
        most = PRUNED * study.trials if finished else min(PRUNED * study.trials, PRUNED_FIRST)
    useless = study.trials is not None or not finished
    if useless and study.counts[State.PRUNED] >= most:
        return why_pruned(study.history)
    return ""
