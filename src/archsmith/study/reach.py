"""Before long work: whether any architecture keeps the limits."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from ..errors import LimitError
from ..evaluate.base import Evaluator, Price, Stages, TrialFailed, Watch
from ..objective import Limit, violation
from ..space.architecture import Architecture
from ..trial import Fidelity

if TYPE_CHECKING:
    from ..space import Space

_SAMPLES = 64
#: Neighbours looked at around one architecture; a long integer range has many.
_AROUND = 512


@dataclass
class Reach:
    """What :func:`check_limits` found out.

    Attributes:
        limits: those that were checked; others need more than a static look.
        best: for each of their metrics the value nearest to keeping the limit.
        looked: architectures that were measured.
        settled: whether the search for them came to its end within the time.
    """

    limits: tuple[Limit, ...]
    best: dict[str, float]
    looked: int
    settled: bool


def static_parts(evaluator: Evaluator) -> list[Evaluator]:
    """The evaluators inside that need no measuring and no training."""
    parts = evaluator.evaluators if isinstance(evaluator, Stages) else [evaluator]
    return [part for part in parts if part.price <= Price.STATIC]


def check_limits(
    space: Space,
    evaluator: Evaluator,
    limits: Sequence[Limit],
    seed: int = 0,
    seconds: float = 5.0,
) -> Reach:
    """Refuse limits on static metrics (parameters, FLOPs) that no architecture seems to keep.

    Looks at the default and at 64 samples, then goes down greedily from the nearest one over its
    neighbours, for all limits together and for each alone. A search that did not come to its end
    within ``seconds`` proves nothing and refuses nothing.

    Raises:
        LimitError: a limit, or all together, that nothing met; with the nearest value found.
    """
    look = _Look(space, static_parts(evaluator), time.monotonic() + seconds)
    known = {name for part in look.parts for name in part.provides}
    limits = tuple(limit for limit in limits if limit.metric in known)
    if not limits:
        return Reach((), {}, 0, True)
    starts = [space.default()]
    rng = random.Random(seed)
    quick = time.monotonic() + seconds / 3
    while len(starts) <= _SAMPLES and time.monotonic() < quick:
        if look.violation(starts[-1], limits) == 0:
            return look.reach(limits, True)
        starts.append(space.sample(rng))
    settled = True
    for wanted in [limits, *([limit] for limit in limits if len(limits) > 1)]:
        nearest = min(starts, key=lambda start: look.violation(start, wanted))
        done = look.descend(nearest, wanted, rng)
        if wanted is limits and look.kept(limits):
            return look.reach(limits, True)
        settled = settled and done
    if not settled:
        return look.reach(limits, False)
    raise _unreachable(look, limits)


class _Look:
    """Static metrics of architectures, each measured once."""

    def __init__(self, space: Space, parts: Sequence[Evaluator], deadline: float) -> None:
        self.space, self.parts, self.deadline = space, parts, deadline
        self.metrics: dict[Architecture, dict[str, float]] = {}

    def measure(self, architecture: Architecture) -> dict[str, float]:
        found = self.metrics.get(architecture)
        if found is None:
            found = {}
            try:
                for part in self.parts:
                    found |= part.evaluate(architecture, Fidelity(), 0, Watch())
            except TrialFailed as failure:
                found |= failure.metrics
            except Exception:
                # Shapes that do not fit are for check_shapes to tell; this one has no value here.
                found = {}
            self.metrics[architecture] = found
        return found

    def violation(self, architecture: Architecture, limits: Sequence[Limit]) -> float:
        metrics = self.measure(architecture)
        if any(limit.metric not in metrics for limit in limits):
            return float("inf")
        return violation(metrics, limits)

    def kept(self, limits: Sequence[Limit]) -> bool:
        return any(self.violation(a, limits) == 0 for a in self.metrics)

    def descend(
        self, architecture: Architecture, limits: Sequence[Limit], rng: random.Random
    ) -> bool:
        """Go to a neighbour that is nearer, until none is; whether that end was reached in time."""
        here = self.violation(architecture, limits)
        better = True
        while better and here > 0:
            better = False
            around = list(islice(self.space.neighbours(architecture), _AROUND))
            rng.shuffle(around)
            for other in around:
                if time.monotonic() > self.deadline:
                    return False
                there = self.violation(other, limits)
                if there < here:
                    architecture, here, better = other, there, True
                    break
        return True

    def nearest(self, limit: Limit) -> float | None:
        values = [m[limit.metric] for m in self.metrics.values() if limit.metric in m]
        if not values:
            return None
        return min(values) if limit.sign == "<=" else max(values)

    def reach(self, limits: tuple[Limit, ...], settled: bool) -> Reach:
        nearest = {limit.metric: self.nearest(limit) for limit in limits}
        best = {name: value for name, value in nearest.items() if value is not None}
        return Reach(limits, best, len(self.metrics), settled)


def _unreachable(look: _Look, limits: Sequence[Limit]) -> LimitError:
    looked = f"among {len(look.metrics):,} architectures looked at"
    for limit in limits:
        value = look.nearest(limit)
        if value is None:
            return LimitError(
                f"limit {limit}",
                "an architecture to hold it against",
                f"none that builds, {looked}",
            )
        if limit.violation({limit.metric: value}) > 0:
            word, way = ("smallest", "raise") if limit.sign == "<=" else ("largest", "lower")
            return LimitError(
                f"limit {limit}",
                "an architecture that keeps it",
                f"{value:,.6g} as the {word} {limit.metric} found, {looked}",
                f"{way} the limit to {value:,.6g} or beyond, or give the space other options",
            )
    nearest = min(look.metrics, key=lambda a: look.violation(a, limits))
    values = look.metrics[nearest]
    return LimitError(
        f"limits {', '.join(map(str, limits))}",
        "an architecture that keeps them together",
        f"{', '.join(f'{lim.metric}={values[lim.metric]:,.6g}' for lim in limits)} as the nearest, "
        f"{looked}",
        "each can be kept alone; loosen one of them",
    )
