"""What spaces for series share: shortening, causal convolutions and heads."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..space import choose, one_of, scope

#: What a head may see of a feature map (n, width, steps): its mean, its largest values, its last
#: step, or the means of :data:`PARTS` parts in order.
POOLS = ("mean", "max", "last", "parts")
#: The same, for networks whose last step has seen the whole series.
LAST_FIRST = ("last", "mean", "max", "parts")
PARTS = 8
#: Steps that the default leaves of a long series at least, and least of what any member leaves.
_USUAL_STEPS, _LEAST_STEPS = 128, 16


class Features(NamedTuple):
    """A network from (n, channels, length) to a feature map (n, width, steps)."""

    network: nn.Module
    width: int
    steps: int


class Pool(nn.Module):
    """A feature map (n, width, steps) to features (n, width), or (n, width * parts)."""

    def __init__(self, kind: str, parts: int = 1) -> None:
        super().__init__()
        self.kind, self.parts = kind, parts

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "last":
            return x[..., -1]
        if self.kind == "max":
            return x.amax(-1)
        if self.kind == "mean":
            return x.mean(-1)
        size = x.shape[-1] // self.parts
        # The end is kept: in a forecast it matters most.
        kept = x[..., -self.parts * size :].reshape(-1, x.shape[1], self.parts, size)
        return kept.mean(-1).flatten(1)


class Causal(nn.Module):
    """A convolution whose output at each step depends on that step and earlier ones alone."""

    def __init__(
        self, inside: int, outside: int, kernel: int, dilation: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.past = dilation * (kernel - 1)
        self.conv = nn.Conv1d(inside, outside, kernel, dilation=dilation, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(nn.functional.pad(x, (self.past, 0)))
        return out


class Residual(nn.Module):
    """``relu(body(x) + shortcut(x))``; the shortcut is a convolution where widths differ."""

    def __init__(self, inside: int, outside: int, body: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.shortcut = nn.Sequential()
        if inside != outside:
            self.shortcut = nn.Sequential(
                nn.Conv1d(inside, outside, 1, bias=False), nn.BatchNorm1d(outside)
            )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


def conv(inside: int, outside: int, kernel: int, groups: int = 1) -> nn.Module:
    """A convolution with an odd kernel that keeps the length, with batch norm."""
    layer = nn.Conv1d(inside, outside, kernel, padding=kernel // 2, groups=groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm1d(outside))


def shortened(length: int, usual: int = _USUAL_STEPS) -> tuple[nn.Module, int]:
    """Means of neighbouring steps, by a factor that is chosen, and how many steps are left.

    Args:
        usual: steps that the default leaves of a longer series, at least.
    """
    factors = [f for f in (1, 2, 4, 8, 16) if f == 1 or length // f >= _LEAST_STEPS]
    default = max((f for f in factors if length // f >= usual), default=1)
    factor: int = choose("shorten", factors, default=default)
    return (nn.AvgPool1d(factor) if factor > 1 else nn.Identity()), length // factor


def with_head(features: Features, outputs: int, pools: Sequence[str] = POOLS) -> nn.Module:
    """The features, what is chosen of them, dropout and a linear layer: (n, outputs).

    Args:
        pools: of :data:`POOLS`, the default first.
    """
    parts = min(PARTS, features.steps)

    def head(kind: str) -> Callable[[], nn.Module]:
        many = parts if kind == "parts" else 1
        return lambda: nn.Sequential(
            Pool(kind, many), nn.Dropout(dropout), nn.Linear(features.width * many, outputs)
        )

    with scope("head"):
        dropout: float = choose("dropout", [0.0, 0.1, 0.3], default=0.1)
        # Layers of different inputs: with shared weights each has its own.
        chosen = one_of("pool", {kind: head(kind) for kind in pools})
    return nn.Sequential(OrderedDict(features=features.network, head=chosen))
