"""ConvNeXts: convolutional networks with the habits of vision transformers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from ..space import choose, one_of, scope
from ..space.architecture import Answer
from .inverted import nearest
from .named import Named
from .strides import LEAST_SIDE, fitted

_USUAL = ((16, 2), (32, 2), (64, 3), (128, 2))  # width and depth of the stages by default
_EPS = 1e-6


def convnext(
    channels: int,
    classes: int,
    height: int = 32,
    width: int = 32,
    *,
    depths: Sequence[int] = (1, 2, 3, 4),
    widths: Sequence[int] = (8, 12, 16, 20, 24),
) -> nn.Module:
    """ConvNeXts (Liu et al. 2022, arXiv:2201.03545): images to logits (n, classes).

    A convolution of patches, four stages of blocks (a depthwise convolution, layer norm, and two
    linear layers with a GELU between them, all around a shortcut), and a linear layer on averaged,
    normalised features. Searched are the side of the patches; of each stage depth, width, kernel
    and expansion; and for the whole network, whether the blocks' outputs are scaled by weights that
    begin at 10^-6 (layer scale, as published first), and whether the hidden features compete
    (global response normalisation, ConvNeXt V2, Woo et al. 2023, arXiv:2301.00808). About 10^10
    networks with the default arguments. By default nothing is scaled: layer scale needs longer
    trainings (after 90 steps on digits the loss is 0.6 with it and 0.1 without). Stochastic depth,
    which the papers train with, is left out.

    Patches leave at least 4 pixels, and the layers between stages halve the images as long as 4
    are left: 224 pixels become 56, 28, 14 and 7 with patches of 4, and 32 become 16, 16, 8 and 4
    with the default patches of 2. Where nothing is halved, these layers are 1x1 convolutions.
    Patches of 1 are a 3x3 convolution. The default network is 16 to 128 wide.

    Args:
        channels: of the images.
        classes: outputs; with 0 there is no head, and the network gives feature maps.
        height, width: of the images, in pixels.
        depths: numbers of blocks that a stage may have.
        widths: channels that the first stage may have; each later one has twice as many as the one
            before to choose from. :data:`PUBLISHED` are the lists for all named architectures.

    Returns:
        A network from (n, channels, height, width) to logits (n, classes).
    """
    side = min(height, width)
    patch = _patch(side)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    inside = channels
    for number, stride in enumerate([patch, *fitted([2, 2, 2], side // patch)], start=1):
        with scope(f"stage{number}"):
            shape = _shape([w << number - 1 for w in widths], depths, *_USUAL[number - 1])
        wide, depth, kernel, hidden = shape
        layers[f"down{number}"] = _smaller(inside, wide, stride, first=number == 1)
        layers[f"stage{number}"] = nn.Sequential(
            *(_block(wide, kernel, hidden) for _ in range(depth))
        )
        inside = wide
    if not classes:
        return _started(nn.Sequential(layers))
    layers |= OrderedDict(pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten())
    layers |= OrderedDict(norm=nn.LayerNorm(inside, _EPS), classifier=nn.Linear(inside, classes))
    return _started(nn.Sequential(layers))


class Block(nn.Module):
    """A depthwise convolution, then two linear layers over the channels, around a shortcut.

    Args:
        response: what follows the activation, channels last.
        scale: what follows the second linear layer, channels last.
    """

    def __init__(
        self, wide: int, kernel: int, hidden: int, response: nn.Module, scale: nn.Module
    ) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(wide, wide, kernel, padding=kernel // 2, groups=wide)
        self.mixing = nn.Sequential(
            nn.LayerNorm(wide, _EPS),
            nn.Linear(wide, hidden),
            nn.GELU(),
            response,
            nn.Linear(hidden, wide),
            scale,
        )

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.mixing(self.depthwise(x).permute(0, 2, 3, 1))
        return x + mixed.permute(0, 3, 1, 2)


class Scale(nn.Module):
    """Layer scale: each channel (the last dimension) times a weight that begins near zero."""

    def __init__(self, wide: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((wide,), 1e-6))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


class Response(nn.Module):
    """Global response normalisation of (n, height, width, channels).

    Each channel is multiplied by its norm over the image, relative to the mean of all channels';
    this is weighted, and added to the input.
    """

    def __init__(self, wide: int) -> None:
        super().__init__()
        self.weight, self.bias = (nn.Parameter(torch.zeros(wide)) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        norms = torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True)
        relative = norms / (norms.mean(dim=-1, keepdim=True) + _EPS)
        out: Tensor = x + self.weight * (x * relative) + self.bias
        return out


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of (n, channels, height, width)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def _patch(side: int) -> int:
    """Side of the patches: by default what leaves 7 pixels in the end, but 2 where possible."""
    sides = [patch for patch in (1, 2, 4) if patch == 1 or side >= patch * LEAST_SIDE]
    usual = min(sides[-1], max(2, fitted([4, 2, 2, 2], side)[0]))
    with scope("stem"):
        patch: int = choose("patch", sides, default=usual)
    return patch


def _shape(
    widths: Sequence[int], depths: Sequence[int], wide: int, deep: int
) -> tuple[int, int, int, int]:
    """Width, depth, kernel and hidden width of a stage, by default about ``wide`` and ``deep``."""
    width: int = choose("width", widths, default=nearest(widths, wide))
    depth: int = choose("depth", depths, default=nearest(depths, deep))
    kernel: int = choose("kernel", [3, 5, 7, 9], default=7)
    expansion: int = choose("expansion", [2, 3, 4], default=4)
    return width, depth, kernel, width * expansion


def _smaller(inside: int, outside: int, stride: int, first: bool) -> nn.Module:
    """Patches of a side, each a pixel of the output; the image's own are normalised afterwards."""
    kernel, padding = (3, 1) if first and stride == 1 else (stride, 0)
    patches = nn.Conv2d(inside, outside, kernel, stride, padding)
    if first:
        return nn.Sequential(patches, ChannelNorm(outside, _EPS))
    return nn.Sequential(ChannelNorm(inside, _EPS), patches)


