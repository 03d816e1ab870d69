"""A sample of a space, and the costs and shares that are estimated from it."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import TYPE_CHECKING

from .._support.errors import SpaceError
from ..history.objective import COSTS, Limit
from ..space import Architecture
from ..strategy.seeking import seek
from ..study.reach import Look
from .facts import Example, LimitFacts, Share, Spread

if TYPE_CHECKING:
    from ..space import Space
    from .inspector import Inspector

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_Z = NormalDist().inv_cdf(0.975)
#: If no sample keeps the limits: how many architectures are searched for one that does, and from
#: how many of the nearest samples that search begins.
_SOUGHT, _NEAR = 600, 64


@dataclass
class Sample:
    """Architectures of a space, some of which may not work.

    Attributes:
        how: ``"all"``; ``"architectures"``, each equally likely; ``"decisions"``, each decision
            drawn uniformly, where the space cannot be counted.
        drawn: the architectures; one may occur twice.
        refused: number of draws that the builder rejected.
        cut: whether sampling stopped before reaching the requested number.
    """

    how: str
    drawn: list[Architecture] = field(default_factory=list)
    refused: int = 0
    cut: bool = False


def draw(inspector: Inspector, count: int, seed: int, until: float) -> Sample:
    """Sample ``count`` architectures, or all if there are fewer; each is built and run."""
    space, rng = inspector.space, random.Random(f"{seed}/sample")
    size = space.size()
    if size.exact and size.count <= count:
        sample = Sample("all")
        for architecture in space.enumerate():
            if _late(sample, until):
                break
            inspector.faults.works(architecture)
            sample.drawn.append(architecture)
        # No shuffling: a part of the list, in its order, represents nothing but itself.
        return sample
    sample = Sample(_way(space))
    for _ in range(count):
        if _late(sample, until):
            break
        sampled = inspector.faults.draw(lambda: space.sample(rng, sample.how))
        if sampled is None:
            sample.refused += 1
        else:
            sample.drawn.append(sampled)
    return sample


def _late(sample: Sample, until: float) -> bool:
    sample.cut = time.monotonic() > until
    return sample.cut


def _way(space: Space) -> str:
    try:
        space.sample(random.Random(0), "architectures")
    except SpaceError:
        return "decisions"
    return "architectures"


def wilson(hits: int, of: int, whole: bool = False) -> Share:
    """A share with its 95 % interval (Wilson 1927, JASA 22:209); a point where all were seen."""
    share = hits / of if of else math.nan
    if whole or not of:
        return Share(share, share, share, of)
    centre = (share + _Z**2 / (2 * of)) / (1 + _Z**2 / of)
    half = _Z / (1 + _Z**2 / of) * math.sqrt(share * (1 - share) / of + _Z**2 / (4 * of**2))
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    return Share(share, 0.0 if hits == 0 else low, 1.0 if hits == of else high, of)


def spreads(inspector: Inspector, sample: Sample, seed: int, until: float) -> dict[str, Spread]:
    """Each static cost over the sample, its ends by greedy descent; empty where nothing works."""
    working = [a for a in sample.drawn if a in inspector.costs]
    if not working:
        return {}
    look = Look(inspector.space, [inspector])
    result = {}
    for metric in inspector.provides:
        ends, settled = [], True
        for sign in (1.0, -1.0):
            end, done = _end(
                look, inspector, metric, sign, random.Random(f"{seed}/{metric}{sign}"), until
            )
            ends.append(Example(inspector.costs[end][metric], end))
            settled = settled and done
        result[metric] = spread(
            metric, {a: inspector.costs[a][metric] for a in working}, working, ends, settled
        )
    return result


def _end(
    look: Look,
    inspector: Inspector,
    metric: str,
    sign: float,
    rng: random.Random,
    until: float,
) -> tuple[Architecture, bool]:
    """Descend to the architecture of lowest (sign 1) or highest (-1) cost."""

    def loss(architecture: Architecture) -> float:
        metrics = look.measure(architecture)
        return sign * metrics[metric] if metric in metrics else math.inf

    start = min(inspector.costs, key=lambda a: sign * inspector.costs[a][metric])
    return look.descend(start, loss, rng, lambda: time.monotonic() <= until)


def spread(
    metric: str,
    values: Mapping[Architecture, float],
    drawn: Sequence[Architecture],
    ends: Sequence[Example],
    settled: bool,
) -> Spread:
    """A spread from the values of the sample, in which an architecture may occur twice."""
    ordered = sorted(drawn, key=lambda a: values[a])
    numbers = tuple(values[a] for a in ordered)
    middle = ordered[(len(ordered) - 1) // 2]
    quantiles = {q: quantile(numbers, q) for q in _QUANTILES}
    smallest, largest = ends
    return Spread(
        metric, smallest, Example(values[middle], middle), largest, quantiles, numbers, settled
    )


def quantile(ordered: Sequence[float], share: float) -> float:
    """A quantile of ascending values, linearly interpolated."""
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def limit_facts(
    inspector: Inspector,
    sample: Sample,
    limits: Sequence[Limit],
    measured: Mapping[Architecture, Mapping[str, float]],
    seed: int,
    until: float,
) -> LimitFacts:
    """Whether limits can be kept together, and by what share of the space.

    Args:
        measured: metrics that a pass on ``meta`` cannot give (latency), for a few architectures.
            The share is taken over those in the sample; any one of them can show that the
            limits can be kept.
    """
    static = set(inspector.provides)
    unpriced = [lim for lim in limits if lim.metric not in static]
    available = {name for metrics in measured.values() for name in metrics}
    if any(lim.metric not in available for lim in unpriced):
        names = sorted({lim.metric for lim in unpriced if lim.metric not in available})
        why = "not measured here" if set(names) <= COSTS.keys() else "known only after training"
        verb = "is" if len(names) == 1 else "are"
        return LimitFacts(tuple(limits), None, None, {}, f"{' and '.join(names)} {verb} {why}")
    if unpriced:
        rows = {a: {**inspector.costs[a], **m} for a, m in measured.items()}
        drawn = set(sample.drawn)
        population = [a for a in measured if a in drawn]
    else:
        rows = inspector.costs
        population = [a for a in sample.drawn if a in rows]
    kept = sum(_keeps(rows[a], limits) for a in population)
    share = wilson(kept, len(population), sample.how == "all" and not sample.cut and not unpriced)
    note = f"measured on {len(rows)} architectures" if unpriced else ""
    if not unpriced and not any(_keeps(row, limits) for row in rows.values()):
        look = Look(inspector.space, [inspector])
        start = min(rows, key=lambda a: _violation(rows[a], limits), default=None)
        if start is not None:
            rng = random.Random(f"{seed}/limits")
            end = len(rows) + _SOUGHT

            def going() -> bool:
                return time.monotonic() <= until and len(look.metrics) < end

            look.approach(start, limits, rng, going)
            nearest_first = sorted(rows, key=lambda a: _violation(rows[a], limits))[:_NEAR]
            seek(inspector.space, lambda a: look.violation(a, limits), nearest_first, rng, going)
            late = time.monotonic() > until
            note = "the search for an architecture that keeps it was cut short" if late else ""
    nearest = min(rows.values(), key=lambda row: _violation(row, limits), default={})
    return LimitFacts(
        tuple(limits),
        bool(rows) and _keeps(nearest, limits),
        share if population else None,
        {
            lim.metric: _best(rows, lim) if len(limits) == 1 else nearest[lim.metric]
            for lim in limits
            if nearest
        },
        note,
    )


def _best(rows: Mapping[Architecture, Mapping[str, float]], limit: Limit) -> float:
    values = [row[limit.metric] for row in rows.values()]
    return min(values) if limit.sign == "<=" else max(values)


def _keeps(metrics: Mapping[str, float], limits: Sequence[Limit]) -> bool:
    return _violation(metrics, limits) == 0


def _violation(metrics: Mapping[str, float], limits: Sequence[Limit]) -> float:
    return sum(limit.violation(metrics) for limit in limits)
