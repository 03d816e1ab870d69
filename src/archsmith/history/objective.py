"""What a study optimises and which limits apply: metrics, objectives, limits, Pareto order."""

from __future__ import annotations

import math
import re
from bisect import bisect_right, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from .._support.errors import InputError

Direction = Literal["maximize", "minimize"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A measured quantity: its name, unit (``""`` if it has none) and which way is better."""

    name: str
    unit: str
    direction: Direction


#: Costs that every task has. A task adds its own quality metrics.
COSTS: dict[str, Metric] = {
    m.name: m
    for m in (
        Metric("params", "", "minimize"),
        Metric("flops", "", "minimize"),
        Metric("memory_mb", "MB", "minimize"),
        Metric("weights_mb", "MB", "minimize"),
        Metric("peak_mb", "MB", "minimize"),
        Metric("latency_ms", "ms", "minimize"),
        Metric("energy_mj", "mJ", "minimize"),
    )
}


@dataclass(frozen=True, slots=True)
class Objective:
    """A metric to maximise or to minimise."""

    metric: str
    direction: Direction

    def loss(self, metrics: Mapping[str, float]) -> float:
        """The metric with the sign that makes smaller better; infinity if missing or NaN."""
        value = metrics.get(self.metric, math.nan)
        if math.isnan(value):
            return math.inf
        return -value if self.direction == "maximize" else value


_LIMIT = re.compile(
    r"^\s*([A-Za-z_]\w*)\s*(<=|>=)\s*([-+]?[\d_.]+(?:[eE][-+]?\d+)?)\s*([kKmMgG]?)\s*$"
)
_DIGITS = 12  # shown for a bound
_SUFFIX = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}


@dataclass(frozen=True, slots=True)
class Limit:
    """A bound on a metric, such as ``params<=200k`` or ``accuracy>=0.9``.

    Example:
        >>> Limit.parse("params<=200k").violation({"params": 300_000})
        0.5
    """

    metric: str
    sign: Literal["<=", ">="]
    bound: float

    @classmethod
    def parse(cls, text: str) -> Limit:
        """Read ``METRIC<=VALUE`` or ``METRIC>=VALUE``; k, M and G multiply by 1e3, 1e6, 1e9.

        Raises:
            InputError: the text has another form, or the bound is not finite.
        """
        match = _LIMIT.match(text)
        if match is None:
            raise InputError(
                "limit", "METRIC<=VALUE or METRIC>=VALUE", repr(text), "for example params<=200k"
            )
        metric, sign, number, suffix = match.groups()
        try:
            bound = float(number) * _SUFFIX[suffix.lower()]
        except ValueError:
            raise InputError("limit", "a number after the sign", repr(text)) from None
        if not math.isfinite(bound):
            raise InputError("limit", "a finite number after the sign", repr(text))
        return cls(metric, "<=" if sign == "<=" else ">=", bound)

    def violation(self, metrics: Mapping[str, float]) -> float:
        """How far the metric is beyond the bound, relative to it; 0.0 if it is within.

        A missing metric does not break a limit; NaN does.
        """
        if self.metric not in metrics:
            return 0.0
        value = metrics[self.metric]
        if math.isnan(value):
            return math.inf
        over = value - self.bound if self.sign == "<=" else self.bound - value
        return max(0.0, over) / (abs(self.bound) or 1.0)

    def __str__(self) -> str:
        return f"{self.metric}{self.sign}{_number(float(self.bound))}"


def _number(value: float) -> str:
    """Exact up to twelve digits; longer ones are rounded to six."""
    exact = str(int(value)) if value.is_integer() else repr(value)
    return exact if len(exact.strip("-").replace(".", "")) <= _DIGITS else f"{value:g}"


def violation(metrics: Mapping[str, float], limits: Sequence[Limit]) -> float:
    """Total relative violation of all limits, 0.0 if all are met."""
    return sum(limit.violation(metrics) for limit in limits)


def dominates(a: Sequence[float], b: Sequence[float]) -> bool:
    """Whether loss vector ``a`` is nowhere worse than ``b`` and somewhere better."""
    return all(x <= y for x, y in zip(a, b, strict=True)) and tuple(a) != tuple(b)


def nondominated_fronts(losses: Sequence[Sequence[float]]) -> list[list[int]]:
    """Indices of ``losses`` (n vectors of m values, smaller is better) sorted into Pareto fronts.

    The first list is the Pareto front, the second is the front without the first, and so on
    (fast non-dominated sort, Deb et al. 2002; O(m n^2), for two objectives a sweep, O(n log n)).
    """
    n = len(losses)
    if n and len(losses[0]) == 1:
        equal: dict[float, list[int]] = {}
        for i, (loss,) in enumerate(losses):
            equal.setdefault(loss, []).append(i)
        return [equal[loss] for loss in sorted(equal)]
    if n and len(losses[0]) == 2:
        return _fronts_of_two(losses)
    beats: list[list[int]] = [[] for _ in range(n)]
    beaten = [0] * n
    for i in range(n):
        for j in range(i + 1, n):
            if dominates(losses[i], losses[j]):
                beats[i].append(j)
                beaten[j] += 1
            elif dominates(losses[j], losses[i]):
                beats[j].append(i)
                beaten[i] += 1
    fronts: list[list[int]] = []
    front = [i for i in range(n) if beaten[i] == 0]
    while front:
        fronts.append(front)
        following: list[int] = []
        for i in front:
            for j in beats[i]:
                beaten[j] -= 1
                if beaten[j] == 0:
                    following.append(j)
        front = sorted(following)
    return fronts


def nondominated(losses: Sequence[Sequence[float]]) -> list[int]:
    """The first list of :func:`nondominated_fronts` alone: O(m n f) for a front of f vectors."""
    if not losses or len(losses[0]) <= 2:
        return next(iter(nondominated_fronts(losses)), [])
    front: list[int] = []
    # In this order, a vector comes after all that dominate it.
    for i in sorted(range(len(losses)), key=lambda i: tuple(losses[i])):
        if not any(dominates(losses[j], losses[i]) for j in front):
            front.append(i)
    return sorted(front)


def _fronts_of_two(losses: Sequence[Sequence[float]]) -> list[list[int]]:
    """Fronts for two objectives: in order of the first, each vector joins the first front whose
    smallest second value is above its own."""
    fronts: list[list[int]] = []
    least: list[float] = []  # second value of each front; ascending
    places: dict[tuple[float, ...], int] = {}  # equal vectors do not dominate each other
    for i in sorted(range(len(losses)), key=lambda i: tuple(losses[i])):
        vector = tuple(losses[i])
        place = places.setdefault(vector, bisect_right(least, vector[1]))
        if place == len(fronts):
            fronts.append([])
            least.append(vector[1])
        fronts[place].append(i)
        least[place] = min(least[place], vector[1])
    return [sorted(front) for front in fronts]


def crowding(losses: Sequence[Sequence[float]]) -> list[float]:
    """Crowding distance of each vector within one front (Deb et al. 2002); larger is sparser."""
    n = len(losses)
    distance = [0.0] * n
    if n == 0:
        return distance
    for axis in range(len(losses[0])):
        order = sorted(range(n), key=lambda i: losses[i][axis])
        low, high = losses[order[0]][axis], losses[order[-1]][axis]
        distance[order[0]] = distance[order[-1]] = math.inf
        width = high - low
        if not math.isfinite(width) or width <= 0:
            continue
        for before, here, after in zip(order, order[1:], order[2:], strict=False):
            distance[here] += (losses[after][axis] - losses[before][axis]) / width
    return distance


def hypervolume(losses: Sequence[Sequence[float]], reference: Sequence[float]) -> float:
    """Volume that the vectors dominate up to a reference point; larger is a better trade-off.

    Exact, by slicing along one objective after the other (Knowles 2002; While et al. 2006, IEEE
    Transactions on Evolutionary Computation 10:29): O(n log n) for two objectives, O(n^2 log n)
    for three, and a factor n for each one more.

    Args:
        losses: n vectors of m values, smaller is better; dominated vectors and repetitions are
            allowed and add nothing.
        reference: m values. A vector that is not better in every objective adds nothing.

    Returns:
        The volume in the product of the objectives' units; 0.0 if nothing dominates the
        reference.

    Raises:
        InputError: a vector has another length than the reference, or the reference has none.
    """
    reference = tuple(reference)
    if not reference or any(len(vector) != len(reference) for vector in losses):
        lengths = sorted({len(vector) for vector in losses})
        raise InputError(
            "hypervolume",
            "vectors of one length, as long as the reference",
            f"lengths {lengths} and a reference of {len(reference)}",
        )
    inside = {
        tuple(vector)
        for vector in losses
        if all(x < y for x, y in zip(vector, reference, strict=True))
    }
    return _sliced(sorted(inside, key=lambda v: v[::-1]), reference)


def _sliced(points: list[tuple[float, ...]], reference: tuple[float, ...]) -> float:
    """The volume of points sorted by their last coordinate, then by the one before it."""
    if not points:
        return 0.0
    if len(reference) == 1:
        return reference[0] - points[0][0]
    if len(reference) == 2:
        volume, left = 0.0, reference[0]
        for x, y in points:
            if x < left:
                volume += (left - x) * (reference[1] - y)
                left = x
        return volume
    volume = 0.0
    front: list[
        tuple[float, ...]
    ] = []  # of the points below the slice, without their last coordinate
    for place, point in enumerate(points):
        flat = point[:-1]
        if not any(all(x <= y for x, y in zip(other, flat, strict=True)) for other in front):
            front = [other for other in front if not dominates(flat, other)]
            insort(front, flat, key=lambda v: v[::-1])
        top = points[place + 1][-1] if place + 1 < len(points) else reference[-1]
        if top > point[-1]:
            volume += (top - point[-1]) * _sliced(front, reference[:-1])
    return volume
