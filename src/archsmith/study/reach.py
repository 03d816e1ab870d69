"""A check before a search: whether any architecture keeps the limits."""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
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
from .narrowing import narrowed

if TYPE_CHECKING:
    from ..space import Space

#: Architectures examined at most, and after how many the first and the second descent end. They
#: are counted rather than timed, so that a busy machine finds the same architecture.
_LOOKS, _FIRST, _SECOND = 1000, 300, 550
#: Architectures examined for each limit alone if none was found that keeps all of them.
_ALONE = 100
#: Spaces up to this size are enumerated completely before a limit is refused.
_WHOLE = 2000
_SAMPLES = 64
#: Architectures whose costs a search caches: at least all of a listed space.
_REMEMBERED = 30_000
#: Architectures built per proposal to know their costs; one takes a few milliseconds.
_BUILT = 48
#: Neighbours examined around one architecture; a long integer range has many.
_AROUND = 512
#: A measured value this many times the bound, for both the default and the smallest architecture,
#: is more than noise or search can make up for.
_OUT_OF_REACH = 10
#: Part of a bound that a measured value is to keep to where a search starts from: measured again,
#: it is some per cent larger or smaller.
_SAFE = 0.9


@dataclass
class Reach:
    """The result of :func:`check_limits`.

    Attributes:
        limits: those that were checked; others need more than static metrics.
        best: for each of their metrics the value nearest to keeping the limit.
        looked: number of architectures that were measured.
        kept: an architecture that keeps the limits, to start a search from; ``None`` if the
            default does, or if none was found. It depends only on the seed and the space.
        doubt: if none was found, which proves nothing: a sentence that says how many were
            examined and how near they came; otherwise empty.
    """

    limits: tuple[Limit, ...]
    best: dict[str, float]
    looked: int
    kept: Architecture | None = None
    doubt: str = ""


def static_parts(evaluator: Evaluator) -> list[Evaluator]:
    """The evaluators inside ``evaluator`` that need neither measurement nor training."""
    return [part for part in _parts(evaluator) if part.price <= Price.STATIC]


def known_costs(space: Space, evaluator: Evaluator) -> KnownCosts:
    """Exact metrics of an architecture without training it; the most recent are cached."""
    parts = [part for part in _parts(evaluator) if part.exact]
    names = evaluator.exact
    look = Look(space, parts)

    @lru_cache(_REMEMBERED)
    def of(architecture: Architecture) -> dict[str, float]:
        metrics = look._measured(architecture)
        return {name: metrics[name] for name in names if name in metrics}

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
    """Look for an architecture that keeps the limits; refuse limits that none can keep.

    Static metrics (parameters, FLOPs): descends greedily from the default over its neighbours,
    examines 64 samples, descends from the nearest of them, then mutates the nearest. A space of up
    to 2,000 architectures is then enumerated, and only that refuses a limit: in a larger space an
    architecture that keeps it may have been missed.

    Measured metrics (latency): the default and the architecture with the fewest parameters so far
    are measured once each; an upper bound is in doubt if both exceed it more than tenfold. If not,
    what the search would start from is narrowed until it keeps them.

    Args:
        looks: architectures to examine before giving up.

    Raises:
        LimitError: no architecture in the space keeps a limit, or all limits together (with the
            nearest value); or an upper bound on a cost is not above 0.
    """
    for limit in limits:
        _check_bound(limit)
    look = Look(space, static_parts(evaluator))
    metrics = {name for part in look.parts for name in part.provides}
    static = tuple(limit for limit in limits if limit.metric in metrics)
    reach = _search(look, static, seed, looks)
    timed = Look(space, [part for part in _parts(evaluator) if part.price is Price.MEASURED])
    clocked = {name for part in timed.parts for name in part.provides}
    bounds = [lim for lim in limits if lim.metric in clocked and lim.sign == "<="]
    doubt = _doubt_measured(look, timed, bounds, seed) if bounds else ""
    if bounds and not reach.doubt and not doubt:
        first = reach.kept or space.default()
        reach.kept = _within_measured(look, static, timed, bounds, first) or reach.kept
    reach.doubt = "; ".join(filter(None, [reach.doubt, doubt]))
    return reach


