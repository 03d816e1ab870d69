"""What runs on a table aim for: objectives, limits and the best recorded value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from .._support.errors import InputError, LimitError, unknown
from ..history.objective import Limit, Objective, hypervolume
from ..tables import BenchmarkTable
from ..task.goals import Limits, listed, parse_limits
from .repeat import Goal


def goal_of(
    table: BenchmarkTable,
    objectives: Sequence[Objective] = (),
    limits: Limits = (),
    maximize: str | Sequence[str] = (),
    minimize: str | Sequence[str] = (),
) -> Goal:
    """The table's own objective and further ones, with the best value under the limits.

    Raises:
        UnknownNameError: the table has no such metric.
        InputError: a metric cannot be used, or is given twice.
        LimitError: no row keeps the limits.
    """
    more = [*objectives]
    more += [Objective(name, "maximize") for name in listed(maximize)]
    more += [Objective(name, "minimize") for name in listed(minimize)]
    # A bound in a mapping needs its metric's direction, so that its name is checked first.
    bounded = list(limits) if isinstance(limits, Mapping) else []
    for metric in [o.metric for o in more] + bounded:
        _check_metric(table, metric)
    bounds = parse_limits(limits, table.metrics)
    for limit in bounds:
        _check_metric(table, limit.metric)
    own = table.select
    for objective in more:
        if objective.metric == own.metric and objective != own:
            own_goal = f"{own.direction} {own.metric}"
            raise InputError(
                "objectives",
                f"metrics in addition to {own.metric}",
                f"{objective.direction} {objective.metric}",
                f"{own_goal} is already the table's own objective",
            )
    goals = (own, *(o for o in more if o != own))
    if len({o.metric for o in goals}) < len(goals):
        raise InputError("objectives", "each metric once", ", ".join(o.metric for o in goals))
    kept = _kept(table, bounds)
    optimum = float(table.losses[kept].min())
    if len(goals) == 1:
        return Goal(goals, bounds, optimum)
    losses = _losses(table, goals)
    worst, whole = losses[:, kept].max(axis=1), losses.max(axis=1)
    # If few rows keep the limits they may span no volume; then the whole table, or a point beyond
    # it, is the reference.
    for reference in (worst, whole, whole + 1.0):
        goal = Goal(goals, bounds, optimum, tuple(map(float, reference)))
        if front_volume(table, goal) > 0:
            break
    return goal


def unknown_early(table: BenchmarkTable, goal: Goal) -> list[str]:
    """Metrics of the goal that the table lacks at some lower fidelity."""
    names = [o.metric for o in goal.objectives] + [limit.metric for limit in goal.limits]
    return [
        name
        for name in dict.fromkeys(names)
        if any(np.isnan(early[name]).any() for early in table.early.values() if name in early)
    ]


def front_volume(table: BenchmarkTable, goal: Goal) -> float:
    """Hypervolume of the table's true Pareto front; 0.0 with one objective."""
    if not goal.reference:
        return 0.0
    losses = _losses(table, goal.objectives)[:, _kept(table, goal.limits)].T
    return hypervolume(_front(losses), goal.reference)


def _front(losses: np.ndarray) -> list[tuple[float, ...]]:
    """The Pareto front of loss vectors (n, objectives), each vector once."""
    rows, front = np.unique(losses, axis=0), []
    while len(rows):
        # The lexicographically first of the remaining rows is dominated by none.
        front.append(tuple(map(float, rows[0])))
        rows = rows[~(rows >= rows[0]).all(axis=1)]
    return front


def _losses(table: BenchmarkTable, objectives: Sequence[Objective]) -> np.ndarray:
    signs = [1.0 if o.direction == "minimize" else -1.0 for o in objectives]
    return np.stack([s * table.values[o.metric] for s, o in zip(signs, objectives)])


def _check_metric(table: BenchmarkTable, metric: str) -> None:
    if metric in table.left_out:
        raise InputError(
            f"metric {metric} of {table.name}",
            "a finite number in each row",
            table.left_out[metric],
            "fix the column, or leave out the rows that lack it",
        )
    if metric not in table.values:
        raise unknown(f"metric of {table.name}", metric, table.values)


def _kept(table: BenchmarkTable, limits: Sequence[Limit]) -> np.ndarray:
    """Which rows keep all limits, a mask of shape (rows,)."""
    kept = np.ones(len(table.architectures), dtype=bool)
    for place, limit in enumerate(limits):
        column, before = table.values[limit.metric], kept
        kept = before & (column <= limit.bound if limit.sign == "<=" else column >= limit.bound)
        if not kept.any():
            best = column[before].min() if limit.sign == "<=" else column[before].max()
            others = " and ".join(map(str, limits[:place]))
            raise LimitError(
                f"limit {limit}",
                f"an architecture of {table.name} that keeps it",
                f"none of {before.sum():,}" + (f" (those that keep {others})" if place else ""),
                f"the {'least' if limit.sign == '<=' else 'greatest'} {limit.metric} "
                f"{'among them' if place else 'recorded'} is {best:,.6g}",
            )
    return kept
