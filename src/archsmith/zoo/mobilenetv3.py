"""MobileNetV3-small, a network that people train by hand where latency matters: no choices."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from .references import conv, started

_LEAST_SIDE = 4  # pixels that the last feature maps should have


class _Row(NamedTuple):
    """A row of table 2: kernel, width inside the block, output width, squeeze and excitation,
    hard swish, stride."""

    kernel: int
    hidden: int
    outside: int
    excited: bool
    swish: bool
    stride: int


#: Table 2 of the paper.
_ROWS = (
    _Row(3, 16, 16, True, False, 2),
    _Row(3, 72, 24, False, False, 2),
    _Row(3, 88, 24, False, False, 1),
    _Row(5, 96, 40, True, True, 2),
    _Row(5, 240, 40, True, True, 1),
    _Row(5, 240, 40, True, True, 1),
    _Row(5, 120, 48, True, True, 1),
    _Row(5, 144, 48, True, True, 1),
    _Row(5, 288, 96, True, True, 2),
    _Row(5, 576, 96, True, True, 1),
    _Row(5, 576, 96, True, True, 1),
)


def mobilenet_v3_small(
    channels: int, classes: int, height: int = 32, width: int = 32, *, scale: float = 1.0
) -> nn.Module:
    """MobileNetV3-small (Howard et al. 2019, arXiv:1905.02244, table 2), for images of any size.

    2,542,856 parameters for 3 channels and 1,000 classes, and 1,528,106 for 10. The published
    network halves its images of 224 pixels five times, to 7. Smaller images are halved less often:
    the first of the five strides become 1, so that 4 pixels are left (32 are halved three times,
    by the last three strides). The number of parameters does not depend on the size of the images.
    Running statistics follow a tenth of each batch, not a hundredth as in the paper: after a
    training of a few hundred steps those would still be the initial ones.

    Args:
        channels: of the images.
        classes: outputs.
        height, width: of the images, in pixels.
        scale: width multiplier; widths are rounded to a multiple of 8, as in the paper's networks.

    Returns:
        A network from (n, channels, height, width) to logits (n, classes).
    """
    strides = _strides(min(height, width))
    inside = _rounded(16 * scale)
    layers: list[nn.Module] = [*_normed(channels, inside, 3, strides[0]), nn.Hardswish()]
    for row, stride in zip(_ROWS, strides[1:], strict=True):
        hidden, outside = _rounded(row.hidden * scale), _rounded(row.outside * scale)
        layers.append(Bottleneck(inside, row._replace(hidden=hidden, outside=outside), stride))
        inside = outside
    last, wide = 6 * inside, _rounded(1024 * scale)
    layers += [*_normed(inside, last, 1), nn.Hardswish(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    layers += [nn.Linear(last, wide), nn.Hardswish(), nn.Dropout(0.2), nn.Linear(wide, classes)]
    return started(nn.Sequential(*layers))


class Bottleneck(nn.Module):
    """An inverted bottleneck with squeeze and excitation, and a shortcut where shapes allow it."""

    def __init__(self, inside: int, row: _Row, stride: int) -> None:
        super().__init__()
        activation = nn.Hardswish if row.swish else nn.ReLU
        body: list[nn.Module] = []
        if row.hidden != inside:
            body += [*_normed(inside, row.hidden, 1), activation()]
        body += [*_normed(row.hidden, row.hidden, row.kernel, stride, row.hidden), activation()]
        if row.excited:
            body.append(Excitation(row.hidden))
        self.body = nn.Sequential(*body, *_normed(row.hidden, row.outside, 1))
        # By the published stride, so that smaller images meet the same network.
        self.residual = row.stride == 1 and inside == row.outside

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x)
        return out + x if self.residual else out


class Excitation(nn.Module):
    """Channels weighted by what the whole image shows (Hu et al. 2018, arXiv:1709.01507)."""

    def __init__(self, wide: int) -> None:
        super().__init__()
        squeezed = _rounded(wide / 4)
        self.weights = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(wide, squeezed, 1),
            nn.ReLU(),
            nn.Conv2d(squeezed, wide, 1),
            nn.Hardsigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        weighted: Tensor = x * self.weights(x)
        return weighted


def _strides(side: int) -> list[int]:
    """Strides of the stem and the blocks: the last of the published halvings that leave 4 pixels
    or more."""
    published = [2, *(row.stride for row in _ROWS)]
    halvings = max(0, (side // _LEAST_SIDE).bit_length() - 1)
    spare = max(0, published.count(2) - halvings)
    strides = []
    for stride in published:
        strides.append(1 if stride == 2 and spare > 0 else stride)
        spare -= stride == 2
    return strides


def _normed(
    inside: int, outside: int, kernel: int, stride: int = 1, groups: int = 1
) -> tuple[nn.Module, nn.Module]:
    norm = nn.BatchNorm2d(outside, eps=1e-3)
    return conv(inside, outside, kernel, stride, groups), norm


def _rounded(wide: float) -> int:
    """The nearest multiple of 8, but not less than 8, nor than nine tenths of the width."""
    near = max(8, int(wide + 4) // 8 * 8)
    return near + 8 if near < 0.9 * wide else near