def _search(look: Look, limits: tuple[Limit, ...], seed: int, looks: int) -> Reach:
    """Look for an architecture that keeps the limits."""
    if not limits:
        return Reach((), {}, 0)
    default = look.space.default()
    if look.violation(default, limits) == 0:
        return look.reach(limits)
    for candidate in _candidates(look, default, limits, seed, looks):
        if look.violation(candidate, limits) == 0:
            return look.reach(limits, candidate)
    size = look.space.size()
    if size.exact and size.count <= _WHOLE:
        for architecture in look.space.enumerate():
            if look.violation(architecture, limits) == 0:
                return look.reach(limits, architecture)
        raise _unreachable(look, limits)
    reach = look.reach(limits)
    unreached = _unreachable(look, limits)
    reach.doubt = (
        f"no architecture that keeps {' and '.join(map(str, limits))} was found: {unreached.got}, "
        f"of {size} in the space. The search keeps looking and trains nothing that breaks a limit; "
        f"or {unreached.hint}"
    )
    return reach


def _candidates(
    look: Look, default: Architecture, limits: tuple[Limit, ...], seed: int, looks: int
) -> Iterator[Architecture]:
    """Candidates to keep the limits, from near the default to far; the caller stops at one."""

    def below(count: int) -> Callable[[], bool]:
        return lambda: len(look.metrics) < count

    def until(share: int) -> Callable[[], bool]:
        return below(looks * share // _LOOKS)

    def loss(architecture: Architecture) -> float:
        return look.violation(architecture, limits)

    narrower = narrowed(look.space, default, loss)
    if narrower is not None:
        yield narrower
    # Separate generators: what one stage draws must not change the others.
    first, _ = look.approach(default, limits, random.Random(f"{seed}/default"), until(_FIRST))
    yield first
    rng = random.Random(seed)
    starts = [default, first]
    for _ in range(min(_SAMPLES, looks)):
        with contextlib.suppress(SpaceError):  # the builder rejects it
            starts.append(look.space.sample(rng))
            yield starts[-1]
    second, _ = look.approach(min(starts, key=loss), limits, rng, until(_SECOND))
    yield second
    starts = sorted(look.metrics, key=loss)
    kept = seek(look.space, loss, starts[:_SAMPLES], random.Random(f"{seed}/seek"), until(_LOOKS))
    if kept is not None:
        yield kept
    for limit in limits if len(limits) > 1 else ():
        nearest = min(look.metrics, key=lambda a: look.violation(a, (limit,)))
        yield look.approach(nearest, (limit,), rng, below(len(look.metrics) + _ALONE))[0]


def _check_bound(limit: Limit) -> None:
    cost = limit.metric in COSTS or limit.metric.startswith("latency")
    if cost and limit.sign == "<=" and limit.bound <= 0:
        raise LimitError(
            f"limit {limit}",
            f"a bound above 0, which {limit.metric} can meet",
            f"{limit.bound:g}",
        )


def _doubt_measured(look: Look, timed: Look, limits: Sequence[Limit], seed: int) -> str:
    """Why an upper bound on a measured metric may be out of reach; empty if none is."""
    default = look.space.default()

    def out_of_reach(architecture: Architecture, limit: Limit) -> bool:
        value = timed.measure(architecture).get(limit.metric)
        return value is not None and value > _OUT_OF_REACH * limit.bound

    if not any(out_of_reach(default, limit) for limit in limits):
        return ""
    smallest = look.smallest(random.Random(seed), _SAMPLES)
    for limit in limits:
        if smallest is not None and out_of_reach(default, limit) and out_of_reach(smallest, limit):
            return (
                f"limit {limit} is far from what was measured: {timed.nearest(limit):,.6g} is "
                f"the least {limit.metric} of the default and of the smallest architecture found"
            )
    return ""


def _within_measured(
    look: Look,
    static: Sequence[Limit],
    timed: Look,
    bounds: Sequence[Limit],
    first: Architecture,
) -> Architecture | None:
    """A narrower architecture than ``first`` that keeps the bounds on measured metrics as well;
    ``None`` if that keeps them, or if none was found."""
    safe = [replace(bound, bound=_SAFE * bound.bound) for bound in bounds]

    def loss(architecture: Architecture) -> float:
        return look.violation(architecture, static) + timed.violation(architecture, safe)

    return narrowed(look.space, first, loss) if timed.violation(first, bounds) > 0 else None


class Look:
    """Static metrics of architectures, each measured once."""

    def __init__(self, space: Space, parts: Sequence[Evaluator]) -> None:
        self.space, self.parts = space, parts
        self.metrics: dict[Architecture, dict[str, float]] = {}

    def measure(self, architecture: Architecture) -> dict[str, float]:
        metrics = self.metrics.get(architecture)
        if metrics is None:
            metrics = self.metrics[architecture] = self._measured(architecture)
        return metrics

    def _measured(self, architecture: Architecture) -> dict[str, float]:
        metrics: dict[str, float] = {}
        try:
            for part in self.parts:
                with Guard():
                    metrics |= part.evaluate(architecture, Fidelity(), 0, Watch())
        except TrialFailed as failure:
            metrics |= failure.metrics
        except Exception:
            # check_shapes reports shapes that do not fit; such an architecture has no metrics here.
            metrics = {}
        return metrics

    def violation(self, architecture: Architecture, limits: Sequence[Limit]) -> float:
        metrics = self.measure(architecture)
        if any(limit.metric not in metrics for limit in limits):
            return float("inf")
        return violation(metrics, limits)

    def smallest(self, rng: random.Random, samples: int) -> Architecture | None:
        """The architecture with the fewest parameters, of some samples and all measured so far."""
        for _ in range(samples):
            with contextlib.suppress(SpaceError):  # the builder rejects it
                self.measure(self.space.sample(rng))
        sizes = {a: metrics["params"] for a, metrics in self.metrics.items() if "params" in metrics}
        return min(sizes, key=sizes.__getitem__, default=None)

    def around(self, architecture: Architecture) -> list[Architecture]:
        neighbours: list[Architecture] = []
        # check_shapes reports what the builder cannot build.
        with contextlib.suppress(SpaceError):
            neighbours.extend(islice(self.space.neighbours(architecture), _AROUND))
        return neighbours

    def approach(
        self,
        architecture: Architecture,
        limits: Sequence[Limit],
        rng: random.Random,
        going: Callable[[], bool],
    ) -> tuple[Architecture, bool]:
        """Like :meth:`descend`, but stops once the limits are kept."""
        return self.descend(architecture, lambda a: self.violation(a, limits), rng, going, 0.0)

    def descend(
        self,
        architecture: Architecture,
        loss: Callable[[Architecture], float],
        rng: random.Random,
        going: Callable[[], bool],
        enough: float = -math.inf,
    ) -> tuple[Architecture, bool]:
        """Move to a neighbour with a lower loss until there is none or the loss is ``enough``.

        Returns:
            The last architecture, and whether the descent ended there; if not, ``going`` returned
            false.
        """
        current = loss(architecture)
        better = True
        while better and current > enough:
            better = False
            around = self.around(architecture)
            rng.shuffle(around)
            for other in around:
                if not going():
                    return architecture, False
                candidate_loss = loss(other)
                if candidate_loss < current:
                    architecture, current, better = other, candidate_loss, True
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
    extent = f"among {len(look.metrics):,} architectures examined"
    for limit in limits:
        value = look.nearest(limit)
        if value is None:
            return LimitError(
                f"limit {limit}",
                "an architecture to measure it on",
                f"none that builds, {extent}",
            )
        if limit.violation({limit.metric: value}) > 0:
            extreme, change = ("smallest", "raise") if limit.sign == "<=" else ("largest", "lower")
            return LimitError(
                f"limit {limit}",
                "an architecture that keeps it",
                f"{value:,.6g} as the {extreme} {limit.metric} found, {extent}",
                f"{change} the limit to {value:,.6g} or beyond, or give the space other options",
            )
    nearest = min(look.metrics, key=lambda a: look.violation(a, limits))
    values = look.metrics[nearest]
    return LimitError(
        f"limits {', '.join(map(str, limits))}",
        "an architecture that keeps them together",
        f"{', '.join(f'{lim.metric}={values[lim.metric]:,.6g}' for lim in limits)} as the nearest, "
        f"{extent}",
        "each can be kept alone; loosen one of them",
    )
