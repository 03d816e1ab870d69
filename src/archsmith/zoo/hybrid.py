"""Convolutions first, attention later: the space of CoAtNet (Dai et al. 2021, arXiv:2106.04803)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from ..space import Answer, choose, one_of, scope
from . import attention, references
from .attention import Attention, Biased, middle, mlp
from .inverted import Excitation, Parts, grouped, normed
from .named import Named
from .references import conv
from .strides import fitted

#: Builder arguments with which CoAtNet-0, 1 and 2 are in the space.
COATNET: dict[str, Any] = {
    "stems": (64, 128),
    "widths": ((96, 128), (192, 256), (384, 512), (768, 1024)),
    "depths": ((2,), (3, 6), (5, 14), (2,)),
    "head_size": 32,
    "mixed": True,
}
_MOST_TOKENS = 28 * 28  # what attention may see at once; the most that the paper tries


def hybrid(
    channels: int,
    classes: int,
    height: int = 32,
    width: int = 32,
    *,
    stems: Sequence[int] = (16, 24, 32),
    widths: Sequence[Sequence[int]] = ((16, 24, 32), (32, 48, 64), (64, 96, 128), (96, 128, 192)),
    depths: Sequence[Sequence[int]] = ((1, 2), (1, 2, 3), (1, 2, 3), (1, 2)),
    head_size: int = 16,
    mixed: bool = False,
) -> nn.Module:
    """Images (n, channels, height, width) to logits (n, classes).

    Two convolutions, four stages of blocks, and a linear layer on averaged features. The blocks of
    a stage are inverted bottlenecks with squeeze and excitation, or attention with relative
    positions and an MLP; the norm comes first in both. Searched are the width of the stem, and of
    each stage its kind of block, width, depth and expansion: about 10^6 architectures with the
    default arguments. By default the first two stages convolve and the others attend, which the
    paper found best. The first never attends, nor does one with more than 28x28 pixels.

    The published networks halve images of 224 pixels five times, to 7, in the stem and in the first
    block of each stage. Smaller ones are halved less often, by the last of these: 32 pixels three
    times, to 4. The numbers that stand for relative positions are then fewer; the other parameters
    do not depend on the size of the images.

    Args:
        channels: of the images.
        classes: outputs; with 0 there is no head, and the network gives feature maps.
        height, width: of the images, in pixels.
        stems: widths of the stem; of these and the next two the middle one is the default.
        widths: of each stage.
        depths: numbers of blocks of each stage.
        head_size: of an attention head.
        mixed: put a layer as wide as the features between them and the last one, with a tanh.
    """
    strides = fitted([2] * (1 + len(widths)), min(height, width))
    with scope("stem"):
        wide: int = choose("width", stems, middle(stems))
    layers: OrderedDict[str, nn.Module] = OrderedDict(stem=_stem(channels, wide, strides[0]))
    grid = _reduced((height, width), strides[0])
    for number, stride in enumerate(strides[1:]):
        grid = _reduced(grid, stride)
        kinds: dict[str, Make] = {"conv": ConvBlock}
        if number and grid[0] * grid[1] <= _MOST_TOKENS:
            kinds["attention"] = partial(AttentionBlock, grid=grid, size=head_size)
        with scope(f"stage{number + 1}"):
            usual = "attention" if number > 1 and "attention" in kinds else "conv"
            stage = _stage(wide, widths[number], depths[number], stride, kinds, usual)
        layers[f"stage{number + 1}"], wide = stage
    if not classes:
        return attention.started(references.started(nn.Sequential(layers)))
    if classes:
        layers |= _head(wide, classes, mixed)
    return attention.started(references.started(nn.Sequential(layers)))


class ConvBlock(nn.Module):
    """An inverted bottleneck that begins with a norm and ends without one, and a shortcut.

    (n, inside, h, w) to (n, outside, h/stride, w/stride), rounded up, as of the block below.

    Args:
        hidden: channels inside.
    """

    def __init__(self, inside: int, outside: int, hidden: int, stride: int) -> None:
        super().__init__()
        parts: Parts = {"norm": [nn.BatchNorm2d(inside)]}
        parts["expand"] = [*normed(inside, hidden, 1), nn.GELU()]
        parts["filter"] = [*normed(hidden, hidden, 3, stride, hidden), nn.GELU()]
        parts["excite"] = [Excitation(hidden, max(1, outside // 4), nn.SiLU, nn.Sigmoid)]
        self.body = nn.Sequential(grouped(parts | {"project": [nn.Conv2d(hidden, outside, 1)]}))
        self.shortcut = _shortcut(inside, outside, stride)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.shortcut(x) + self.body(x)
        return out


class AttentionBlock(nn.Module):
    """Attention over all pixels and an MLP, each after a norm and with a shortcut.

    Args:
        hidden: width inside the MLP.
        grid: height and width of what comes out.
        size: of a head.
    """

    def __init__(
        self,
        inside: int,
        outside: int,
        hidden: int,
        stride: int,
        *,
        grid: tuple[int, int],
        size: int,
    ) -> None:
        super().__init__()
        heads = max(1, outside // size)
        self.pool, self.grid = _pool(stride), grid
        self.shortcut = _shortcut(inside, outside, stride)
        self.attention_norm = nn.LayerNorm(inside)
        self.attention = Attention(inside, outside, heads, size, Biased(heads, grid))
        self.mlp_norm, self.mlp = nn.LayerNorm(outside), mlp(outside, hidden)

    def forward(self, x: Tensor) -> Tensor:
        normed = self.attention_norm(x.movedim(1, -1)).movedim(-1, 1)
        tokens = self.pool(normed).flatten(2).transpose(1, 2)
        tokens = self.shortcut(x).flatten(2).transpose(1, 2) + self.attention(tokens)
        tokens = tokens + self.mlp(self.mlp_norm(tokens))
        out: Tensor = tokens.transpose(1, 2).unflatten(2, self.grid)
        return out


#: Makes a block from its widths before, after and inside it, and its stride.
Make = Callable[[int, int, int, int], nn.Module]


def _stage(
    inside: int,
    widths: Sequence[int],
    depths: Sequence[int],
    stride: int,
    kinds: Mapping[str, Make],
    usual: str,
) -> tuple[nn.Module, int]:
    """A stage and its width."""
    wide: int = choose("width", widths, middle(widths))
    depth: int = choose("depth", depths, middle(depths))
    hidden = wide * choose("expansion", (2, 4), 4)

    def blocks(make: Make) -> nn.Module:
        others = (make(wide, wide, hidden, 1) for _ in range(1, depth))
        return nn.Sequential(make(inside, wide, hidden, stride), *others)

    options = {name: partial(blocks, make) for name, make in kinds.items()}
    return one_of("kind", options, usual), wide


def _stem(channels: int, wide: int, stride: int) -> nn.Module:
    first = [*normed(channels, wide, 3, stride), nn.GELU()]
    return nn.Sequential(*first, conv(wide, wide, 3))


def _head(wide: int, classes: int, mixed: bool) -> dict[str, nn.Module]:
    layers: dict[str, nn.Module] = {"pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()}
    layers["norm"] = nn.LayerNorm(wide)
    if mixed:
        layers["mix"] = nn.Sequential(nn.Linear(wide, wide), nn.Tanh())
    return layers | {"head": nn.Linear(wide, classes)}


def _shortcut(inside: int, outside: int, stride: int) -> nn.Module:
    pool = _pool(stride)
    return pool if inside == outside else nn.Sequential(pool, nn.Conv2d(inside, outside, 1))


def _pool(stride: int) -> nn.Module:
    return nn.AvgPool2d(stride, ceil_mode=True) if stride > 1 else nn.Identity()


def _reduced(grid: tuple[int, int], stride: int) -> tuple[int, int]:
    return -(-grid[0] // stride), -(-grid[1] // stride)


def _coatnet(widths: int, depths: tuple[int, ...], parameters: int) -> Named:
    """A published network: the first or second of each stage's widths, and depths."""
    answers: dict[str, Answer] = {"stem.width": COATNET["stems"][widths]}
    for number, depth in enumerate(depths):
        stage = f"stage{number + 1}"
        answers |= {f"{stage}.width": COATNET["widths"][number][widths], f"{stage}.depth": depth}
        answers |= {f"{stage}.kind": "conv" if number < 2 else "attention"}
        answers |= {f"{stage}.expansion": 4}
    return Named("hybrid", answers, parameters, "Dai et al. 2021, arXiv:2106.04803", COATNET)


# Numbers of parameters are those of timm, which the paper's digits agree with (25, 42 and 75
# million). The layer before the last one is from there: the paper does not mention it.
COATNET_0 = _coatnet(0, (2, 3, 5, 2), 25_036_820)
COATNET_1 = _coatnet(0, (2, 6, 14, 2), 42_225_776)
COATNET_2 = _coatnet(1, (2, 6, 14, 2), 74_684_744)
