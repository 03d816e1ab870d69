"""The network that a search in time begins with: as large as the time can train."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from ..evaluate import Evaluator
from ..history.objective import COSTS, Limit, Objective
from ..space.architecture import Architecture
from ..space.sizes import complete, scaled, sizes_of
from ..study.narrowing import narrowed
from ..study.reach import Look, Reach, static_parts
from ..task.contracts import Mixing
from ..task.problem import Problem

if TYPE_CHECKING:
    from ..space import Space

#: How far an architecture is from keeping the limits, 0 if it keeps them.
Loss = Callable[[Architecture], float]
#: Steps that a network must have in the time that is left, by its pace on whole images, besides as
#: many passes over the data as are needed to mix batches. With many more a larger one is better;
#: see ``docs/benchmarks.md``.
STEPS = 2500
#: Factor of the widths from one size to the next, and how many sizes are looked at.
_WIDER, _SIZES = 2**0.5, 8
#: How far the aim of a width may lie above its largest answer.
_BEYOND = 1.2


def limited(
    evaluator: Evaluator,
    space: Space,
    reach: Reach,
    objectives: Sequence[Objective],
    limits: Sequence[Limit],
) -> Loss | None:
    """How far an architecture is from keeping the limits; ``None`` where the size of what a search
    begins with is not to be chosen: a cost is an objective, or a limit has to be measured."""
    cost = len(objectives) > 1 or objectives[0].metric in COSTS
    if cost or set(limits) != set(reach.limits) or reach.doubt:
        return None
    if not limits:
        return lambda _: 0.0
    look = Look(space, static_parts(evaluator))
    return lambda architecture: look.violation(architecture, limits)


def affordable(
    problem: Problem,
    seconds: float,
    pace: Callable[[Architecture], float],
    first: Architecture,
    loss: Loss,
) -> Architecture:
    """The first architecture; or a larger network where the time is enough for it, and the task's
    examples can be augmented and mixed, so that it is not trained to know them by heart.

    Model and data grow together in scaling laws (Hoffmann et al. 2022, arXiv:2203.15556): a network
    that sees the same images fifty times learns less from the time than a larger one that sees them
    fifteen times. The first size that cannot be built or trained ends the series.

    Args:
        seconds: for its training.
        pace: seconds of a training step of an architecture.
        first, loss: as of :func:`enlarged`.
    """
    from ..train.lasting import LONG

    best, data = first, problem.data
    if not (problem.recipe.augment and isinstance(problem.task, Mixing)):
        return best
    least = max(STEPS, LONG * len(data.train) / problem.recipe.batch_size)
    for larger in enlarged(problem.space, first, loss):
        try:
            if seconds < least * pace(larger):
                break
        except Exception:  # out of memory, or a builder that raises: what is smaller has run
            break
        best = larger
    return best


def enlarged(space: Space, first: Architecture, loss: Loss) -> Iterator[Architecture]:
    """An architecture made larger and larger: all widths alike, as long as the space and the limits
    allow that, and then all depths by one (Tan and Le 2019, arXiv:1905.11946, grow both at once).

    A deeper one that breaks a limit is as wide as the limits leave: depth costs time, and for a
    number of parameters it is the cheaper way to more accuracy.

    Args:
        first: the default, or a narrower one where that breaks a limit.
        loss: how far an architecture is from keeping the limits.
    """
    default = space.default()
    sizes, seen = sizes_of(space, first), {first}
    wide = first if loss(default) == 0 else default
    for size in range(1, _SIZES):
        factor = _WIDER**size
        if any(factor * float(first[n]) > _BEYOND * a[-1] for n, a in sizes.widths.items()):  # type: ignore[arg-type]
            break
        wider = scaled(space, first, sizes.widths, factor)
        if wider is None or loss(wider) > 0:
            break
        if wider not in seen:
            seen.add(wider)
            yield wider
        wide = wider
    for more in range(1, _SIZES):
        deeper = {
            name: answers[min(answers.index(first[name]) + more, len(answers) - 1)]
            for name, answers in sizes.depths.items()
        }
        next_one = complete(space, wide, deeper)
        if next_one is not None and loss(next_one) > 0:
            next_one = narrowed(space, next_one, loss)
        if next_one is None or next_one in seen:
            return
        seen.add(next_one)
        yield next_one
