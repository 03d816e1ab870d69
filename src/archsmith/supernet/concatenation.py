"""What a layer that reads concatenated channels reads, in any architecture.

Behind ``torch.cat([a, b], 1)`` the columns of a convolution belong to ``a`` and to ``b``, and where
``a`` is narrow a prefix would give columns of ``a`` to ``b`` (skips of a U-Net, Ronneberger et al.
2015, arXiv:1505.04597; DenseNet, Huang et al. 2017, arXiv:1608.06993). What was concatenated is
known by the layers that made it, as an example showed (:mod:`~archsmith.supernet.channels`); their
widths determine the sizes of the parts in any architecture.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_MANY = 64  # limit on the combinations of sizes that are tried


@dataclass(frozen=True, slots=True)
class Run:
    """Channels of one source, all of them in order.

    Attributes:
        source: key of the weight that made them; empty for channels that no layer made.
        dim: the dimension of that weight's output channels.
        times: channels in the run for each of them (for a flattened vector, all its pixels).
        size: of the run.
    """

    source: str
    dim: int
    times: int
    size: int


@dataclass(frozen=True, slots=True)
class Joined:
    """The parts of a dimension, in order; for each, the runs it may come from."""

    dim: int
    parts: tuple[tuple[Run, ...], ...]

    def sizes(self, shapes: Mapping[str, Sequence[int]], wanted: int) -> tuple[int, ...] | None:
        """Sizes of the parts in an architecture; ``None`` if its shapes do not determine them.

        Args:
            shapes: of its tensors, by key.
            wanted: what they add up to. Parts at the end may be absent.
        """
        ways = []
        for part in self.parts:
            fixed = {run.size for run in part if not run.source}
            widths = [shapes[r.source][r.dim] * r.times for r in part if r.source in shapes]
            ways.append(list(dict.fromkeys([*reversed(widths), *fixed])) or [0])
        for sizes in itertools.islice(itertools.product(*ways), _MANY):
            for count in range(len(sizes), 0, -1):
                if sum(sizes[:count]) == wanted:
                    return (*sizes[:count], *[0] * (len(sizes) - count))
        return None

    def to_json(self) -> list[Any]:
        """As plain lists; :meth:`from_json` takes them."""
        return [self.dim, [[[r.source, r.dim, r.times, r.size] for r in p] for p in self.parts]]

    @classmethod
    def from_json(cls, values: Sequence[Any]) -> Joined:
        """The inverse of :meth:`to_json`."""
        dim, parts = values
        return cls(dim, tuple(tuple(Run(*run) for run in part) for part in parts))


#: Runs of the channels that a tensor reads, by its key; ``None`` where they are not whole.
Runs = dict[str, tuple[int, tuple[Run, ...] | None]]


def join(met: Sequence[tuple[int, tuple[Run, ...] | None]]) -> Joined | None:
    """What a layer reads, combined from several architectures; ``None`` where they disagree."""
    dims = {dim for dim, _ in met}
    rows = [runs for _, runs in met if runs is not None]
    if len(rows) < len(met) or len(dims) != 1:
        return None
    longest = max(rows, key=len)
    if len(longest) < 2:
        return None
    parts: list[list[Run]] = [[run] for run in longest]
    for runs in rows:
        places = range(len(runs)) if len(runs) == len(longest) else _within(runs, longest)
        if places is None:
            return None
        for place, run in zip(places, runs, strict=True):
            if run not in parts[place]:
                parts[place].append(run)
    return Joined(dims.pop(), tuple(map(tuple, parts)))


def _within(few: Sequence[Run], many: Sequence[Run]) -> list[int] | None:
    """Places of runs in a longer sequence of runs, matched by source."""
    rest, chosen = iter(range(len(many))), []
    for run in few:
        place = next((n for n in rest if many[n].source == run.source), None)
        if place is None:
            return None
        chosen.append(place)
    return chosen
