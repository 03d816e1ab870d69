"""What a study refuses before it starts, and what it refuses to call a result."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ..errors import InputError, unknown
from ..evaluate.base import Evaluator
from ..objective import Limit, Objective
from ..trial import State
from .record import Record


def check_budget(trials: int | None, seconds: float | None) -> None:
    """Raise :class:`~archsmith.errors.InputError` unless there is a budget, and a positive one."""
    if trials is None and seconds is None:
        raise InputError("budget", "a number of trials, a time, or both", "neither")
    if trials is not None and trials < 1:
        raise InputError("trials", "1 or more", str(trials))
    if seconds is not None and not seconds > 0:
        raise InputError("seconds", "more than 0", f"{seconds:g}")


def check_metrics(
    evaluator: Evaluator, objectives: Sequence[Objective], limits: Sequence[Limit]
) -> None:
    """Raise unless there are objectives, and the evaluator gives all that is asked for.

    Raises:
        InputError: no objective.
        UnknownNameError: a metric that the evaluator does not give.
    """
    if not objectives:
        raise InputError("objectives", "at least one", "none")
    for name in [o.metric for o in objectives] + [limit.metric for limit in limits]:
        if name not in evaluator.provides:
            raise unknown("metric", name, evaluator.provides)


def flaw(metrics: Mapping[str, float], objectives: Sequence[Objective]) -> str:
    """What makes an evaluation worthless; empty where nothing does."""
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
    """Why the last trial that ended in this state did so; empty where there is none."""
    return next((t.reason for t in reversed(record.ended) if t.state is state), "")
