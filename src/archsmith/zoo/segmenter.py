"""Segmenters: a backbone of the zoo and a decoder, both searched; a class for each pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from ..space import choose, one_of, scope
from .backbone import BACKBONES, Backbone, Scale, backbone, resized_like
from .references import conv
from .unet import Merge

#: Channels of a decoder.
WIDTHS = (16, 24, 32, 48, 64, 96)
_USUAL = 32
#: Channels of the fine map beside the wide features of DeepLabV3+, as a share of the decoder's.
_FINE = 0.5


def segmenter(
    channels: int,
    classes: int,
    height: int = 64,
    width: int = 64,
    backbones: Sequence[str] = BACKBONES,
    pretrained: Mapping[str, Any] | None = None,
) -> nn.Module:
    """Images (n, channels, height, width) to logits (n, classes, height, width).

    Searched are the backbone, by all that its space asks, and the decoder:

    - ``unet`` goes back from the coarsest map to the finest, merging each (Ronneberger et al. 2015,
      arXiv:1505.04597);
    - ``fpn`` brings all maps to one width, adds the coarser to the finer, and sums them in the
      finest (Kirillov et al. 2019, arXiv:1901.02446);
    - ``deeplab`` looks at the coarsest map through dilated convolutions and at its mean, and merges
      that with the finest (DeepLabV3+, Chen et al. 2018, arXiv:1802.02611).

    The finest map is that of the backbone's first stage which is smaller than the image; logits are
    interpolated to the image's size. About 10^11 networks for images of 160 x 120 pixels.

    Args:
        channels: of the images.
        classes: outputs per pixel.
        height, width: of the images, in pixels.
        backbones: names of spaces of the zoo to choose from.
        pretrained: a backbone with weights in their place, see :func:`~.backbone.backbone`.
    """
    base = backbone(channels, height, width, backbones, pretrained=pretrained)
    with scope("decoder"):
        wide: int = choose("width", WIDTHS, default=_USUAL)
    options = {"unet": UNetDecoder, "fpn": PyramidDecoder, "deeplab": DilatedDecoder}
    decoder = one_of(
        "decoder", {name: partial(kind, base.scales, wide) for name, kind in options.items()}
    )
    return Segmenter(base, decoder, nn.Conv2d(wide, classes, 1))


class Segmenter(nn.Module):
    """Backbone, decoder and a 1x1 convolution."""

    def __init__(self, base: Backbone, decoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.base, self.decoder, self.head = base, decoder, head

    def forward(self, images: Tensor) -> Tensor:
        return resized_like(self.head(self.decoder(self.base(images))), images)


class UNetDecoder(nn.Module):
    """Each map merged with what comes from the coarser ones.

    Args:
        scales: of the backbone's maps, the finest first.
        wide: output channels.
    """

    def __init__(self, scales: Sequence[Scale], wide: int) -> None:
        super().__init__()
        depth: int = choose("depth", [0, 1, 2], default=1)
        self.bottom = _point(scales[-1].channels, wide)
        self.merges = nn.ModuleDict()
        self.blocks = nn.ModuleDict()
        # Numbered from the finest map, so that a name means the same with one stage more.
        for number, scale in enumerate(scales[:-1]):
            self.merges[str(number)] = Merge(wide, scale.channels, wide)
            self.blocks[str(number)] = nn.Sequential(*(_block(wide) for _ in range(depth)))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        x: Tensor = self.bottom(maps[-1])
        for number in reversed(range(len(maps) - 1)):
            x = self.blocks[str(number)](self.merges[str(number)](x, maps[number]))
        return x


class PyramidDecoder(nn.Module):
    """The sum of all levels of a feature pyramid, in the size of the finest."""

    def __init__(self, scales: Sequence[Scale], wide: int) -> None:
        super().__init__()
        self.pyramid = Pyramid(scales, wide)
        self.blocks = nn.ModuleList(_block(wide) for _ in scales)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        levels = self.pyramid(maps)
        out: Tensor = self.blocks[0](levels[0])
        for block, level in zip(list(self.blocks)[1:], levels[1:], strict=True):
            out = out + resized_like(block(level), levels[0])
        return out


class Pyramid(nn.Module):
    """Maps of one width, to each of which the coarser ones are added (feature pyramid; Lin et al.
    2016, arXiv:1612.03144).

    Args:
        scales: of the backbone's maps, the finest first.
        wide: output channels.
        first: number of the finest map that is used; finer ones are left out.
    """

    def __init__(self, scales: Sequence[Scale], wide: int, first: int = 0) -> None:
        super().__init__()
        # Numbered from the backbone's finest map, so that a name means the same for every first.
        self.lateral = nn.ModuleDict(
            {str(n): _point(scales[n].channels, wide) for n in range(first, len(scales))}
        )

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        levels = [layer(maps[int(number)]) for number, layer in self.lateral.items()]
        for number in reversed(range(len(levels) - 1)):
            levels[number] = levels[number] + resized_like(levels[number + 1], levels[number])
        return levels


class DilatedDecoder(nn.Module):
    """Dilated convolutions of the coarsest map and its mean, merged with the finest map.

    As sums of convolutions rather than convolutions of concatenated maps: with shared weights, the
    channels of one do not shift when another becomes wider.
    """

    def __init__(self, scales: Sequence[Scale], wide: int) -> None:
        super().__init__()
        rates: Sequence[int] = choose("rates", {"1 2 4": (1, 2, 4), "1 3 6": (1, 3, 6)})
        inside = scales[-1].channels
        self.views = nn.ModuleList(
            nn.Conv2d(inside, wide, 3, padding=rate, dilation=rate, bias=False) for rate in rates
        )
        self.mean = nn.Conv2d(inside, wide, 1, bias=False)
        self.norm, self.activation = nn.BatchNorm2d(wide), nn.ReLU()
        fine = max(8, round(_FINE * wide))
        several = len(scales) > 1
        self.fine = _point(scales[0].channels, fine) if several else None
        self.merge = Merge(wide, fine if several else None, wide)
        self.block = _block(wide)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        coarse = maps[-1]
        x: Tensor = self.mean(coarse.mean((2, 3), keepdim=True))
        for view in self.views:
            x = x + view(coarse)
        x = self.activation(self.norm(x))
        fine = maps[0] if self.fine is None else self.fine(maps[0])
        merged: Tensor = self.block(self.merge(x, fine))
        return merged


def _point(inside: int, outside: int) -> nn.Module:
    return nn.Sequential(conv(inside, outside, 1), nn.BatchNorm2d(outside), nn.ReLU())


def _block(wide: int) -> nn.Module:
    return nn.Sequential(conv(wide, wide, 3), nn.BatchNorm2d(wide), nn.ReLU())
