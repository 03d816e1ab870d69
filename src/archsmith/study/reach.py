"""Before long work: whether any architecture keeps the limits."""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING

from .._support.errors import LimitError, SpaceError
from ..evaluate.base import Evaluator, Price, Stages, TrialFailed, Watch
from ..history.objective import COSTS, Limit, violation
from ..history.trial import Fidelity, KnownCosts
from ..space.architecture import Architecture
from ..space.guard import Guard
from ..strategy.seeking import seek

if TYPE_CHECKING:
    from ..space import Space

#: Architectures looked at in all, where nothing is found, and by when the first descent ends, and
#: the second. They are counted and not timed, so that a busy machine finds the same.
_LOOKS, _FIRST, _SECOND = 1000, 300, 550
#: Looks for each limit alone, where no architecture was found that keeps all of them.
_ALONE = 100
#: Spaces of up to so many architectures are looked at whole before a limit is refused.
_WHOLE = 2000
_SAMPLES = 64
#: Architectures whose costs a search remembers: at least all of a space that is listed.
_REMEMBERED = 30_000
#: Architectures that are built for one proposal, to know their costs. One takes some milliseconds.
_BUILT = 48
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
        kept: one that keeps the limits, to start a search from; ``None`` where the default does,
            or where none was found. It is the same for a seed and a space.
        doubt: where none was found, and that proves nothing: how hard it was looked, and how near
            that came, in a sentence; empty elsewhere.
    """

    limits: tuple[Limit, ...]
    best: dict[str, float]
    looked: int
    kept: Architecture | None = None
    doubt: str = ""


def static_parts(evaluator: Evaluator) -> list[Evaluator]:
    """The evaluators inside that need no measuring and no training."""
    return [part for part in _parts(evaluator) if part.price <= Price.STATIC]


def known_costs(space: Space, evaluator: Evaluator) -> KnownCosts:
    """What is known of an architecture without training it; the latest are remembered."""
    parts = [part for part in _parts(evaluator) if part.exact]
    names = evaluator.exact
    look = Look(space, parts)

    @lru_cache(_REMEMBERED)
    def of(architecture: Architecture) -> dict[str, float]:
        found = look._measured(architecture)
        return {name: found[name] for name in names if name in found}

    recorded = all(part.price is Price.TABLE for part in parts)
    return KnownCosts(names, of, _REMEMBERED if recorded else _BUILT)


def _parts(evaluator: Evaluator) -> list[Evaluator]:
    return evaluator.evaluators if isinstance(evaluator, Stages) else [evaluator]


def check_limits(
    space: Space,
    evaluator: Evaluator,
    limits: Sequence[Limit],
    seed: int = 0,
    looks: int = _LOOKS,
) -> Reach:
    """Look for an architecture that keeps the limits; refuse those that none does.

    Static metrics (parameters, FLOPs): goes down greedily from the default over its neighbours,
    looks at 64 samples, goes down from the nearest, then on by mutations of the nearest. A space of
    up to 2,000 architectures is then looked at whole, and that alone refuses a limit: elsewhere one
    that keeps it may have been missed.

    Measured metrics (latency): the default and the architecture with the fewest parameters met so
    far are measured once each; an upper bound is in doubt where both are more than ten times beyond
    it.

    Args:
        looks: architectures to look at before giving up.

    Raises:
        LimitError: a limit, or all together, that nothing in the space keeps, with the nearest
            value; or an upper bound on a cost that is not above 0.
    """
    for limit in limits:
        _check_bound(limit)
    look = Look(space, static_parts(evaluator))
    known = {name for part in look.parts for name in part.provides}
    static = tuple(limit for limit in limits if limit.metric in known)
    reach = _search(look, static, seed, looks)
    doubt = _doubt_measured(look, evaluator, limits, seed)
    reach.doubt = "; ".join(filter(None, [reach.doubt, doubt]))
    return reach


def _search(look: Look, limits: tuple[Limit, ...], seed: int, looks: int) -> Reach:
    """Look for an architecture that keeps the limits."""
    if not limits:
        return Reach((), {}, 0)
    default = look.space.default()
    if look.violation(default, limits) == 0:
        return look.reach(limits)
    for found in _found(look, default, limits, seed, looks):
        if look.violation(found, limits) == 0:
            return look.reach(limits, found)
    size = look.space.size()
    if size.exact and size.count <= _WHOLE:
        for architecture in look.space.enumerate():
            if look.violation(architecture, limits) == 0:
                return look.reach(limits, architecture)
        raise _unreachable(look, limits)
    reach = look.reach(limits)
    missed = _unreachable(look, limits)
    reach.doubt = (
        f"no architecture that keeps {' and '.join(map(str, limits))} was found: {missed.got}, of "
        f"{size} in the space. The search looks on, and stops what breaks a limit before it is "
        f"trained; or {missed.hint}"
    )
    return reach


def _found(
    look: Look, default: Architecture, limits: tuple[Limit, ...], seed: int, looks: int
) -> Iterator[Architecture]:
    """What may keep the limits, from near the default to far; one that does is the last."""

    def below(count: int) -> Callable[[], bool]:
        return lambda: len(look.metrics) < count

    def until(share: int) -> Callable[[], bool]:
        return below(looks * share // _LOOKS)

    def loss(architecture: Architecture) -> float:
        return look.violation(architecture, limits)

    # Generators of their own: what one way comes to must not change the others.
    first, _ = look.approach(default, limits, random.Random(f"{seed}/default"), until(_FIRST))
    yield first
    rng = random.Random(seed)
    starts = [default, first]
    for _ in range(min(_SAMPLES, looks)):
        with contextlib.suppress(SpaceError):  # the builder refuses it
            starts.append(look.space.sample(rng))
            yield starts[-1]
    second, _ = look.approach(min(starts, key=loss), limits, rng, until(_SECOND))
    yield second
    starts = sorted(look.metrics, key=loss)
    found = seek(look.space, loss, starts[:_SAMPLES], random.Random(f"{seed}/seek"), until(_LOOKS))
    if found is not None:
        yield found
    for limit in limits if len(limits) > 1 else ():
        nearest = min(look.metrics, key=lambda a: look.violation(a, (limit,)))
        yield look.approach(nearest, (limit,), rng, below(len(look.metrics) + _ALONE))[0]


def _check_bound(limit: Limit) -> None:
    cost = limit.metric in COSTS or limit.metric.startswith("latency")
    if cost and limit.sign == "<=" and limit.bound <= 0:
        raise LimitError(
            f"limit {limit}",
            f"a bound above 0, which {limit.metric} can keep",
            f"{limit.bound:g}",
        )


def _doubt_measured(look: Look, evaluator: Evaluator, limits: Sequence[Limit], seed: int) -> str:
    """Why an upper bound on what is measured may be out of reach; empty where it may not."""
    parts = [part for part in _parts(evaluator) if part.price is Price.MEASURED]
    known = {name for part in parts for name in part.provides}
    limits = [lim for lim in limits if lim.metric in known and lim.sign == "<=" and lim.bound > 0]
    if not limits:
        return ""
    default = look.space.default()
    measured = Look(look.space, parts)

    def far(architecture: Architecture, limit: Limit) -> bool:
        value = measured.measure(architecture).get(limit.metric)
        return value is not None and value > _FAR * limit.bound

    if not any(far(default, limit) for limit in limits):
        return ""
    smallest = look.smallest(random.Random(seed), _SAMPLES)
    for limit in limits:
        if smallest is not None and far(default, limit) and far(smallest, limit):
            return (
                f"limit {limit} is far from what was measured: {measured.nearest(limit):,.6g} is "
                f"the least {limit.metric} of the default and of the smallest that was found"
            )
    return ""


class Look:
    """Static metrics of architectures, each measured once."""

    def __init__(self, space: Space, parts: Sequence[Evaluator]) -> None:
        self.space, self.parts = space, parts
        self.metrics: dict[Architecture, dict[str, float]] = {}

    def measure(self, architecture: Architecture) -> dict[str, float]:
        found = self.metrics.get(architecture)
        if found is None:
            found = self.metrics[architecture] = self._measured(architecture)
        return found

    def _measured(self, architecture: Architecture) -> dict[str, float]:
        found: dict[str, float] = {}
        try:
            for part in self.parts:
                with Guard():
                    found |= part.evaluate(architecture, Fidelity(), 0, Watch())
        except TrialFailed as failure:
            found |= failure.metrics
        except Exception:
            # Shapes that do not fit are for check_shapes to tell; this one has no value here.
            found = {}
        return found

    def violation(self, architecture: Architecture, limits: Sequence[Limit]) -> float:
        metrics = self.measure(architecture)
        if any(limit.metric not in metrics for limit in limits):
            return float("inf")
        return violation(metrics, limits)

    def smallest(self, rng: random.Random, samples: int) -> Architecture | None:
        """The architecture with the fewest parameters: of samples, and of all met so far."""
        for _ in range(samples):
            with contextlib.suppress(SpaceError):  # the builder refuses it
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
        self,
        architecture: Architecture,
        limits: Sequence[Limit],
        rng: random.Random,
        going: Callable[[], bool],
    ) -> tuple[Architecture, bool]:
        """As :meth:`descend`, until the limits are kept."""
        return self.descend(architecture, lambda a: self.violation(a, limits), rng, going, 0.0)

    def descend(
        self,
        architecture: Architecture,
        loss: Callable[[Architecture], float],
        rng: random.Random,
        going: Callable[[], bool],
        enough: float = -math.inf,
    ) -> tuple[Architecture, bool]:
        """Go to a neighbour with a lower loss, until none has one or the loss is ``enough``.

        Returns:
            Where it came to, and whether that is the end; else ``going`` said that it was enough.
        """
        here = loss(architecture)
        better = True
        while better and here > enough:
            better = False
            around = self.around(architecture)
            rng.shuffle(around)
            for other in around:
                if not going():
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

    def reach(self, limits: tuple[Limit, ...], kept: Architecture | None = None) -> Reach:
        nearest = {limit.metric: self.nearest(limit) for limit in limits}
        best = {name: value for name, value in nearest.items() if value is not None}
        return Reach(limits, best, len(self.metrics), kept)


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
