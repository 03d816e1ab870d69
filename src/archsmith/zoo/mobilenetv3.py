"""MobileNetV3-small, a network that people train by hand where latency matters: no choices."""

from __future__ import annotations

from torch import nn

from .inverted import Shape, flat, head, rounded, stage, stem
from .mobilenet import RELU_STAGES, STAGES
from .mobilenet_named import V3_SMALL
from .references import started
from .strides import fitted


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
    published = [row.stride for row in STAGES[1 : 1 + len(V3_SMALL)]]
    first, *strides = fitted([2, *published], min(height, width))
    before, inside = 16, rounded(16 * scale)  # as published, and scaled
    layers = flat(stem(channels, inside, first, nn.Hardswish))
    rows = zip(V3_SMALL, strides, published, strict=True)
    for number, (row, stride, usual) in enumerate(rows, start=2):
        enters, outside, shapes = inside, rounded(row.width * scale), []
        for kernel, expansion in row.blocks:
            expanded = rounded(rounded(before * (expansion or 1)) * scale)
            shapes.append(Shape(kernel, None if expanded == inside else expanded))
            before, inside = row.width, outside
        activation = nn.ReLU if number <= RELU_STAGES else nn.Hardswish
        layers += stage(
            enters, outside, shapes, stride, usual > 1, activation, row.excitation, named=False
        )
    layers += flat(head(inside, 6 * inside, classes, nn.Hardswish, rounded(1024 * scale)))
    return started(nn.Sequential(*layers))
