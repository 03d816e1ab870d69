"""Which decisions are widths and depths of a network, and networks with all widths scaled."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._support.errors import SpaceError
from .architecture import Architecture
from .guard import Guard

if TYPE_CHECKING:
    from .space import Space

#: Least answer of a width; smaller numbers are depths, kernels and factors.
WIDTH = 8


@dataclass(frozen=True)
class Sizes:
    """The widths and the depths of an architecture, each with all its answers in rising order.

    Both are whole numbers of which a larger one adds parameters. A width is 8 or more and changes
    no other decision; a depth is less and adds tensors of parameters, as the size of a kernel does
    not.
    """

    widths: Mapping[str, Sequence[int]]
    depths: Mapping[str, Sequence[int]]


def sizes_of(space: Space, architecture: Architecture) -> Sizes:
    """The sizes of an architecture, found by building it with one of them changed."""
    widths, depths = dict[str, Sequence[int]](), dict[str, Sequence[int]]()
    own = _parameters(space, architecture)
    for decision in space.decisions(architecture):
        answer = architecture[decision.name]
        if not decision.listed or not isinstance(answer, int) or isinstance(answer, bool):
            continue
        answers = sorted(a for a in decision.answers() if isinstance(a, int))
        place = answers.index(answer)
        above = place + 1 < len(answers)
        other = complete(
            space, architecture, {decision.name: answers[place + (1 if above else -1)]}
        )
        if len(answers) < 2 or other is None:
            continue
        less, more = (own, _parameters(space, other)) if above else (_parameters(space, other), own)
        if answer >= WIDTH and set(other) == set(architecture) and sum(less) < sum(more):
            widths[decision.name] = [a for a in answers if a > 0]
        elif answer < WIDTH and len(less) < len(more):
            depths[decision.name] = answers
    return Sizes(widths, depths)


def scaled(
    space: Space, architecture: Architecture, widths: Mapping[str, Sequence[int]], factor: float
) -> Architecture | None:
    """The architecture with each width nearest, as a ratio, to its own times the factor; ``None``
    if the builder rejects it."""
    aims = {name: factor * float(architecture[name]) for name in widths}  # type: ignore[arg-type]
    near = {n: min(a, key=lambda w: abs(math.log(w / aims[n]))) for n, a in widths.items()}
    return complete(space, architecture, near)


def complete(
    space: Space, architecture: Architecture, answers: Mapping[str, int]
) -> Architecture | None:
    """The architecture with some answers changed, ``None`` if the builder rejects it."""
    try:
        return space.complete({**architecture, **answers})
    except SpaceError:
        return None


def _parameters(space: Space, architecture: Architecture) -> list[int]:
    """Numbers of elements of the parameters; none if it cannot be built."""
    try:
        with Guard():
            model = space.build(architecture, "meta")
    except Exception:  # the builder is the user's code; a trial will tell what is wrong
        return []
    return [parameter.numel() for parameter in model.parameters()]
