"""The default architecture with all its widths made smaller evenly, for a limit that it breaks."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from .._support.errors import SpaceError
from ..space.architecture import Answer, Architecture
from ..space.decision import Decision

if TYPE_CHECKING:
    from ..space import Space

#: Factor between one width multiplier that is tried and the next, and how many there are.
_STEP, _MOST = 0.93, 40
#: How much more than others a width may be raised to make use of what a limit leaves.
_UNEVEN = 2
#: Least default of a width.
_WIDTH = 8


def narrowed(
    space: Space, architecture: Architecture, loss: Callable[[Architecture], float]
) -> Architecture | None:
    """The architecture with the largest width multiplier whose loss is 0, and then single widths
    raised one answer at a time, in turn, as long as the loss stays 0.

    Scaling all widths alike keeps the proportions of a network that somebody thought about (Howard
    et al. 2017, arXiv:1704.04861), where a descent that takes any single step towards the limit
    leaves one layer as a bottleneck. Widths are decisions about whole numbers, 8 or more by
    default, of which a smaller one lowers the loss and changes no other decision; numbers of layers
    and sizes of kernels are smaller.

    Args:
        loss: how far an architecture is from keeping the limits. It is asked about four times for
            each width.

    Returns:
        ``None`` if no multiplier that was tried gives a loss of 0.
    """
    widths = _widths(space, architecture, loss)
    series = list(dict.fromkeys(_scaled(space, architecture, widths, n) for n in range(1, _MOST)))
    if not widths or loss(series[-1]) > 0:
        return None
    above, kept = -1, len(series) - 1  # what comes before breaks the limit, the last keeps it
    while kept - above > 1:
        middle = (above + kept) // 2
        if loss(series[middle]) > 0:
            above = middle
        else:
            kept = middle
    return _filled(space, series[kept], widths, loss)


def _widths(
    space: Space, architecture: Architecture, loss: Callable[[Architecture], float]
) -> dict[str, list[int]]:
    """The answers that the widths may have, up to those of the architecture, in rising order."""
    before, found = loss(architecture), {}
    for decision in space.decisions(architecture):
        numbers = _up_to(decision, architecture)
        if len(numbers) > 1:
            with contextlib.suppress(SpaceError):  # the builder rejects it
                other = space.complete({**architecture, decision.name: numbers[-2]})
                if set(other) == set(architecture) and loss(other) < before:
                    found[decision.name] = numbers
    return found


def _up_to(decision: Decision, architecture: Architecture) -> list[int]:
    """The positive answers up to that of the architecture, if that may be a width."""
    answer = architecture[decision.name]
    if not decision.listed or not isinstance(answer, int) or answer < _WIDTH:
        return []
    return sorted(a for a in decision.answers() if isinstance(a, int) and 0 < a <= answer)


def _scaled(
    space: Space, architecture: Architecture, widths: dict[str, list[int]], steps: int
) -> Architecture:
    """The architecture with each width nearest, as a ratio, to its own times the multiplier."""

    def nearest(numbers: Sequence[int]) -> int:
        return min(numbers, key=lambda n: abs(math.log(n / (numbers[-1] * _STEP**steps))))

    return space.complete({**architecture, **{n: nearest(w) for n, w in widths.items()}})


def _filled(
    space: Space,
    architecture: Architecture,
    widths: dict[str, list[int]],
    loss: Callable[[Architecture], float],
) -> Architecture:
    """The architecture with widths raised as far as the loss stays 0, at most to ``_UNEVEN`` times
    what they are."""

    def wider_than(width: Answer, numbers: Sequence[int]) -> list[int]:
        assert isinstance(width, int)
        return [n for n in numbers if width < n <= _UNEVEN * width]

    rising = {name: wider_than(architecture[name], w) for name, w in widths.items()}
    while rising:
        for name, numbers in [*rising.items()]:
            wider = space.complete({**architecture, name: numbers.pop(0)}) if numbers else None
            if wider is not None and loss(wider) == 0:
                architecture = wider
            else:
                del rising[name]
    return architecture
