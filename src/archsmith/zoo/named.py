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

    @property
    def doc(self) -> str:
        """A line about it."""
        form = f"images of {self.side} pixels, {self.classes:,} classes"
        return f"{self.space}, {self.parameters:,} parameters for {form}; {self.source}"

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
        return space, member(space, self.answers)


def member(space: Space, answers: Mapping[str, Answer]) -> Architecture:
    """The architecture with these answers, and defaults where none is given.

    Raises:
        SpaceError: a question that is not asked, or an answer that is not among its options.
    """
    found = space.complete(answers)
    for name, answer in answers.items():
        if name not in found:
            raise SpaceError(f"{space.name}, {name}", f"one of {', '.join(found)}", "not asked")
        if found[name] != answer:
            decision = next(d for d in space.decisions(found) if d.name == name)
            options = list(decision.answers()) if decision.listed else decision
            raise SpaceError(f"{space.name}, {name}", f"one of {options}", repr(answer))
    return found


#: Published architectures by name.
architectures = Registry(
    "architecture",
    "archsmith.architectures",
    {
        "amoebanet_a_cifar": "archsmith.zoo.nasnet:AMOEBANET_A_CIFAR",
        "amoebanet_a_cifar_small": "archsmith.zoo.nasnet:AMOEBANET_A_CIFAR_SMALL",
        "amoebanet_a_large": "archsmith.zoo.nasnet:AMOEBANET_A_LARGE",
        "amoebanet_a_mobile": "archsmith.zoo.nasnet:AMOEBANET_A_MOBILE",
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
        "efficientnet_b0": "archsmith.zoo.efficientnet:B0",
        "efficientnet_b1": "archsmith.zoo.efficientnet:B1",
        "efficientnet_b2": "archsmith.zoo.efficientnet:B2",
        "efficientnet_b3": "archsmith.zoo.efficientnet:B3",
        "efficientnet_b4": "archsmith.zoo.efficientnet:B4",
        "efficientnet_b5": "archsmith.zoo.efficientnet:B5",
        "efficientnet_b6": "archsmith.zoo.efficientnet:B6",
        "efficientnet_b7": "archsmith.zoo.efficientnet:B7",
        "efficientnet_lite0": "archsmith.zoo.efficientnet:LITE0",
        "efficientnet_lite1": "archsmith.zoo.efficientnet:LITE1",
        "efficientnet_lite2": "archsmith.zoo.efficientnet:LITE2",
        "efficientnet_lite3": "archsmith.zoo.efficientnet:LITE3",
        "efficientnet_lite4": "archsmith.zoo.efficientnet:LITE4",
        "enas": "archsmith.zoo.enas:ENAS",
        "fbnet_c": "archsmith.zoo.mobilenet_named:FBNET_C",
        "gdas": "archsmith.zoo.darts:GDAS",
        "gdas_imagenet": "archsmith.zoo.darts:GDAS_IMAGENET",
        "mnasnet_a1": "archsmith.zoo.mobilenet_named:MNASNET_A1",
        "mnasnet_b1": "archsmith.zoo.mobilenet_named:MNASNET_B1",
        "mobilenet_v2": "archsmith.zoo.mobilenet_named:MOBILENET_V2",
        "mobilenet_v3_large": "archsmith.zoo.mobilenet_named:MOBILENET_V3_LARGE",
        "mobilenet_v3_small": "archsmith.zoo.mobilenet_named:MOBILENET_V3_SMALL",
        "nasnet_a_cifar": "archsmith.zoo.nasnet:NASNET_A_CIFAR",
        "nasnet_a_large": "archsmith.zoo.nasnet:NASNET_A_LARGE",
        "nasnet_a_mobile": "archsmith.zoo.nasnet:NASNET_A_MOBILE",
        "ofa_largest": "archsmith.zoo.mobilenet_named:OFA_LARGEST",
        "ofa_note8": "archsmith.zoo.mobilenet_named:OFA_NOTE8",
        "pc_darts": "archsmith.zoo.darts:PC_DARTS",
        "pc_darts_imagenet": "archsmith.zoo.darts:PC_DARTS_IMAGENET",
        "proxylessnas_cpu": "archsmith.zoo.mobilenet_named:PROXYLESSNAS_CPU",
        "proxylessnas_gpu": "archsmith.zoo.mobilenet_named:PROXYLESSNAS_GPU",
        "proxylessnas_mobile": "archsmith.zoo.mobilenet_named:PROXYLESSNAS_MOBILE",
        "proxylessnas_mobile_14": "archsmith.zoo.mobilenet_named:PROXYLESSNAS_MOBILE_14",
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
