"""What a study refuses before it starts, and which results it refuses."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from .._support.errors import InputError, WorkError, unknown
from ..evaluate.base import Evaluator
from ..history.objective import Limit, Objective
from ..history.trial import History, State
from .record import Record

if TYPE_CHECKING:
    from ..space import Space

#: Spaces up to this size are enumerated to see whether anything is left.
_LISTED = 100_000


def check_budget(
    trials: int | None, seconds: float | None, trial_time: float | None = None
) -> None:
    """Refuse a study without a budget, or with one that is not positive.

    Raises:
        InputError: neither trials nor seconds are given, or a value is not positive.
    """
    if trials is None and seconds is None:
        raise InputError("budget", "a number of trials, a time, or both", "neither")
    if trials is not None and trials < 1:
        raise InputError("trials", "1 or more", str(trials))
    if seconds is not None and not seconds > 0:
        raise InputError("seconds", "more than 0", f"{seconds:g}")
    if trial_time is not None and not trial_time > 0:
        raise InputError("trial time", "more than 0 seconds", f"{trial_time:g}")


def check_metrics(
    evaluator: Evaluator, objectives: Sequence[Objective], limits: Sequence[Limit]
) -> None:
    """Refuse a study without objectives, or with metrics that the evaluator does not provide.

    Raises:
        InputError: there is no objective.
        UnknownNameError: the evaluator does not provide a metric.
    """
    if not objectives:
        raise InputError("objectives", "at least one", "none")
    for name in [o.metric for o in objectives] + [limit.metric for limit in limits]:
        if name not in evaluator.provides:
            raise unknown("metric", name, evaluator.provides)


def flaw(
    metrics: Mapping[str, float], objectives: Sequence[Objective], limits: Sequence[Limit] = ()
) -> str:
    """What makes the metrics of an evaluation unusable; empty if nothing does."""
    for limit in limits:
        if limit.metric not in metrics:
            return f"{limit.metric} is missing from what the evaluator gave"
    for objective in objectives:
        value = metrics.get(objective.metric)
        if value is None:
            return f"{objective.metric} is missing from what the evaluator gave"
        if math.isnan(value):
            return f"{objective.metric} is NaN"
        if math.isinf(value):
            return f"{objective.metric} is infinite"
    return ""


def last_reason(record: Record, state: State) -> str:
    """Why the last trial that ended in this state did so; empty if there is none."""
    return next((t.reason for t in reversed(record.ended) if t.state is state), "")


def why_pruned(history: History) -> str:
    """For a study in which trials were only pruned: how many, why, and how near they came."""
    last = history.pruned[-1].reason
    text = f"{len(history.pruned)} trials were pruned, the last one because {last}"
    for limit in history.limits:
        broken = [t.metrics for t in history.pruned if limit.violation(t.metrics) > 0]
        if broken:
            value = min(broken, key=limit.violation)[limit.metric]
            text += f"; of those that broke {limit}, the nearest had {value:,.6g}"
    return text


def nothing_new(space: Space, history: History) -> str:
    """Why a strategy has nothing to propose, as a text for users."""
    size = space.size()
    if size.exact and size.count <= _LISTED and not any(map(history.new, space.enumerate())):
        return f"all {size.count:,} architectures were seen"
    return "the strategy has nothing new left to try"


def all_failed(failed: int, last: str) -> WorkError:
    """The error for a study in which trials failed and none finished."""
    return WorkError(
        "study",
        "a trial that finishes",
        f"{failed} that failed and none that finished; the last failure: {last}",
        "fix the cause and run the same command again; it continues with new trials",
    )
