"""Convert what users write (metrics, limits, times) to objectives, limits and seconds."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from .._support.errors import InputError, unknown
from ..history.objective import COSTS, Direction, Limit, Metric, Objective
from .base import Task

#: Limits as text (``"params<=200k"``), as values, or as a mapping from metric to bound.
Limits = Mapping[str, float] | Sequence[str | Limit]


def objectives_of(
    task: Task,
    maximize: str | Sequence[str] = (),
    minimize: str | Sequence[str] = (),
    more: Mapping[str, Metric] | None = None,
) -> tuple[Objective, ...]:
    """The objectives, those to maximise first.

    If none of the task's metrics is named, the first of them is put in front: nobody wants the
    cheapest network whatever its quality.

    Args:
        more: metrics that can be named in addition to those of the task and the costs.

    Raises:
        UnknownNameError: a metric that nothing here measures.
        InputError: a metric that is to be both maximised and minimised.
    """
    pairs: list[tuple[str, Direction]] = [(name, "maximize") for name in listed(maximize)]
    pairs += [(name, "minimize") for name in listed(minimize)]
    metrics = {**metrics_of(task), **(more or {})}
    objectives: dict[str, Objective] = {}
    for name, direction in pairs:
        if name not in metrics:
            raise unknown("metric", name, metrics)
        if name in objectives and objectives[name].direction != direction:
            raise InputError(name, "one direction", "both maximize and minimize")
        objectives[name] = Objective(name, direction)
    quality = {metric.name for metric in task.metrics}
    if not quality & objectives.keys():
        first = task.metrics[0]
        return (Objective(first.name, first.direction), *objectives.values())
    return tuple(objectives.values())


def metrics_of(task: Task) -> dict[str, Metric]:
    """All metrics that can be objectives: the task's own and the costs."""
    return {metric.name: metric for metric in task.metrics} | COSTS


def limits_of(
    task: Task, limits: Limits, more: Mapping[str, Metric] | None = None
) -> tuple[Limit, ...]:
    """Limits from text or from a mapping, whose bounds are upper ones for metrics to minimise.

    Args:
        more: as for :func:`objectives_of`.

    Raises:
        UnknownNameError: a metric that nothing here measures.
        InputError: a limit that cannot be read.
    """
    metrics = {**metrics_of(task), **(more or {})}
    parsed = parse_limits(limits, metrics)
    for limit in parsed:
        if limit.metric not in metrics:
            raise unknown("metric", limit.metric, metrics)
    return parsed


def parse_limits(limits: Limits, known: Mapping[str, Metric]) -> tuple[Limit, ...]:
    """Limits as values. The direction of a metric in ``known`` decides whether its bound in a
    mapping is an upper or a lower one.

    Raises:
        UnknownNameError: a name in a mapping that ``known`` does not have.
        InputError: a limit that cannot be read.
    """
    parsed = []
    if isinstance(limits, Mapping):
        for name, bound in limits.items():
            if name not in known:
                raise unknown("metric", name, known)
            sign = "<=" if known[name].direction == "minimize" else ">="
            parsed.append(Limit.parse(f"{name}{sign}{bound}"))
        return tuple(parsed)
    entries = [limits] if isinstance(limits, str) else limits
    return tuple(limit if isinstance(limit, Limit) else Limit.parse(limit) for limit in entries)


_NUMBER = r"(\d+(?:\.\d+)?)"
#: A number without a unit means seconds only if it stands alone: "1h30" would be ambiguous.
_TIME = re.compile(rf"^(?:{_NUMBER}h)?(?:{_NUMBER}m)?(?:{_NUMBER}s)?$")
_SECONDS = re.compile(rf"^{_NUMBER}$")


def seconds_of(time: float | str | None, what: str = "time") -> float | None:
    """Seconds from a number or from text such as ``90``, ``10m`` or ``1h30m``.

    Raises:
        InputError: text that is not a time; ``what`` names it in the message.
    """
    if time is None or isinstance(time, int | float):
        return time
    alone = _SECONDS.match(time.strip())
    if alone:
        return float(alone[1])
    match = _TIME.match(time.strip())
    if not match or not any(match.groups()):
        raise InputError(what, "seconds, or a text like 90s, 10m or 1h30m", repr(time))
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


def listed(names: str | Sequence[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def check_numbers(finalists: int | None, workers: int, final_seeds: int) -> None:
    """Raise InputError for an impossible number of finalists, workers or seeds."""
    if final_seeds < 1:
        raise InputError("final seeds", "1 or more", str(final_seeds))
    if finalists is not None and finalists < 0:
        raise InputError("finalists", "0 or more", str(finalists))
    if workers < 1:
        raise InputError("workers", "1 or more", str(workers))
