"""Before long work: whether any architecture keeps the limits."""

from __future__ import annotations

import contextlib
import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from ..errors import LimitError, SpaceError
from ..evaluate.base import Evaluator, Price, Stages, TrialFailed, Watch
from ..objective import COSTS, Limit, violation
from ..space.architecture import Architecture
from ..space.guard import Guard
from ..trial import Fidelity

if TYPE_CHECKING:
    from ..space import Space

_SAMPLES = 64
#: Neighbours looked at around one architecture; a long integer range has many.
_AROUND = 512
#: A measured value so many times the bound, for the default and for the smallest architecture,
#: is beyond what noise and search can make up for.
_FAR = 10


@dataclass
class Reach:
    """What :func:`check_limits` found out.

    Attributes:
        limits: those that were checked; others need more than a static look.
        best: for each of their metrics the value nearest to keeping the limit.
        looked: architectures that were measured.
        settled: whether the search for them came to its end within the time.
        kept: one that keeps the limits, to start a search from; ``None`` where the default does,
            or where none was found in time. The nearest to the default by greedy descent, so it is
            the same for a seed and a space unless that takes longer than a third of the time.
    """

    limits: tuple[Limit, ...]
    best: dict[str, float]
    looked: int
    settled: bool
    kept: Architecture | None = None


def static_parts(evaluator: Evaluator) -> list[Evaluator]:
    """The evaluators inside that need no measuring and no training."""
    return [part for part in _parts(evaluator) if part.price <= Price.STATIC]


def _parts(evaluator: Evaluator) -> list[Evaluator]:
    return evaluator.evaluators if isinstance(evaluator, Stages) else [evaluator]


def check_limits(
    space: Space,
    evaluator: Evaluator,
    limits: Sequence[Limit],
    seed: int = 0,
    seconds: float = 5.0,
) -> Reach:
    """Refuse limits that no architecture seems to keep.

    Static metrics (parameters, FLOPs): goes down greedily from the default over its neighbours,
    then looks at 64 samples and goes down from the nearest, for all limits together and for each
    alone. A search that did not come to its end within ``seconds`` proves nothing and refuses
    nothing.

    Measured metrics (latency): the default and the architecture with the fewest parameters met so
    far are measured once each; an upper bound is refused where both are more than ten times beyond
    it.

    Raises:
        LimitError: a limit, or all together, that nothing met, with the nearest value found; or an
            upper bound on a cost that is not above 0.
    """
    for limit in limits:
        _check_bound(limit)
    start = time.monotonic()
    look = Look(space, static_parts(evaluator), start + seconds)
    known = {name for part in look.parts for name in part.provides}
    static = tuple(limit for limit in limits if limit.metric in known)
    reach = _search(look, static, seed, start + seconds / 3, start + 2 * seconds / 3)
    _check_measured(look, evaluator, limits, seed, start + seconds)
    return reach


def _search(look: Look, limits: tuple[Limit, ...], seed: int, first: float, second: float) -> Reach:
    """Look for an architecture that keeps the limits; two moments part the time for it."""
    default = look.space.default()
    if not limits:
        return Reach((), {}, 0, True)
    if look.violation(default, limits) == 0:
        return look.reach(limits, True)
    # A generator of its own: how far the samples come in the time must not change the descent.
    found, _ = look.approach(default, limits, random.Random(f"{seed}/default"), first)
    if look.violation(found, limits) == 0:
        return look.reach(limits, True, found)
    rng = random.Random(seed)
    starts = [default, found]
    while len(starts) <= _SAMPLES + 1 and time.monotonic() < second:
        starts.append(look.space.sample(rng))
        if look.violation(starts[-1], limits) == 0:
            return look.reach(limits, True, starts[-1])
    settled = True
    for wanted in [limits, *((limit,) for limit in limits if len(limits) > 1)]:
        nearest = min(starts, key=lambda start: look.violation(start, wanted))
        found, done = look.approach(nearest, wanted, rng, look.deadline)
        kept = look.kept(limits)
        if kept is not None:
            return look.reach(limits, True, kept)
        settled = settled and done
    if not settled:
        return look.reach(limits, False)
    raise _unreachable(look, limits)


