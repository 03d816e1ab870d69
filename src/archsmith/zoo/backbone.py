"""Backbones: the zoo's image classifiers without their heads, as makers of feature maps."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .._support.errors import InputError
from ..space import choose, one_of, scope
from ..space.reading import Reading, current
from . import spaces
from .cells import Cells
from .hrnet import Branches
from .pretrained import LAYER_DECAY, Renormalised, classifier_of

#: Spaces whose builders leave out the head if they are asked for 0 classes.
BACKBONES = ("convnet", "resnet", "regnet", "mobilenet", "efficientnet", "convnext", "hybrid")
#: Arguments of spaces for tasks that need finer maps than a class does.
_FINE = {"convnet": {"largest": 96}}


class Scale(NamedTuple):
    """A feature map: its channels, and how many pixels of the image one of its pixels stands for
    along a side."""

    channels: int
    reduction: float


class Found(NamedTuple):
    """The last output that is a map of each size, by its place, and the number of layers before the
    head."""

    maps: Mapping[int, Scale]
    layers: int


#: What was found before, by the space, the size of the images, and the answers: a network is built
#: again at each step of shared weights, and a look at its maps takes as long as a forward pass.
_known: dict[Hashable, Found] = {}
_MOST_KNOWN = 4096


class Backbone(nn.Module):
    """Images to the last feature map of each size, (n, c, h, w) each, the finest first.

    Maps that are as large as the image are left out, unless there are no others.

    Args:
        layers: from the images on, one after the other; a head behind the last map is left out.
        channels, height, width: of the images.
        inputs: what images pass before the layers.
        training: one of :data:`~.pretrained.TRAININGS`.
        found: which layers give which maps, if that is known.
    """

    #: Whether the layers always stay as they are, running statistics included.
    frozen = False
    #: Factor from the learning rate of a layer to that of the layer before it.
    layer_decay = 1.0

    def __init__(
        self,
        layers: nn.Sequential,
        channels: int,
        height: int,
        width: int,
        inputs: nn.Module | None = None,
        training: str = "tuned",
        found: Found | None = None,
    ) -> None:
        super().__init__()
        if inputs is not None:
            self.inputs = inputs
        maps, count = found or _last_of_each_size(layers, inputs, (channels, height, width))
        if count < len(layers):
            layers = nn.Sequential(OrderedDict([*layers.named_children()][:count]))
        self.layers = layers
        smaller = {place: scale for place, scale in maps.items() if scale.reduction > 1}
        kept = smaller or maps
        self._places = frozenset(kept)
        #: The feature maps in the order in which they are given.
        self.scales: Sequence[Scale] = tuple(kept.values())
        if training == "frozen":
            self.frozen = True
            self.requires_grad_(False).eval()
        elif training == "layerwise":
            self.layer_decay = LAYER_DECAY

    def train(self, mode: bool = True) -> Self:
        return super().train(mode and not self.frozen)

    def forward(self, images: Tensor) -> list[Tensor]:
        x = images if "inputs" not in self._modules else self.inputs(images)
        maps: dict[int, Tensor] = {}
        place = 0
        for layer in self.layers:
            outputs = _outputs(layer, x)
            maps |= {n: y for n, y in enumerate(outputs, place) if n in self._places}
            x, place = outputs[-1], place + len(outputs)
        return [*maps.values()]


def backbone(
    channels: int,
    height: int,
    width: int,
    names: Sequence[str] = BACKBONES,
    default: str | None = None,
    pretrained: Mapping[str, Any] | None = None,
) -> Backbone:
    """One of several backbones for images of this size; asks ``backbone`` and then the questions of
    the chosen space, named ``backbone.resnet.…``. A pretrained one is given, and only
    ``backbone.weights`` is asked, how it is trained, if there are several ways.

    Args:
        names: of spaces of the zoo, some of :data:`BACKBONES`.
        default: one of them; the first one if not given.
        pretrained: a network with weights to use in their place, see
            :class:`~archsmith.zoo.pretrained.Pretrained`.

    Raises:
        InputError: the pretrained network does not take such images.
    """
    if pretrained is not None:
        return _with_weights(pretrained, channels, height, width)

    def build(name: str) -> Backbone:
        builder, run = spaces.get(name), current()
        before = len(run.answers)
        more = _FINE.get(name, {})
        layers = builder(channels=channels, classes=0, height=height, width=width, **more)
        if type(run) is not Reading:  # others may build more than what was answered
            return Backbone(layers, channels, height, width)
        key = name, channels, height, width, tuple(run.answers.items())[before:]
        if key not in _known:
            if len(_known) >= _MOST_KNOWN:
                _known.clear()
            _known[key] = _last_of_each_size(layers, None, (channels, height, width))
        return Backbone(layers, channels, height, width, found=_known[key])

    built: Backbone = one_of("backbone", {n: partial(build, n) for n in names}, default=default)
    return built


def _with_weights(given: Mapping[str, Any], channels: int, height: int, width: int) -> Backbone:
    options = list(given["training"])
    with scope("backbone"):
        training: str = choose("weights", options) if len(options) > 1 else options[0]
    inputs = Renormalised(given["seen"], (given["mean"], given["std"]))
    layers = classifier_of(given)
    try:
        return Backbone(layers, channels, height, width, inputs, training)
    except RuntimeError as error:  # such as positions of another number of tokens
        raise InputError(
            "backbone",
            f"one that takes images of {height}x{width} pixels",
            str(error).splitlines()[0],
            "read images at the size that it was trained on, --image-size N, or give a "
            "convolutional backbone",
        ) from error


def resized_like(x: Tensor, like: Tensor) -> Tensor:
    """A map interpolated to the height and width of another."""
    if x.shape[-2:] == like.shape[-2:]:
        return x
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


def _outputs(layer: nn.Module, x: Tensor) -> list[Tensor]:
    """What a layer gives; of cells and of branches, what each of them gives."""
    return layer.maps(x) if isinstance(layer, Cells | Branches) else [layer(x)]


def _last_of_each_size(
    layers: nn.Sequential, inputs: nn.Module | None, shape: tuple[int, int, int]
) -> Found:
    """The maps of a network, by a forward pass.

    Args:
        shape: channels, height and width of the images.

    Raises:
        InputError: no layer gives a map.
    """
    device = next((p.device for p in layers.parameters()), torch.device("cpu"))
    x, found, place, count = torch.zeros(1, *shape, device=device), dict[int, Scale](), 0, 0
    pixels = shape[1] * shape[2]
    training = [module for module in layers.modules() if module.training]
    layers.eval()  # so that no running statistics change
    try:
        with torch.no_grad():
            x = x if inputs is None else inputs(x)
            for layer in layers:
                before, outputs = x.shape[-2:], _outputs(layer, x)
                if outputs[-1].ndim != 4 or _pools(layer, before, outputs[-1]):
                    break
                for x in outputs:
                    if place and before == x.shape[-2:]:
                        found.pop(place - 1)
                    found[place] = Scale(x.shape[1], (pixels / x[0, 0].numel()) ** 0.5)
                    before, place = x.shape[-2:], place + 1
                count += 1
    finally:
        for module in training:
            module.training = True
    if not found:
        raise InputError("backbone", "layers that give feature maps", "none")
    return Found(found, count)


def _pools(layer: nn.Module, before: torch.Size, after: Tensor) -> bool:
    """Whether a layer is the mean or maximum of all pixels, with which a head begins."""
    kinds = nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d
    whole = any(isinstance(part, kinds) for part in (layer, *layer.children()))
    return whole and after.shape[-2:].numel() == 1 < before.numel()
