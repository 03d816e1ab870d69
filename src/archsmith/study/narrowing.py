"""The default architecture with all its widths made smaller evenly, for a limit that it breaks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from ..space.architecture import Architecture
from ..space.sizes import complete, scaled, sizes_of

if TYPE_CHECKING:
    from ..space import Space

#: Factor between one width multiplier that is tried and the next, and how many there are.
_STEP, _MOST = 0.93, 40
#: How much more than others a width may be raised to make use of what a limit leaves.
_UNEVEN = 2


def narrowed(
    space: Space, architecture: Architecture, loss: Callable[[Architecture], float]
) -> Architecture | None:
    """The architecture with the largest width multiplier whose loss is 0, and then single widths
    raised one answer at a time, in turn, as long as the loss stays 0.

    Scaling all widths alike keeps the proportions of a network that somebody thought about (Howard
    et al. 2017, arXiv:1704.04861), where a descent that takes any single step towards the limit
    leaves one layer as a bottleneck.

    Args:
        loss: how far an architecture is from keeping the limits. It is asked about six times, and
            up to three times for each width.

    Returns:
        ``None`` if no multiplier that was tried gives a loss of 0.
    """
    widths = sizes_of(space, architecture).widths
    sizes = [scaled(space, architecture, widths, _STEP**n) for n in range(1, _MOST)]
    series = list(dict.fromkeys(a for a in sizes if a is not None and a != architecture))
    if not series or loss(series[-1]) > 0:
        return None
    above, kept = -1, len(series) - 1  # what comes before breaks the limit, the last keeps it
    while kept - above > 1:
        middle = (above + kept) // 2
        if loss(series[middle]) > 0:
            above = middle
        else:
            kept = middle
    own = {name: architecture[name] for name in widths if name in series[kept]}
    below = {n: [a for a in widths[n] if a <= width] for n, width in own.items()}  # type: ignore[operator]
    return _filled(space, series[kept], below, loss)


def _filled(
    space: Space,
    architecture: Architecture,
    widths: Mapping[str, Sequence[int]],
    loss: Callable[[Architecture], float],
) -> Architecture:
    """The architecture with widths raised as far as the loss stays 0, at most to ``_UNEVEN`` times
    what they are."""

    def wider_than(width: object, numbers: Sequence[int]) -> list[int]:
        assert isinstance(width, int)
        return [n for n in numbers if width < n <= _UNEVEN * width]

    rising = {name: wider_than(architecture[name], w) for name, w in widths.items()}
    while rising:
        for name, numbers in [*rising.items()]:
            answers = {name: numbers.pop(0)} if numbers else {}
            wider = complete(space, architecture, answers) if answers else None
            if wider is not None and loss(wider) == 0:
                architecture = wider
            else:
                del rising[name]
    return architecture
