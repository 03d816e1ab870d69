"""Backbones: the zoo's image classifiers without their heads, as makers of feature maps."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..space import one_of
from . import spaces

#: Spaces whose builders leave out the head if they are asked for 0 classes.
BACKBONES = ("convnet", "resnet", "regnet", "mobilenet", "efficientnet", "convnext", "hybrid")
#: Arguments of spaces for tasks that need finer maps than a class does.
_FINE = {"convnet": {"largest": 96}}


class Scale(NamedTuple):
    """A feature map: its channels, and how many pixels of the image one of its pixels stands for
    along a side."""

    channels: int
    reduction: float


class Backbone(nn.Module):
    """Images to the last feature map of each size, (n, c, h, w) each, the finest first.

    Maps that are as large as the image are left out, unless there are no others.

    Args:
        layers: from the images on, one after the other.
        channels, height, width: of the images.
    """

    def __init__(self, layers: nn.Sequential, channels: int, height: int, width: int) -> None:
        super().__init__()
        self.layers = layers
        found = _last_of_each_size(layers, channels, height, width)
        smaller = {place: scale for place, scale in found.items() if scale.reduction > 1}
        kept = smaller or found
        self._places = frozenset(kept)
        #: The feature maps in the order in which they are given.
        self.scales: Sequence[Scale] = tuple(kept.values())

    def forward(self, images: Tensor) -> list[Tensor]:
        maps, x = [], images
        for place, layer in enumerate(self.layers):
            x = layer(x)
            if place in self._places:
                maps.append(x)
        return maps


def backbone(
    channels: int,
    height: int,
    width: int,
    names: Sequence[str] = BACKBONES,
    default: str | None = None,
) -> Backbone:
    """One of several backbones for images of this size; asks ``backbone`` and then the questions of
    the chosen space, named ``backbone.resnet.…``.

    Args:
        names: of spaces of the zoo, some of :data:`BACKBONES`.
        default: one of them; the first one if not given.
    """

    def build(name: str) -> Backbone:
        builder = spaces.get(name)
        more = _FINE.get(name, {})
        layers = builder(channels=channels, classes=0, height=height, width=width, **more)
        return Backbone(layers, channels, height, width)

    built: Backbone = one_of("backbone", {n: partial(build, n) for n in names}, default=default)
    return built


def resized_like(x: Tensor, like: Tensor) -> Tensor:
    """A map interpolated to the height and width of another."""
    if x.shape[-2:] == like.shape[-2:]:
        return x
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


def _last_of_each_size(
    layers: nn.Sequential, channels: int, height: int, width: int
) -> dict[int, Scale]:
    """The last layer that gives maps of each size, by its place."""
    device = next((p.device for p in layers.parameters()), torch.device("cpu"))
    x, found = torch.zeros(1, channels, height, width, device=device), dict[int, Scale]()
    training = [module for module in layers.modules() if module.training]
    layers.eval()  # so that no running statistics change
    try:
        with torch.no_grad():
            for place, layer in enumerate(layers):
                before, x = x.shape[-2:], layer(x)
                if place and before == x.shape[-2:]:
                    del found[place - 1]
                found[place] = Scale(x.shape[1], (height * width / x[0, 0].numel()) ** 0.5)
    finally:
        for module in training:
            module.training = True
    return found
