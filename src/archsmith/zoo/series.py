"""One space of all families for series, and forecasters on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from ..space import choose, one_of
from .inceptiontime import inception_features
from .patches import patch_features
from .recurrent import recurrent_features
from .resnet1d import resnet1d_features
from .series_parts import POOLS, Features, with_head
from .tcn import tcn_features

#: Feature extractors by family; the first one is the default of :func:`series`.
FAMILIES: Mapping[str, Callable[[int, int], Features]] = {
    "inceptiontime": inception_features,
    "resnet1d": resnet1d_features,
    "tcn": tcn_features,
    "recurrent": recurrent_features,
    "patch_transformer": patch_features,
}


def series(
    channels: int, outputs: int, length: int, families: Sequence[str] = tuple(FAMILIES)
) -> nn.Module:
    """Series (n, channels, length) to logits or values (n, outputs), by one of the families.

    Args:
        channels, length: of the series.
        outputs: number of classes, or of values to predict.
        families: names in :data:`FAMILIES`, the default first.
    """
    options = {name: _network(name, channels, outputs, length) for name in families}
    network: nn.Module = one_of("family", options)
    return network


def _network(name: str, channels: int, outputs: int, length: int) -> Callable[[], nn.Module]:
    return lambda: with_head(FAMILIES[name](channels, length), outputs)


def forecaster(
    channels: int,
    outputs: int,
    length: int,
    families: Sequence[str] = ("tcn", "resnet1d", "inceptiontime", "recurrent"),
) -> nn.Module:
    """Contexts (n, channels, length), whose first channel is to be continued, to (n, outputs).

    A linear map of the first channel (Zeng et al. 2022, arXiv:2205.13504, whose NLinear subtracts
    the last value before it and adds it again) plus a network of a family for what is not linear.
    Searched are what is subtracted, the network with all that its family asks, and whether there is
    a linear map and a network at all. The default is both.

    Args:
        channels, length: of the contexts.
        outputs: number of values to predict.
        families: names in :data:`FAMILIES`, the default first.
    """
    level: str = choose("level", ["last", "mean", "none"])
    linear = one_of("linear", {"yes": lambda: nn.Linear(length, outputs), "no": lambda: None})
    pools = ("parts", *(kind for kind in POOLS if kind != "parts"))

    def corrected(name: str) -> Callable[[], nn.Module]:
        return lambda: with_head(FAMILIES[name](channels, length), outputs, pools)

    options: dict[str, Callable[[], nn.Module | None]] = {n: corrected(n) for n in families}
    return Forecaster(level, linear, one_of("family", options))


class Forecaster(nn.Module):
    """A linear map of the first channel plus a network, around a level that is added again."""

    def __init__(self, level: str, linear: nn.Module | None, network: nn.Module) -> None:
        super().__init__()
        self.level, self.linear, self.network = level, linear, network

    def forward(self, x: Tensor) -> Tensor:
        own = x[:, :1]
        if self.level == "none":
            base = torch.zeros_like(own[..., :1])
        else:
            base = own[..., -1:] if self.level == "last" else own.mean(-1, keepdim=True)
        moved = torch.cat([own - base, x[:, 1:]], dim=1)
        out: Tensor = self.network(moved) + base[:, 0]
        return out if self.linear is None else out + self.linear(moved[:, 0])
