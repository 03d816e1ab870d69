"""Inception networks for series."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..space import choose, repeat
from .series_parts import POOLS, Features, shortened, with_head

#: Kernels of a module; 9, 19, 39 are nearest to the paper's 10, 20, 40.
KERNELS = {"short": (3, 5, 9), "middle": (5, 9, 19), "long": (9, 19, 39), "mixed": (3, 9, 27)}


def inceptiontime(
    channels: int,
    outputs: int,
    length: int,
    pools: Sequence[str] = POOLS,
    filters: Sequence[int] = (8, 16, 24, 32),
    depths: Sequence[int] = (2, 3, 4, 6, 9),
) -> nn.Module:
    """Series (n, channels, length) to logits or values (n, outputs).

    One network of the ensemble InceptionTime (Fawaz et al. 2020, arXiv:1909.04939): modules of a
    bottleneck, several convolutions of different kernels and a max pooling with a 1x1 convolution,
    side by side. Searched are the number of modules, how many filters each convolution has, the
    bottleneck, whether every third module ends a residual connection, and the kernels of each
    module. The default is the paper's but for odd kernels.

    Args:
        channels, length: of the series.
        outputs: number of classes, or of values to predict.
        pools: what the head may see of the features, the default first.
        filters: numbers of filters of each convolution of a module.
        depths: numbers of modules.
    """
    return with_head(inception_features(channels, length, filters, depths), outputs, pools)


def inception_features(
    channels: int,
    length: int,
    filters: Sequence[int] = (8, 16, 24, 32),
    depths: Sequence[int] = (2, 3, 4, 6, 9),
) -> Features:
    """The modules of :func:`inceptiontime`, without a head."""
    start, steps = shortened(length)
    count: int = choose("filters", filters, default=filters[-1])
    bottleneck: int = choose("bottleneck", filters, default=filters[-1])
    residual: bool = choose("residual", [True, False])
    inside, joined = channels, channels

    def module(number: int) -> nn.Module:
        nonlocal inside, joined
        kernels: tuple[int, ...] = choose("kernels", KERNELS, default="long")
        before, inside = inside, count * (len(kernels) + 1)
        ends = residual and number % 3 == 2
        block = Module(before, count, bottleneck, kernels, joined if ends else None)
        joined = inside if ends else joined
        return block

    modules = repeat("depth", depths, module, default=6 if 6 in depths else depths[-1])
    return Features(Modules(start, modules), inside, steps)


class Module(nn.Module):
    """An inception module.

    Args:
        inside: channels it reads.
        filters: of each convolution.
        bottleneck: channels that the convolutions read, if there are more.
        joined: channels of what a residual connection that ends here adds; ``None`` without one.
    """

    def __init__(
        self,
        inside: int,
        filters: int,
        bottleneck: int,
        kernels: Sequence[int],
        joined: int | None,
    ) -> None:
        super().__init__()
        narrow = inside > bottleneck
        self.bottleneck = nn.Conv1d(inside, bottleneck, 1, bias=False) if narrow else nn.Identity()
        read = bottleneck if narrow else inside
        # By place, not by kernel: weights of other kernels lie in one another.
        self.convs = nn.ModuleList(
            nn.Conv1d(read, filters, k, padding=k // 2, bias=False) for k in kernels
        )
        pool, mix = nn.MaxPool1d(3, 1, padding=1), nn.Conv1d(inside, filters, 1, bias=False)
        self.pooled = nn.Sequential(pool, mix)
        outside = filters * (len(kernels) + 1)
        self.norm = nn.BatchNorm1d(outside)
        self.shortcut = (
            nn.Sequential(nn.Conv1d(joined, outside, 1, bias=False), nn.BatchNorm1d(outside))
            if joined is not None
            else None
        )

    def forward(self, x: Tensor, earlier: Tensor) -> Tensor:
        narrow = self.bottleneck(x)
        parts = [*(conv(narrow) for conv in self.convs), self.pooled(x)]
        out = torch.relu(self.norm(torch.cat(parts, dim=1)))
        return out if self.shortcut is None else torch.relu(out + self.shortcut(earlier))


class Modules(nn.Module):
    """Inception modules; a residual connection begins where the one before it ended."""

    def __init__(self, start: nn.Module, modules: nn.Sequential) -> None:
        super().__init__()
        self.start, self.blocks = start, modules

    def forward(self, x: Tensor) -> Tensor:
        x = earlier = self.start(x)
        for block in self.blocks.children():
            assert isinstance(block, Module)
            x = block(x, earlier)
            earlier = x if block.shortcut is not None else earlier
        return x
