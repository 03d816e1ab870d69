"""U-Nets that take noise from images, told how much there is and which class is wanted.

After Ho et al. 2020, arXiv:2006.11239, and Dhariwal and Nichol 2021, arXiv:2105.05233.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..space import choose, repeat, scope

#: Channels of a level; multiples of the groups of a norm.
WIDTHS = (16, 24, 32, 48, 64, 96, 128)
_GROUPS = 8
#: Numbers that describe the noise level and the class to a block.
_TOLD = 128
#: Largest side of a map in pixels that attention looks at, and that the first level works on.
_ATTENDED, _MAX_SIDE = 16, 64


def diffusion(
    channels: int,
    classes: int = 0,
    height: int = 28,
    width: int = 28,
    widths: Sequence[int] = WIDTHS,
    depths: Sequence[int] = (1, 2, 3),
) -> nn.Module:
    """Noised images (n, channels, height, width), their noise levels (n,) from 0 to 1 and, if there
    are any, their classes (n,) to predictions of the images' shape.

    Images are cut into patches of one or more pixels. Then come levels of residual blocks, each at
    half the resolution of the one above, and back, where the features of each level are added to
    what comes from below. Noise level and class reach each block as a scale and a shift of its
    features or as an addition to them (``told``). Levels of up to 16 x 16 pixels may attend.

    Args:
        channels: of the images.
        classes: number of classes; this number itself stands for an unknown class. With 0 the
            network takes no classes.
        height, width: of the images, in pixels.
        widths: channels of a level to choose from, multiples of 8.
        depths: numbers of blocks of a level to choose from.
    """
    side = max(height, width)
    finest = 2 ** max(0, math.ceil(math.log2(side / _MAX_SIDE)))
    patches = (finest, 2 * finest) if side >= 16 else (1,)
    patch: int = choose("patch", patches, default=patches[-1])
    told: str = choose("told", ["scale-shift", "addition"])
    lowest = math.ceil(min(height, width) / patches[-1])
    counts = list(range(1, max(1, min(4, lowest.bit_length() - 1)) + 1))
    levels: int = choose("levels", counts, default=min(2, counts[-1]))
    down, up = nn.ModuleList(), nn.ModuleList()
    before = 0
    for number in range(1, levels + 1):
        with scope(f"level{number}"):
            wide: int = choose("width", widths, default=nearest(widths, 16 * 2**number))
            most = side / 2 ** (number - 1)  # pixels of a side if a patch were one
            small = most / patches[-1] <= _ATTENDED / 2
            attends = most / patch <= _ATTENDED and choose(
                "attention", [False, True], default=small
            )

            def block(_: int, wide: int = wide) -> nn.Module:
                return Residual(wide, choose("kernel", [3, 5]), told)

            with scope("down"):
                inside = repeat("depth", depths, block)
            with scope("up"):
                outside = repeat("depth", depths, block)
        above = before or channels * patch**2
        enter = conv(above, wide, 3, stride=2 if before else 1)
        leave = nn.Sequential(norm(wide), nn.SiLU(), conv(wide, above, 3))
        looks = [Attention(wide) if attends else nn.Identity() for _ in range(2)]
        # With shared weights those for patches of different sizes are different ones.
        end = "" if before else str(patch)
        parts = {f"enter{end}": enter, "blocks": Told(*inside), "attention": looks[0]}
        down.append(Told(OrderedDict(parts)))
        parts = {"blocks": Told(*outside), "attention": looks[1], f"leave{end}": leave}
        up.append(Told(OrderedDict(parts)))
        before = wide
    return DiffusionUNet(Condition(classes), down, up, patch)


class DiffusionUNet(nn.Module):
    """The levels down and up, each with its condition.

    Args:
        down, up: by level, the finest first.
        patch: side of the patches in pixels.
    """

    def __init__(
        self, condition: nn.Module, down: nn.ModuleList, up: nn.ModuleList, patch: int
    ) -> None:
        super().__init__()
        self.condition, self.down, self.up, self.patch = condition, down, up, patch

    def forward(self, images: Tensor, level: Tensor, label: Tensor | None = None) -> Tensor:
        told = self.condition(level, label)
        height, width = images.shape[2:]
        padded = F.pad(images, (0, -width % self.patch, 0, -height % self.patch))
        x, passed = F.pixel_unshuffle(padded, self.patch), []
        for down in self.down:
            x = down(x, told)
            passed.append(x)
        *finer, deepest = self.up
        x = deepest(x, told)
        for up, across in zip(reversed(finer), reversed(passed[:-1]), strict=True):
            x = up(F.interpolate(x, size=across.shape[2:]) + across, told)
        return F.pixel_shuffle(x, self.patch)[:, :, :height, :width]


class Condition(nn.Module):
    """Noise levels (n,), and classes (n,) if there are any, to vectors (n, 128)."""

    frequencies: Tensor

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.logspace(0, 3, _TOLD // 2))
        self.layers = nn.Sequential(nn.Linear(_TOLD, _TOLD), nn.SiLU(), nn.Linear(_TOLD, _TOLD))
        self.classes = nn.Embedding(classes + 1, _TOLD) if classes else None

    def forward(self, level: Tensor, label: Tensor | None) -> Tensor:
        angles = level[:, None] * self.frequencies
        told: Tensor = self.layers(torch.cat([angles.sin(), angles.cos()], dim=1))
        return F.silu(told if self.classes is None else told + self.classes(label))


class Told(nn.Sequential):
    """Layers in a row; those that take the condition are told."""

    def forward(self, x: Tensor, told: Tensor) -> Tensor:  # type: ignore[override]
        for layer in self:
            x = layer(x, told) if isinstance(layer, Told | Residual) else layer(x)
        return x


class Residual(nn.Module):
    """``x`` plus two convolutions of it, each after a norm.

    Args:
        told: how a condition is taken, ``"scale-shift"`` or ``"addition"``; ``""`` takes none.
    """

    def __init__(self, wide: int, kernel: int, told: str = "") -> None:
        super().__init__()
        self.first = nn.Sequential(norm(wide), nn.SiLU(), conv(wide, wide, kernel))
        self.norm = norm(wide)
        self.second = nn.Sequential(nn.SiLU(), conv(wide, wide, kernel))
        self.shift = nn.Linear(_TOLD, wide) if told else None
        self.scale = nn.Linear(_TOLD, wide) if told == "scale-shift" else None

    def forward(self, x: Tensor, told: Tensor | None = None) -> Tensor:
        y = self.norm(self.first(x))
        if self.scale is not None:
            y = y * (1 + self.scale(told)[:, :, None, None])
        if self.shift is not None:
            y = y + self.shift(told)[:, :, None, None]
        out: Tensor = x + self.second(y)
        return out


class Attention(nn.Module):
    """``x`` plus self-attention over its pixels, with one head."""

    def __init__(self, wide: int) -> None:
        super().__init__()
        self.norm = norm(wide)
        self.query, self.key, self.value = (nn.Conv2d(wide, wide, 1) for _ in range(3))
        self.output = nn.Conv2d(wide, wide, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        parts = (layer(y).flatten(2).mT[:, None] for layer in (self.query, self.key, self.value))
        mixed = F.scaled_dot_product_attention(*parts)[:, 0].mT.reshape(x.shape)
        out: Tensor = x + self.output(mixed)
        return out


def norm(wide: int) -> nn.Module:
    return nn.GroupNorm(_GROUPS, wide)


def conv(inside: int, outside: int, kernel: int, stride: int = 1) -> nn.Module:
    return nn.Conv2d(inside, outside, kernel, stride, kernel // 2)


def nearest(options: Sequence[int], value: int) -> int:
    return min(options, key=lambda option: abs(option - value))
