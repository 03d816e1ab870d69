"""Networks that embed images, for learning new classes from a few examples."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..space import choose, one_of, repeat, scope


def embedder(channels: int, height: int = 28, width: int = 28) -> nn.Module:
    """Images (n, channels, height, width) to embeddings (n, d), compared by squared distance.

    Stages, each followed by halving height and width, then a head, which may omit the last halving
    (``head.pool=map``) to keep spatial information. The default is the Conv-4
    of the papers on few-shot learning (Vinyals et al. 2016, arXiv:1606.04080; Snell et al. 2017,
    arXiv:1703.05175): four 3x3 convolutions of 64 channels with batch norm, ReLU and max pooling.
    Other choices are the size of the embedding, whether it is compared by distance or by angle
    (``metric``), and a transform of the features before that (``transform``: power, as Hu et al.
    2021, arXiv:2006.03806, or standardised).

    Args:
        channels: of the images.
        height, width: of the images, in pixels.
    """
    activation: type[nn.Module] = choose("activation", {"relu": nn.ReLU, "silu": nn.SiLU})
    pool = choose("downsample", {"max": nn.MaxPool2d, "average": nn.AvgPool2d})
    halvings = max(1, min(4, min(height, width).bit_length() - 1))
    side, wide = (height, width), channels
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number in range(1, halvings + 1):
        with scope(f"stage{number}"):
            layers[f"stage{number}"], wide = _stage(wide, activation)
        if number < halvings:
            layers[f"down{number}"] = pool(2)
            side = (side[0] // 2, side[1] // 2)
    layers["head"] = _head(wide, side, pool)
    return nn.Sequential(layers)


class Residual(nn.Module):
    """``body(x) + x``."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x)
        return out + x


class SignedPower(nn.Module):
    """sign(x) |x|^0.5: makes heavy-tailed features closer to a normal distribution."""

    def forward(self, x: Tensor) -> Tensor:
        # The square root alone has an infinite gradient at 0.
        return x.sign() * ((x.abs() + 1e-4).sqrt() - 1e-2)


class UnitLength(nn.Module):
    """Projects to a sphere, so that distance depends on the angle; its radius is learned."""

    def __init__(self, radius: float = 4.0) -> None:
        super().__init__()
        self.radius = nn.Parameter(torch.tensor(radius))

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(x, dim=-1) * self.radius


def _stage(inside: int, activation: type[nn.Module]) -> tuple[nn.Module, int]:
    width: int = choose("width", [24, 32, 48, 64, 96, 128], default=64)
    kernel: int = choose("kernel", [3, 5])
    first = nn.Sequential(*_conv(inside, width, kernel), activation())

    def further(_: int) -> nn.Module:
        return Residual(one_of("op", _ops(width, kernel, activation)))

    return nn.Sequential(first, repeat("further", [0, 1, 2], further)), width


def _ops(
    width: int, kernel: int, activation: type[nn.Module]
) -> dict[str, Callable[[], nn.Module]]:
    return {
        "conv": lambda: nn.Sequential(*_conv(width, width, kernel), activation()),
        "separable": lambda: nn.Sequential(
            *_conv(width, width, kernel, groups=width), *_conv(width, width, 1), activation()
        ),
    }


def _head(wide: int, side: tuple[int, int], pool: type[nn.Module]) -> nn.Module:
    halved = wide * (side[0] // 2) * (side[1] // 2)
    whole = wide * side[0] * side[1]
    with scope("head"):
        size: int = choose("embedding", {"as is": 0, "32": 32, "64": 64, "128": 128, "256": 256})
        # A plain value, because outputs of different length cannot be mixed.
        kept: str = choose("pool", ["flatten", "average", "map"])
        layers: list[nn.Module] = [] if kept == "map" else [pool(2)]
        if kept == "average":
            layers.append(nn.AdaptiveAvgPool2d(1))
        many = {"flatten": halved, "average": wide, "map": whole}[kept]
        layers += [nn.Flatten(), nn.Linear(many, size) if size else nn.Identity()]
        # Projections have separate names, because their inputs are not nested.
        pooled = nn.Sequential(OrderedDict({kept: nn.Sequential(*layers)}))
        many = size or many
        transform: nn.Module = one_of(
            "transform",
            {
                "none": nn.Identity,
                "power": SignedPower,
                "standardised": lambda: nn.BatchNorm1d(many, affine=False),
            },
        )
        metric: nn.Module = one_of("metric", {"distance": nn.Identity, "angle": UnitLength})
    return nn.Sequential(pooled, transform, metric)


def _conv(inside: int, outside: int, kernel: int, groups: int = 1) -> tuple[nn.Module, nn.Module]:
    return (
        nn.Conv2d(inside, outside, kernel, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outside),
    )