def _block(wide: int, kernel: int, hidden: int) -> nn.Module:
    # Asked outside any scope: one decision each for the whole network.
    response = one_of("response", {"none": nn.Identity, "normalised": partial(Response, hidden)})
    scale = one_of("scale", {"none": nn.Identity, "layer": partial(Scale, wide)})
    return Block(wide, kernel, hidden, response, scale)


def _started(model: nn.Module) -> nn.Module:
    """The model with weights drawn as in the paper."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            if not module.weight.is_meta:  # there is nothing to draw, and it takes a millisecond
                nn.init.trunc_normal_(module.weight, std=0.02)
            assert module.bias is not None
            nn.init.zeros_(module.bias)
    return model


#: Arguments of the space that has all named architectures.
PUBLISHED = {"depths": (2, 3, 6, 9, 27), "widths": (40, 48, 64, 96, 128, 192)}


def _named(source: str, second: bool, wide: int, depths: Sequence[int], parameters: int) -> Named:
    answers: dict[str, Answer] = {
        "stem.patch": 4,
        "response": "normalised" if second else "none",
        "scale": "none" if second else "layer",
    }
    for number, depth in enumerate(depths, start=1):
        shape = {"width": wide << number - 1, "depth": depth, "kernel": 7, "expansion": 4}
        answers |= {f"stage{number}.{name}": answer for name, answer in shape.items()}
    return Named("convnext", answers, parameters, source, PUBLISHED)


_first = partial(_named, "Liu et al. 2022, arXiv:2201.03545, section 3", False)
CONVNEXT_TINY = _first(96, (3, 3, 9, 3), 28_589_128)
CONVNEXT_SMALL = _first(96, (3, 3, 27, 3), 50_223_688)
CONVNEXT_BASE = _first(128, (3, 3, 27, 3), 88_591_464)
CONVNEXT_LARGE = _first(192, (3, 3, 27, 3), 197_767_336)

# Numbers of parameters as in timm.
_second = partial(_named, "Woo et al. 2023, arXiv:2301.00808", True)
CONVNEXTV2_ATTO = _second(40, (2, 2, 6, 2), 3_708_400)
CONVNEXTV2_FEMTO = _second(48, (2, 2, 6, 2), 5_233_240)
CONVNEXTV2_PICO = _second(64, (2, 2, 6, 2), 9_066_280)