def _check_bound(limit: Limit) -> None:
    cost = limit.metric in COSTS or limit.metric.startswith("latency")
    if cost and limit.sign == "<=" and limit.bound <= 0:
        raise LimitError(
            f"limit {limit}",
            f"a bound above 0, which {limit.metric} can keep",
            f"{limit.bound:g}",
        )


def _check_measured(
    look: Look, evaluator: Evaluator, limits: Sequence[Limit], seed: int, until: float
) -> None:
    parts = [part for part in _parts(evaluator) if part.price is Price.MEASURED]
    known = {name for part in parts for name in part.provides}
    limits = [lim for lim in limits if lim.metric in known and lim.sign == "<=" and lim.bound > 0]
    if not limits:
        return
    default = look.space.default()
    measured = Look(look.space, parts, look.deadline)

    def far(architecture: Architecture, limit: Limit) -> bool:
        value = measured.measure(architecture).get(limit.metric)
        return value is not None and value > _FAR * limit.bound

    if not any(far(default, limit) for limit in limits):
        return
    smallest = look.smallest(random.Random(seed), _SAMPLES, until)
    for limit in limits:
        if smallest is not None and far(default, limit) and far(smallest, limit):
            raise _unreachable(measured, [limit])


class Look:
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
                    with Guard():
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

    def kept(self, limits: Sequence[Limit]) -> Architecture | None:
        return next((a for a in self.metrics if self.violation(a, limits) == 0), None)

    def smallest(self, rng: random.Random, samples: int, until: float) -> Architecture | None:
        """The architecture with the fewest parameters: of samples, and of all met so far."""
        for _ in range(samples):
            if time.monotonic() > until:
                break
            self.measure(self.space.sample(rng))
        sizes = {a: found["params"] for a, found in self.metrics.items() if "params" in found}
        return min(sizes, key=sizes.__getitem__, default=None)

    def around(self, architecture: Architecture) -> list[Architecture]:
        found: list[Architecture] = []
        # What the builder cannot do is for check_shapes to tell.
        with contextlib.suppress(SpaceError):
            found.extend(islice(self.space.neighbours(architecture), _AROUND))
        return found

    def approach(
        self, architecture: Architecture, limits: Sequence[Limit], rng: random.Random, until: float
    ) -> tuple[Architecture, bool]:
        """As :meth:`descend`, until the limits are kept."""
        return self.descend(architecture, lambda a: self.violation(a, limits), rng, until, 0.0)

    def descend(
        self,
        architecture: Architecture,
        loss: Callable[[Architecture], float],
        rng: random.Random,
        until: float,
        enough: float = -math.inf,
    ) -> tuple[Architecture, bool]:
        """Go to a neighbour with a lower loss, until none has one or the loss is ``enough``.

        Returns:
            Where it came to, and whether that is the end and not only what there was time for.
        """
        here = loss(architecture)
        better = True
        while better and here > enough:
            better = False
            around = self.around(architecture)
            rng.shuffle(around)
            for other in around:
                if time.monotonic() > until:
                    return architecture, False
                there = loss(other)
                if there < here:
                    architecture, here, better = other, there, True
                    break
        return architecture, True

    def nearest(self, limit: Limit) -> float | None:
        values = [m[limit.metric] for m in self.metrics.values() if limit.metric in m]
        if not values:
            return None
        return min(values) if limit.sign == "<=" else max(values)

    def reach(
        self, limits: tuple[Limit, ...], settled: bool, kept: Architecture | None = None
    ) -> Reach:
        nearest = {limit.metric: self.nearest(limit) for limit in limits}
        best = {name: value for name, value in nearest.items() if value is not None}
        return Reach(limits, best, len(self.metrics), settled, kept)


def _unreachable(look: Look, limits: Sequence[Limit]) -> LimitError:
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
