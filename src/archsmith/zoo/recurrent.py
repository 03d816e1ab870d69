"""Stacks of recurrent layers for series."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from ..space import choose, one_of
from .series_parts import LAST_FIRST, Features, shortened, with_head


def recurrent(
    channels: int,
    outputs: int,
    length: int,
    pools: Sequence[str] = LAST_FIRST,
    widths: Sequence[int] = (16, 32, 64, 96, 128),
    depths: Sequence[int] = (1, 2, 3),
) -> nn.Module:
    """Series (n, channels, length) to logits or values (n, outputs).

    LSTM (Hochreiter and Schmidhuber 1997) or GRU layers (Cho et al. 2014, arXiv:1406.1078), in one
    or both directions, on means of neighbouring steps where a series is long. The default is two
    layers of 64 GRU cells.

    Args:
        channels, length: of the series.
        outputs: number of classes, or of values to predict.
        pools: what the head may see of the features, the default first.
        widths: of each layer.
        depths: numbers of layers.
    """
    return with_head(recurrent_features(channels, length, widths, depths), outputs, pools)


def recurrent_features(
    channels: int,
    length: int,
    widths: Sequence[int] = (16, 32, 64, 96, 128),
    depths: Sequence[int] = (1, 2, 3),
) -> Features:
    """The layers of :func:`recurrent`, without a head."""
    start, steps = shortened(length, usual=64)
    width: int = choose("width", widths, default=64 if 64 in widths else widths[-1])
    depth: int = choose("depth", depths, default=min(2, depths[-1]))
    both: bool = choose("both", [False, True])
    form = {"num_layers": depth, "batch_first": True, "bidirectional": both}
    cells = one_of(
        "cell",
        {
            "gru": lambda: nn.GRU(channels, width, **form),
            "lstm": lambda: nn.LSTM(channels, width, **form),
        },
    )
    return Features(Steps(start, cells), width * (2 if both else 1), steps)


class Steps(nn.Module):
    """A recurrent layer that takes and gives the channels before the steps."""

    def __init__(self, start: nn.Module, cells: nn.Module) -> None:
        super().__init__()
        self.start, self.cells = start, cells

    def forward(self, x: Tensor) -> Tensor:
        states: Tensor = self.cells(self.start(x).transpose(1, 2))[0]
        return states.transpose(1, 2)
