"""Image classifiers on a backbone: the head is searched, and the backbone if it is not given."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..space import choose, scope
from .backbone import BACKBONES, backbone

#: Hidden widths of the head; 0 is a linear head.
HIDDEN = (0, 64, 256)


def classifier(
    channels: int,
    classes: int,
    height: int = 32,
    width: int = 32,
    backbones: Sequence[str] = BACKBONES,
    pretrained: Mapping[str, Any] | None = None,
) -> nn.Module:
    """Images (n, channels, height, width) to logits (n, classes).

    Searched are the backbone, by all that its space asks, unless a pretrained one is given; and the
    head: whether it sees the coarsest feature map or all of them, each by the mean of its pixels,
    its hidden layer and its dropout. 12 heads.

    Args:
        channels: of the images.
        classes: outputs.
        height, width: of the images, in pixels.
        backbones: names of spaces of the zoo to choose from.
        pretrained: a backbone with weights in their place, see :func:`~.backbone.backbone`.
    """
    base = backbone(channels, height, width, backbones, pretrained=pretrained)
    with scope("head"):
        seen: str = choose("maps", ("last", "all"))
        hidden: int = choose("hidden", HIDDEN)
        dropout: float = choose("dropout", (0.0, 0.2))
    scales = base.scales if seen == "all" else base.scales[-1:]
    inside = sum(scale.channels for scale in scales)
    layers = OrderedDict[str, nn.Module](mean=Means(len(scales)), dropout=nn.Dropout(dropout))
    if hidden:
        layers |= {"hidden": nn.Linear(inside, hidden), "activation": nn.ReLU()}
        layers["output"] = nn.Linear(hidden, classes)
    else:  # with shared weights this layer is another one
        layers["linear"] = nn.Linear(inside, classes)
    head = nn.Sequential(layers)
    return nn.Sequential(OrderedDict(base=base, head=head))


class Means(nn.Module):
    """The means of the pixels of the last ``count`` maps, side by side: (n, channels)."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        return torch.cat([x.mean((2, 3)) for x in maps[-self.count :]], dim=1)
