"""The network that a search in time begins with: the default, as large as the time can train."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from ..space.architecture import Architecture
from ..space.guard import Guard
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
#: Least default of a width.
_WIDTH = 8


def affordable(
    problem: Problem, seconds: float, pace: Callable[[Architecture], float]
) -> Architecture:
    """The default; or a larger network where the time is enough for it, and the task's examples can
    be augmented and mixed, so that it is not trained to know them by heart.

    Model and data grow together in scaling laws (Hoffmann et al. 2022, arXiv:2203.15556): a network
    that sees the same images fifty times learns less from the time than a larger one that sees them
    fifteen times.

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
        if seconds < least * pace(larger):
            break
        best = larger
    return best


def enlarged(space: Space) -> Iterator[Architecture]:
    """The default made larger and larger: all widths alike, as long as the space allows that for
    all, and then all depths by one (Tan and Le 2019, arXiv:1905.11946, grow both at once)."""
    seen = {space.default()}
    widths, depths = _scales(space)
    own: dict[str, int] = {}
    for size in range(1, _SIZES):
        aims = {name: answers[0] * _WIDER**size for name, answers in widths.items()}
        if any(aim > _BEYOND * widths[name][-1] for name, aim in aims.items()):
            break
        own = {name: _nearest(widths[name], aim) for name, aim in aims.items()}
        larger = space.complete({**space.default(), **own})
        if larger not in seen:
            seen.add(larger)
            yield larger
    for more in range(1, _SIZES):
        deeper = {n: answers[min(more, len(answers) - 1)] for n, answers in depths.items()}
        larger = space.complete({**space.default(), **own, **deeper})
        if larger in seen:
            return
        seen.add(larger)
        yield larger


def _nearest(answers: Sequence[int], aim: float) -> int:
    return min(answers, key=lambda answer: abs(math.log(answer / aim)))


def _scales(space: Space) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    """The widths and the depths of the default, each with its answer and those above it.

    Both are whole numbers of which a larger one adds parameters: a width is 8 or more, a depth less
    and adds tensors of them, as the size of a kernel does not.
    """
    default, widths, depths = space.default(), dict[str, list[int]](), dict[str, list[int]]()
    before = _sizes(space, default)
    for decision in space.decisions(default):
        answer = default[decision.name]
        if not decision.listed or not isinstance(answer, int) or isinstance(answer, bool):
            continue
        answers = sorted(a for a in decision.answers() if isinstance(a, int) and a >= answer)
        if len(answers) > 1:
            after = _sizes(space, space.complete({**default, decision.name: answers[1]}))
            if answer >= _WIDTH and sum(after) > sum(before):
                widths[decision.name] = answers
            elif answer < _WIDTH and len(after) > len(before):
                depths[decision.name] = answers
    return widths, depths


def _sizes(space: Space, architecture: Architecture) -> list[int]:
    """Numbers of elements of the parameters; none if it cannot be built."""
    try:
        with Guard():
            model = space.build(architecture, "meta")
    except Exception:  # the builder is the user's code; a trial will tell what is wrong
        return []
    return [parameter.numel() for parameter in model.parameters()]
