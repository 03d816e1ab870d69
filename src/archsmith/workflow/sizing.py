"""The network that a search in time begins with: the default, as large as the time can train."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ..space.architecture import Architecture
from ..space.sizes import complete, scaled, sizes_of
from ..task.contracts import Mixing
from ..task.problem import Problem

if TYPE_CHECKING:
    from ..space import Space

#: Steps that a network must have in the time that is left, by its pace on whole images, besides as
#: many passes over the data as are needed to mix batches. With many more a larger one is better;
#: see ``docs/benchmarks.md``.
STEPS = 2500
#: Factor of the widths from one size to the next, and how many sizes are looked at.
_WIDER, _SIZES = 2**0.5, 8
#: How far the aim of a width may lie above its largest answer.
_BEYOND = 1.2


def affordable(
    problem: Problem, seconds: float, pace: Callable[[Architecture], float]
) -> Architecture:
    """The default; or a larger network where the time is enough for it, and the task's examples can
    be augmented and mixed, so that it is not trained to know them by heart.

    Model and data grow together in scaling laws (Hoffmann et al. 2022, arXiv:2203.15556): a network
    that sees the same images fifty times learns less from the time than a larger one that sees them
    fifteen times. The first size that cannot be built or trained ends the series.

    Args:
        seconds: for its training.
        pace: seconds of a training step of an architecture.
    """
    from ..train.lasting import LONG

    best, data = problem.space.default(), problem.data
    if not (problem.recipe.augment and isinstance(problem.task, Mixing)):
        return best
    least = max(STEPS, LONG * len(data.train) / problem.recipe.batch_size)
    for larger in enlarged(problem.space):
        try:
            if seconds < least * pace(larger):
                break
        except Exception:  # out of memory, or a builder that raises: what is smaller has run
            break
        best = larger
    return best


def enlarged(space: Space) -> Iterator[Architecture]:
    """The default made larger and larger: all widths alike, as long as the space allows that for
    all, and then all depths by one (Tan and Le 2019, arXiv:1905.11946, grow both at once)."""
    default = largest = space.default()
    sizes, seen = sizes_of(space, default), {default}
    for size in range(1, _SIZES):
        factor = _WIDER**size
        if any(factor * float(default[n]) > _BEYOND * a[-1] for n, a in sizes.widths.items()):  # type: ignore[arg-type]
            break
        wider = scaled(space, default, sizes.widths, factor)
        if wider is None:
            break
        if wider not in seen:
            seen.add(wider)
            yield wider
        largest = wider
    for more in range(1, _SIZES):
        deeper = {
            name: answers[min(answers.index(default[name]) + more, len(answers) - 1)]
            for name, answers in sizes.depths.items()
        }
        next_one = complete(space, largest, deeper)
        if next_one is None or next_one in seen:
            return
        seen.add(next_one)
        yield next_one
