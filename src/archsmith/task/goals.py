"""From what a user says (metrics, limits, times) to objectives, limits and seconds."""

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

    The task's own first metric is put in front where none of its metrics is named: the cheapest
    network alone is nobody's wish.

    Args:
        more: metrics that can be named beside those of the task and the costs.

    Raises:
        UnknownNameError: a metric that nothing here measures.
        InputError: one metric both ways.
    """
    pairs: list[tuple[str, Direction]] = [(name, "maximize") for name in listed(maximize)]
    pairs += [(name, "minimize") for name in listed(minimize)]
    known = {**metrics_of(task), **(more or {})}
    found: dict[str, Objective] = {}
    for name, direction in pairs:
        if name not in known:
            raise unknown("metric", name, known)
        if name in found and found[name].direction != direction:
            raise InputError(name, "one direction", "both maximize and minimize")
        found[name] = Objective(name, direction)
    quality = {metric.name for metric in task.metrics}
    if not quality & found.keys():
        first = task.metrics[0]
        return (Objective(first.name, first.direction), *found.values())
    return tuple(found.values())


def metrics_of(task: Task) -> dict[str, Metric]:
    """All metrics that can be aimed at: the task's own and the costs."""
    return {metric.name: metric for metric in task.metrics} | COSTS


def limits_of(
    task: Task, limits: Limits, more: Mapping[str, Metric] | None = None
) -> tuple[Limit, ...]:
    """Limits from text or from a mapping; the better direction of a metric gives the sign.

    Args:
        more: as for :func:`objectives_of`.

    Raises:
        UnknownNameError: a metric that nothing here measures.
        InputError: a limit that cannot be read.
    """
    known = {**metrics_of(task), **(more or {})}
    found = parse_limits(limits, known)
    for limit in found:
        if limit.metric not in known:
            raise unknown("metric", limit.metric, known)
    return found


def parse_limits(limits: Limits, known: Mapping[str, Metric]) -> tuple[Limit, ...]:
    """Limits as values; ``known`` says which sign a bound in a mapping has.

    Raises:
        UnknownNameError: a name in a mapping that is not known.
        InputError: a limit that cannot be read.
    """
    found = []
    if isinstance(limits, Mapping):
        for name, bound in limits.items():
            if name not in known:
                raise unknown("metric", name, known)
            sign = "<=" if known[name].direction == "minimize" else ">="
            found.append(Limit.parse(f"{name}{sign}{bound}"))
        return tuple(found)
    given = [limits] if isinstance(limits, str) else limits
    return tuple(limit if isinstance(limit, Limit) else Limit.parse(limit) for limit in given)


_NUMBER = r"(\d+(?:\.\d+)?)"
#: A number without a unit is seconds where it stands alone: "1h30" could mean anything.
_TIME = re.compile(rf"^(?:{_NUMBER}h)?(?:{_NUMBER}m)?(?:{_NUMBER}s)?$")
_SECONDS = re.compile(rf"^{_NUMBER}$")


def seconds_of(time: float | str | None, what: str = "time") -> float | None:
    """Seconds from a number or from text such as ``90``, ``10m`` or ``1h30m``."""
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


def check_numbers(finalists: int, workers: int, final_seeds: int) -> None:
    """Raise InputError for a number of finalists, workers or seeds that makes no sense."""
    if final_seeds < 1:
        raise InputError("final seeds", "1 or more", str(final_seeds))
    if finalists < 0:
        raise InputError("finalists", "0 or more", str(finalists))
    if workers < 1:
        raise InputError("workers", "1 or more", str(workers))
