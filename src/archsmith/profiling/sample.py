"""A sample of a space, and what it says: costs, shares, limits."""

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
#: Architectures looked at for one that keeps limits which none of the sample does, and how many of
#: the sample that is begun from.
_SOUGHT, _NEAR = 600, 64


@dataclass
class Sample:
    """Architectures of a space, some of which may not work.

    Attributes:
        how: ``"all"``; ``"architectures"``, each with the same chance; ``"decisions"``, each
            decision drawn evenly, where the space cannot be counted.
        drawn: what was drawn; one may come twice.
        refused: draws at which the builder raised.
        cut: whether it was ended before it had as many as were asked for.
    """

    how: str
    drawn: list[Architecture] = field(default_factory=list)
    refused: int = 0
    cut: bool = False


def draw(inspector: Inspector, count: int, seed: int, until: float) -> Sample:
    """A sample, each architecture built and run; all there are where that is fewer."""
    space, rng = inspector.space, random.Random(f"{seed}/sample")
    size = space.size()
    if size.exact and size.count <= count:
        sample = Sample("all")
        for architecture in space.enumerate():
            if _late(sample, until):
                break
            inspector.faults.works(architecture)
            sample.drawn.append(architecture)
        # A part of the list, in its order, stands for nothing but itself.
        return sample
    sample = Sample(_way(space))
    for _ in range(count):
        if _late(sample, until):
            break
        found = inspector.faults.draw(lambda: space.sample(rng, sample.how))
        if found is None:
            sample.refused += 1
        else:
            sample.drawn.append(found)
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
    found = {}
    for metric in inspector.provides:
        ends, settled = [], True
        for sign in (1.0, -1.0):
            end, done = _end(
                look, inspector, metric, sign, random.Random(f"{seed}/{metric}{sign}"), until
            )
            ends.append(Example(inspector.costs[end][metric], end))
            settled = settled and done
        found[metric] = spread(
            metric, {a: inspector.costs[a][metric] for a in working}, working, ends, settled
        )
    return found


def _end(
    look: Look,
    inspector: Inspector,
    metric: str,
    sign: float,
    rng: random.Random,
    until: float,
) -> tuple[Architecture, bool]:
    """The architecture with the lowest (sign 1) or highest (-1) cost that a descent finds."""

    def loss(architecture: Architecture) -> float:
        found = look.measure(architecture)
        return sign * found[metric] if metric in found else math.inf

    start = min(inspector.costs, key=lambda a: sign * inspector.costs[a][metric])
    return look.descend(start, loss, rng, lambda: time.monotonic() <= until)


def spread(
    metric: str,
    values: Mapping[Architecture, float],
    drawn: Sequence[Architecture],
    ends: Sequence[Example],
    settled: bool,
) -> Spread:
    """A spread from the values of what was drawn, in which one may come twice."""
    ordered = sorted(drawn, key=lambda a: values[a])
    numbers = tuple(values[a] for a in ordered)
    middle = ordered[(len(ordered) - 1) // 2]
    quantiles = {q: quantile(numbers, q) for q in _QUANTILES}
    smallest, largest = ends
    return Spread(
        metric, smallest, Example(values[middle], middle), largest, quantiles, numbers, settled
    )


def quantile(ordered: Sequence[float], share: float) -> float:
    """A quantile of ascending values, with a straight line between neighbours."""
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
    """Whether limits can be kept together, and by what share.

    Args:
        measured: metrics that a pass on ``meta`` does not give (latency), of a few architectures.
            Those of the sample give the share; any of them shows that limits can be kept.
    """
    known = set(inspector.provides)
    apart = [lim for lim in limits if lim.metric not in known]
    given = {name for metrics in measured.values() for name in metrics}
    if any(lim.metric not in given for lim in apart):
        names = sorted({lim.metric for lim in apart if lim.metric not in given})
        why = "not measured here" if set(names) <= COSTS.keys() else "known after a training alone"
        verb = "is" if len(names) == 1 else "are"
        return LimitFacts(tuple(limits), None, None, {}, f"{' and '.join(names)} {verb} {why}")
    if apart:
        rows = {a: {**inspector.costs[a], **m} for a, m in measured.items()}
        drawn = set(sample.drawn)
        population = [a for a in measured if a in drawn]
    else:
        rows = inspector.costs
        population = [a for a in sample.drawn if a in rows]
    kept = sum(_keeps(rows[a], limits) for a in population)
    share = wilson(kept, len(population), sample.how == "all" and not sample.cut and not apart)
    note = f"measured on {len(rows)} architectures" if apart else ""
    if not apart and not any(_keeps(row, limits) for row in rows.values()):
        look = Look(inspector.space, [inspector])
        start = min(rows, key=lambda a: _violation(rows[a], limits), default=None)
        if start is not None:
            rng = random.Random(f"{seed}/limits")
            end = len(rows) + _SOUGHT

            def going() -> bool:
                return time.monotonic() <= until and len(look.metrics) < end

            look.approach(start, limits, rng, going)
            near = sorted(rows, key=lambda a: _violation(rows[a], limits))[:_NEAR]
            seek(inspector.space, lambda a: look.violation(a, limits), near, rng, going)
            late = time.monotonic() > until
            note = "the search for one that keeps it was cut short" if late else ""
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
