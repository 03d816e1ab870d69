"""U-Nets for semantic segmentation: a class for each pixel.

After Ronneberger et al. 2015, arXiv:1505.04597.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor, nn

from ..space import choose, one_of, repeat, scope
from .backbone import resized_like
from .references import started, widened

#: Channels of a level, small enough for a trial to take a minute on one core.
WIDTHS = (8, 16, 24, 32, 48, 64)
_MOST_LEVELS = 4
_MAX_SIDE = 96  # the stem reduces larger images to this


def unet(
    channels: int,
    classes: int,
    height: int = 64,
    width: int = 64,
    widths: Sequence[int] = WIDTHS,
    depths: Sequence[int] = (1, 2, 3),
) -> nn.Module:
    """Images (n, channels, height, width) to logits (n, classes, height, width).

    A stem, then levels of blocks, each at half the resolution of the one above (the encoder); then
    the decoder: each level combines the upsampled features from below with its own encoder
    features, if its skip connection is on. If the stem reduces the image, logits are upsampled
    bilinearly.

    A block is a 3x3 or 5x5 convolution, a depthwise-separable one (Chollet 2017, arXiv:1610.02357)
    or a residual pair (He et al. 2016, arXiv:1512.03385), each with batch norm. The default is that
    of the paper, but padded and small: two plain convolutions per level, width doubled from level
    to level, all skips on.

    Args:
        channels: of the images.
        classes: outputs per pixel.
        height, width: of the images, in pixels; they decide how often they can be halved.
        widths: channels of a level to choose from.
        depths: numbers of blocks of an encoder level to choose from.
    """
    stride = 1
    while max(height, width) / stride > _MAX_SIDE:
        stride *= 2
    with scope("stem"):
        wide: int = choose("width", widths, default=_nearest(widths, 16))
    stem = nn.Sequential(*_conv(channels, wide, max(3, 2 * stride - 1), stride), nn.ReLU())
    counts = _level_counts(min(height, width) // stride)
    levels: int = choose("levels", counts, default=min(3, counts[-1]))
    down: list[nn.Module] = []
    level_widths: list[int] = []
    for number in range(1, levels + 1):
        with scope(f"level{number}"):
            usual = _nearest(widths, 16 * 2 ** (number - 1))
            now: int = choose("width", widths, default=usual)
            down.append(repeat("depth", depths, _block(wide, now), default=_nearest(depths, 2)))
        level_widths.append(now)
        wide = now
    up: list[nn.Module] = []
    for number in range(1, levels):
        own, below = level_widths[number - 1], level_widths[number]
        with scope(f"up{number}"):
            skip: bool = choose("skip", [True, False])
            merge = Merge(below, own if skip else None, own)
            up.append(Up(merge, repeat("depth", [0, 1, 2], _block(own, own), default=1)))
    return UNet(stem, down, up, nn.Conv2d(level_widths[0], classes, 1))


def plain_unet(
    channels: int, classes: int, height: int = 64, width: int = 64, *, scale: float = 1.0
) -> nn.Module:
    """The U-Net that people train by hand: no choices. Arguments and results as of :func:`unet`.

    As published, but padded, with batch norm and a quarter of the widths: 16, 32, 64, 128 and 256
    channels for 1.9 million parameters, or fewer levels for images of less than 64 pixels.

    Args:
        scale: factor of all widths.
    """
    levels = max(1, min(5, min(height, width).bit_length() - 2))
    widths = [widened(16 << number, scale) for number in range(levels)]

    def twice(inside: int, outside: int) -> nn.Module:
        first = *_conv(inside, outside, 3), nn.ReLU()
        return nn.Sequential(*first, *_conv(outside, outside, 3), nn.ReLU())

    down = [twice(*pair) for pair in pairwise([channels, *widths])]
    up: list[nn.Module] = []
    for own, below in pairwise(widths):
        block = nn.Sequential(*_conv(own, own, 3), nn.ReLU())
        up.append(Up(Merge(below, own, own), block))
    return started(UNet(nn.Identity(), down, up, nn.Conv2d(widths[0], classes, 1)))


class UNet(nn.Module):
    """The stem, the encoder levels, the decoder levels, and the head.

    ``up`` has one level less than ``down``, because the lowest level belongs to both.
    """

    def __init__(
        self, stem: nn.Module, down: list[nn.Module], up: list[nn.Module], head: nn.Module
    ) -> None:
        super().__init__()
        self.stem, self.head = stem, head
        self.down, self.up = nn.ModuleList(down), nn.ModuleList(up)
        self.halve = nn.MaxPool2d(2, ceil_mode=True)  # odd sizes are rounded up

    def forward(self, images: Tensor) -> Tensor:
        x: Tensor = self.stem(images)
        passed: list[Tensor] = []
        for number, level in enumerate(self.down):
            x = level(self.halve(x) if number else x)
            passed.append(x)
        for number in reversed(range(len(self.up))):
            x = self.up[number](x, passed[number])
        logits: Tensor = self.head(x)
        return resized_like(logits, images)


class Merge(nn.Module):
    """Combines upsampled features from below with those of the skip connection.

    A convolution of the concatenated features is the sum of a convolution of each. As a sum, each
    has separate weights, so that with shared weights the channels of one do not shift when the
    other becomes wider.

    Args:
        below: channels of the features from below.
        across: channels of the skip connection; ``None`` without one.
        outside: output channels.
    """

    def __init__(self, below: int, across: int | None, outside: int) -> None:
        super().__init__()
        self.below = nn.Conv2d(below, outside, 3, padding=1, bias=False)
        self.across = (
            None if across is None else nn.Conv2d(across, outside, 3, padding=1, bias=False)
        )
        self.norm, self.activation = nn.BatchNorm2d(outside), nn.ReLU()

    def forward(self, below: Tensor, across: Tensor) -> Tensor:
        x = self.below(resized_like(below, across))
        if self.across is not None:
            x = x + self.across(across)
        activated: Tensor = self.activation(self.norm(x))
        return activated


class Up(nn.Module):
    """A decoder level: the merge, then blocks."""

    def __init__(self, merge: nn.Module, blocks: nn.Module) -> None:
        super().__init__()
        self.merge, self.blocks = merge, blocks

    def forward(self, below: Tensor, across: Tensor) -> Tensor:
        x: Tensor = self.blocks(self.merge(below, across))
        return x


class Residual(nn.Module):
    """``relu(body(x) + shortcut(x))``."""

    def __init__(self, inside: int, outside: int, kernel: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_conv(inside, outside, kernel), nn.ReLU(), *_conv(outside, outside, kernel)
        )
        same = inside == outside
        self.shortcut = nn.Identity() if same else nn.Sequential(*_conv(inside, outside, 1))
        self.activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        activated: Tensor = self.activation(self.body(x) + self.shortcut(x))
        return activated


def _block(before: int, width: int) -> Callable[[int], nn.Module]:
    """Builds the blocks of a level by number; the first one changes the channels."""

    def block(number: int) -> nn.Module:
        inside = width if number else before
        kernel: int = choose("kernel", [3, 5])
        module: nn.Module = one_of(
            "op",
            {
                "conv": lambda: nn.Sequential(*_conv(inside, width, kernel), nn.ReLU()),
                "separable": lambda: nn.Sequential(
                    *_conv(inside, inside, kernel, groups=inside),
                    nn.ReLU(),
                    *_conv(inside, width, 1),
                    nn.ReLU(),
                ),
                "residual": lambda: Residual(inside, width, kernel),
            },
        )
        return module

    return block


def _level_counts(side: int) -> list[int]:
    """Numbers of levels for images of this side: the lowest works on 4x4 pixels or more."""
    most = max(1, min(_MOST_LEVELS, side.bit_length() - 2))
    return list(range(min(2, most), most + 1))


def _nearest(options: Sequence[int], value: int) -> int:
    return min(options, key=lambda option: abs(option - value))


def _conv(
    inside: int, outside: int, kernel: int, stride: int = 1, groups: int = 1
) -> tuple[nn.Module, nn.Module]:
    return (
        nn.Conv2d(inside, outside, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outside),
    )
