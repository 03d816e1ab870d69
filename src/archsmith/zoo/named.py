"""Published architectures, as answers to the questions of the ready spaces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .._support.errors import SpaceError
from .._support.registry import Registry
from . import spaces

if TYPE_CHECKING:
    from ..space import Space
    from ..space.architecture import Answer, Architecture


@dataclass(frozen=True)
class Named:
    """A published architecture: a member of a ready space.

    Attributes:
        space: name of the ready space.
        answers: to its questions; where the paper leaves one open, the default answers.
        arguments: of the builder, besides those that come from the data.
        parameters: number of them as published, for inputs as below.
        side, classes: of the published form: side of the images in pixels, and number of classes.
        source: paper, with the table.
    """

    space: str
    answers: Mapping[str, Answer]
    parameters: int
    source: str
    arguments: Mapping[str, object] = field(default_factory=dict)
    side: int = 224
    classes: int = 1000

    def within(
        self,
        channels: int = 3,
        classes: int | None = None,
        height: int | None = None,
        width: int | None = None,
    ) -> tuple[Space, Architecture]:
        """The space for images of this form (by default the published one), and the architecture.

        Raises:
            SpaceError: the architecture has no place in it, for instance because the images are too
                small.
        """
        from ..space import Space

        arguments = {
            "channels": channels,
            "classes": classes or self.classes,
            "height": height or self.side,
            "width": width or self.side,
        }
        space = Space(spaces.get(self.space), **arguments, **self.arguments)
        found = space.complete(self.answers)
        for name, answer in self.answers.items():
            if name not in found or found[name] != answer:
                raise SpaceError(
                    f"{space.name}, {name}", repr(answer), repr(found.get(name, "not asked"))
                )
        return space, found


#: Published architectures by name.
architectures = Registry(
    "architecture",
    "archsmith.architectures",
    {
        "autoformer_base": "archsmith.zoo.vit:AUTOFORMER_BASE",
        "autoformer_small": "archsmith.zoo.vit:AUTOFORMER_SMALL",
        "autoformer_tiny": "archsmith.zoo.vit:AUTOFORMER_TINY",
        "coatnet_0": "archsmith.zoo.hybrid:COATNET_0",
        "coatnet_1": "archsmith.zoo.hybrid:COATNET_1",
        "coatnet_2": "archsmith.zoo.hybrid:COATNET_2",
        "convnext_base": "archsmith.zoo.convnext:CONVNEXT_BASE",
        "convnext_large": "archsmith.zoo.convnext:CONVNEXT_LARGE",
        "convnext_small": "archsmith.zoo.convnext:CONVNEXT_SMALL",
        "convnext_tiny": "archsmith.zoo.convnext:CONVNEXT_TINY",
        "convnextv2_atto": "archsmith.zoo.convnext:CONVNEXTV2_ATTO",
        "convnextv2_femto": "archsmith.zoo.convnext:CONVNEXTV2_FEMTO",
        "convnextv2_pico": "archsmith.zoo.convnext:CONVNEXTV2_PICO",
        "darts_v1": "archsmith.zoo.darts:DARTS_V1",
        "darts_v2": "archsmith.zoo.darts:DARTS_V2",
        "darts_v2_imagenet": "archsmith.zoo.darts:DARTS_V2_IMAGENET",
        "deit_base": "archsmith.zoo.vit:DEIT_BASE",
        "deit_small": "archsmith.zoo.vit:DEIT_SMALL",
        "deit_tiny": "archsmith.zoo.vit:DEIT_TINY",
        "drnas": "archsmith.zoo.darts:DRNAS",
        "drnas_imagenet": "archsmith.zoo.darts:DRNAS_IMAGENET",
        "gdas": "archsmith.zoo.darts:GDAS",
        "gdas_imagenet": "archsmith.zoo.darts:GDAS_IMAGENET",
        "pc_darts": "archsmith.zoo.darts:PC_DARTS",
        "pc_darts_imagenet": "archsmith.zoo.darts:PC_DARTS_IMAGENET",
        "regnetx_1600mf": "archsmith.zoo.regnet:REGNETX_1600MF",
        "regnetx_200mf": "archsmith.zoo.regnet:REGNETX_200MF",
        "regnetx_3200mf": "archsmith.zoo.regnet:REGNETX_3200MF",
        "regnetx_400mf": "archsmith.zoo.regnet:REGNETX_400MF",
        "regnetx_800mf": "archsmith.zoo.regnet:REGNETX_800MF",
        "regnety_1600mf": "archsmith.zoo.regnet:REGNETY_1600MF",
        "regnety_200mf": "archsmith.zoo.regnet:REGNETY_200MF",
        "regnety_3200mf": "archsmith.zoo.regnet:REGNETY_3200MF",
        "regnety_400mf": "archsmith.zoo.regnet:REGNETY_400MF",
        "regnety_800mf": "archsmith.zoo.regnet:REGNETY_800MF",
        "resnet101": "archsmith.zoo.resnet:RESNET101",
        "resnet110": "archsmith.zoo.resnet:RESNET110",
        "resnet152": "archsmith.zoo.resnet:RESNET152",
        "resnet18": "archsmith.zoo.resnet:RESNET18",
        "resnet20": "archsmith.zoo.resnet:RESNET20",
        "resnet32": "archsmith.zoo.resnet:RESNET32",
        "resnet34": "archsmith.zoo.resnet:RESNET34",
        "resnet44": "archsmith.zoo.resnet:RESNET44",
        "resnet50": "archsmith.zoo.resnet:RESNET50",
        "resnet50_d": "archsmith.zoo.resnet:RESNET50_D",
        "resnet56": "archsmith.zoo.resnet:RESNET56",
        "resnext50_32x4d": "archsmith.zoo.resnet:RESNEXT50_32X4D",
        "vit_b_16": "archsmith.zoo.vit:VIT_B_16",
        "vit_b_32": "archsmith.zoo.vit:VIT_B_32",
        "vit_l_16": "archsmith.zoo.vit:VIT_L_16",
        "wide_resnet50_2": "archsmith.zoo.resnet:WIDE_RESNET50_2",
        "wrn16_4": "archsmith.zoo.resnet:WRN16_4",
        "wrn28_10": "archsmith.zoo.resnet:WRN28_10",
    },
)
