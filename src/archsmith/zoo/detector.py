"""Object detectors without anchors: a backbone of the zoo, a feature pyramid and a head."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..space import choose, one_of, scope
from .backbone import BACKBONES, Backbone, backbone
from .references import Basic, conv, started, stem, widened
from .segmenter import Pyramid

#: Channels of the pyramid and the head.
WIDTHS = (32, 48, 64, 96, 128)
#: Outputs of a cell beside its classes: the quality of its box, and four distances.
_EXTRA = 5
#: Initial logit of a class, of a probability of 0.01: most cells have no object (Lin et al. 2017,
#: arXiv:1708.02002).
_PRIOR = -4.595
#: Initial log distance: objects are a few cells wide.
_FAR = 0.7


def detector(
    channels: int,
    classes: int,
    height: int = 160,
    width: int = 160,
    backbones: Sequence[str] = BACKBONES,
    pretrained: Mapping[str, Any] | None = None,
) -> nn.Module:
    """Images (n, channels, height, width) to a list of maps (n, classes + 5, h, w), the finest
    first, as :mod:`archsmith.metric.boxes` describes them.

    A backbone, a feature pyramid over its maps, and a head that all levels share (FCOS, Tian et al.
    2019, arXiv:1904.01355), with norms and a factor of the distances for each level. All that the
    backbone's space asks is searched, and which levels there are, how wide the pyramid is, and the
    depth, kernel, activation and kind of convolution of the head. About 10^11 detectors for images
    of 160 x 160 pixels.

    Args:
        channels: of the images.
        classes: of the objects.
        height, width: of the images, in pixels.
        backbones: names of spaces of the zoo to choose from.
        pretrained: a backbone with weights in their place, see :func:`~.backbone.backbone`.
    """
    base = backbone(channels, height, width, backbones, pretrained=pretrained)
    with scope("pyramid"):
        finest: int = choose("finest", [4, 8])
        levels: int = choose("levels", [1, 2, 3], default=2)
        wide: int = choose("width", WIDTHS, default=64)
    with scope("head"):
        activation: type[nn.Module] = choose("activation", {"relu": nn.ReLU, "silu": nn.SiLU})
        kernel: int = choose("kernel", [3, 5])
        tower = []
        for number in range(choose("depth", [1, 2, 3, 4], default=2)):
            with scope(f"layer{number + 1}"):
                mixed = one_of("op", _ops(wide, kernel, activation))
            tower.append(Layer(mixed, wide, levels, activation))
    return Detector(base, _first(base, finest), levels, wide, Head([tower], wide, classes, levels))


def plain_fcos(
    channels: int, classes: int, height: int = 160, width: int = 160, *, scale: float = 1.0
) -> nn.Module:
    """The detector that people train by hand: no choices. Arguments and results as of
    :func:`detector`.

    FCOS as published, with a ResNet-18 of half the widths, pyramid levels at an eighth, a sixteenth
    and a 32nd of the image, and towers of four convolutions for classes and for boxes, 64 wide.

    Args:
        scale: factor of all widths.
    """
    first, *widths = (widened(wide, scale) for wide in (32, 32, 64, 128, 256, 64))
    *stages, wide = widths
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        stem=stem(channels, first, max(height, width))
    )
    for number, (inside, outside) in enumerate(pairwise([first, *stages]), start=1):
        stride = 2 if number > 1 else 1
        layers[f"stage{number}"] = nn.Sequential(
            Basic(inside, outside, stride), Basic(outside, outside, 1)
        )
    base = Backbone(nn.Sequential(layers), channels, height, width)
    towers = [[Layer(conv(wide, wide, 3), wide, 3, nn.ReLU) for _ in range(4)] for _ in range(2)]
    levels = Detector(base, _first(base, 8), 3, wide, Head(towers, wide, classes, 3))
    return _prior(started(levels))


class Detector(nn.Module):
    """Backbone, pyramid and head.

    Args:
        first: which of the backbone's maps is the finest level.
        levels: how many there are; coarser ones than the backbone has are made by pooling.
        wide: channels of the pyramid.
    """

    def __init__(self, base: Backbone, first: int, levels: int, wide: int, head: nn.Module) -> None:
        super().__init__()
        self.base, self.pyramid = base, Pyramid(base.scales, wide, first)
        self.head, self.levels = head, levels

    def forward(self, images: Tensor) -> list[Tensor]:
        # All coarser maps add to the finest, even those that are no level.
        maps = self.pyramid(self.base(images))[: self.levels]
        while len(maps) < self.levels:
            maps.append(F.max_pool2d(maps[-1], 2, ceil_mode=True))
        return [self.head(x, level) for level, x in enumerate(maps)]


class Layer(nn.Module):
    """A convolution that levels share, a norm for each level, and an activation."""

    def __init__(
        self, mixed: nn.Module, wide: int, levels: int, activation: type[nn.Module]
    ) -> None:
        super().__init__()
        # Levels differ in their mean and spread, which would be mixed up in common statistics.
        self.mixed, self.activation = mixed, activation()
        self.norms = nn.ModuleList(nn.BatchNorm2d(wide) for _ in range(levels))

    def forward(self, x: Tensor, level: int) -> Tensor:
        out: Tensor = self.activation(self.norms[level](self.mixed(x)))
        return out


class Head(nn.Module):
    """The outputs of the cells of a level.

    Args:
        towers: layers of one tower, or of two: for the classes, and for the boxes.
    """

    def __init__(
        self, towers: Sequence[Sequence[nn.Module]], wide: int, classes: int, levels: int
    ) -> None:
        super().__init__()
        self.towers = nn.ModuleList(nn.ModuleList(tower) for tower in towers)
        self.classes = nn.Conv2d(wide, classes, 3, padding=1)
        self.boxes = nn.Conv2d(wide, _EXTRA, 3, padding=1)
        self.scales = nn.Parameter(torch.ones(levels))
        _prior(self)

    def forward(self, x: Tensor, level: int) -> Tensor:
        ends = []
        for tower in self.towers:
            out = x
            for layer in tower:  # type: ignore[attr-defined]
                out = layer(out, level)
            ends.append(out)
        boxes = self.boxes(ends[-1])
        far = boxes[:, 1:] * self.scales[level]
        return torch.cat([self.classes(ends[0]), boxes[:, :1], far], 1)


def _prior(model: nn.Module) -> nn.Module:
    """The model with heads that begin, as published, with rare objects, a few cells wide."""
    for head in model.modules():
        if isinstance(head, Head):
            assert head.classes.bias is not None
            assert head.boxes.bias is not None
            for last in (head.classes, head.boxes):
                nn.init.normal_(last.weight, std=0.01)
            nn.init.constant_(head.classes.bias, _PRIOR)
            nn.init.constant_(head.boxes.bias, _FAR)
    return model


def _first(base: Backbone, finest: int) -> int:
    """The backbone's map that is about this much smaller than the image, or the next one."""
    near = [n for n, scale in enumerate(base.scales) if scale.reduction > 0.7 * finest]
    return near[0] if near else len(base.scales) - 1


def _ops(wide: int, kernel: int, activation: type[nn.Module]) -> dict[str, Callable[[], nn.Module]]:
    def separable() -> nn.Module:
        return nn.Sequential(conv(wide, wide, kernel, groups=wide), conv(wide, wide, 1))

    return {"conv": lambda: conv(wide, wide, kernel), "separable": separable}
