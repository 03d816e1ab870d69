"""Temporal convolutional networks: causal, dilated convolutions in residual blocks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

from torch import nn

from ..space import choose, one_of, repeat
from .series_parts import LAST_FIRST, Causal, Features, Residual, shortened, with_head


def tcn(
    channels: int,
    outputs: int,
    length: int,
    pools: Sequence[str] = LAST_FIRST,
    widths: Sequence[int] = (16, 32, 64, 96),
    depths: Sequence[int] = (2, 3, 4, 5, 6, 7),
    kernels: Sequence[int] = (2, 3, 5, 7),
) -> nn.Module:
    """Series (n, channels, length) to logits or values (n, outputs).

    Temporal convolutional networks (Bai et al. 2018, arXiv:1803.01271): block ``i`` has two causal
    convolutions with a dilation of ``2**i``, plain or depthwise separable ones, with batch norm in
    place of the paper's weight norm. Width and dropout are asked once, the kernel in each block.
    The default sees about the whole series.

    Args:
        channels, length: of the series.
        outputs: number of classes, or of values to predict.
        pools: what the head may see of the features, the default first.
        widths: of all blocks.
        depths: numbers of blocks.
        kernels: sizes of the kernels.
    """
    return with_head(tcn_features(channels, length, widths, depths, kernels), outputs, pools)


def tcn_features(
    channels: int,
    length: int,
    widths: Sequence[int] = (16, 32, 64, 96),
    depths: Sequence[int] = (2, 3, 4, 5, 6, 7),
    kernels: Sequence[int] = (2, 3, 5, 7),
) -> Features:
    """The blocks of :func:`tcn`, without a head."""
    start, steps = shortened(length)
    width: int = choose("width", widths, default=64 if 64 in widths else widths[-1])
    dropout: float = choose("dropout", [0.0, 0.1, 0.2], default=0.1)
    usual = 5 if 5 in kernels else kernels[-1]
    # Block i sees 2 * (kernel - 1) * 2**i further back.
    needed = next((d for d in depths if 2 * (usual - 1) * (2**d - 1) >= steps), depths[-1])

    def block(number: int) -> nn.Module:
        inside = width if number else channels
        kernel: int = choose("kernel", kernels, default=usual)
        layers: list[nn.Module] = []
        for before in (inside, width):
            layers += [_conv(before, width, kernel, 2**number), nn.BatchNorm1d(width)]
            layers += [nn.ReLU(), nn.Dropout(dropout)]
        return Residual(inside, width, nn.Sequential(*layers))

    def _conv(inside: int, outside: int, kernel: int, dilation: int) -> nn.Module:
        options: dict[str, Callable[[], nn.Module]] = {
            "plain": lambda: Causal(inside, outside, kernel, dilation),
            "separable": lambda: nn.Sequential(
                Causal(inside, inside, kernel, dilation, groups=inside),
                nn.Conv1d(inside, outside, 1, bias=False),
            ),
        }
        op: nn.Module = one_of("op", options)
        return op

    blocks = repeat("depth", depths, block, default=needed)
    return Features(nn.Sequential(OrderedDict(start=start, blocks=blocks)), width, steps)
