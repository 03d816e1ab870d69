"""Residual networks for series."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from ..space import choose, repeat
from .series_parts import POOLS, Features, Residual, conv, shortened, with_head

#: Kernels of the three convolutions of a block; 7, 5, 3 are nearest to the paper's 8, 5, 3.
KERNELS = {"short": (3, 3, 3), "usual": (7, 5, 3), "long": (15, 9, 5)}


def resnet1d(
    channels: int,
    outputs: int,
    length: int,
    pools: Sequence[str] = POOLS,
    widths: Sequence[int] = (16, 32, 64, 96, 128),
    depths: Sequence[int] = (1, 2, 3, 4),
) -> nn.Module:
    """Series (n, channels, length) to logits or values (n, outputs).

    Residual networks of three convolutions a block (Wang et al. 2017, arXiv:1611.06455). Searched
    are the number of blocks and, in each, its width, its kernels and the groups of its second and
    third convolution. The default has the paper's 64, 128 and 128 channels.

    Args:
        channels, length: of the series.
        outputs: number of classes, or of values to predict.
        pools: what the head may see of the features, the default first.
        widths: of a block.
        depths: numbers of blocks.
    """
    return with_head(resnet1d_features(channels, length, widths, depths), outputs, pools)


def resnet1d_features(
    channels: int,
    length: int,
    widths: Sequence[int] = (16, 32, 64, 96, 128),
    depths: Sequence[int] = (1, 2, 3, 4),
) -> Features:
    """The blocks of :func:`resnet1d`, without a head."""
    start, steps = shortened(length)
    inside = channels

    def block(number: int) -> nn.Module:
        nonlocal inside
        usual = [width for width in widths if width <= (128 if number else 64)]
        width: int = choose("width", widths, default=(usual or widths)[-1])
        kernels: tuple[int, ...] = choose("kernels", KERNELS, default="usual")
        groups: int = choose("groups", [1, 4])
        one, two, three = kernels
        layers = [conv(inside, width, one), nn.ReLU(), conv(width, width, two, groups)]
        body = nn.Sequential(*layers, nn.ReLU(), conv(width, width, three, groups))
        before, inside = inside, width
        return Residual(before, width, body)

    blocks = repeat("depth", depths, block, default=min(3, depths[-1]))
    return Features(nn.Sequential(OrderedDict(start=start, blocks=blocks)), inside, steps)
