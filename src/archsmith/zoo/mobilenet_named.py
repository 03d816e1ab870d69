"""Published mobile networks, as members of the space of :mod:`archsmith.zoo.mobilenet`.

Where a paper draws its network, or leaves widths open, layers are those of the code that the
authors published; numbers of parameters are those of that code, or of torchvision or timm.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..space.architecture import Answer
from .mobilenet import EXPANSIONS, RELU_STAGES, STAGES
from .named import Named

Blocks = Sequence[tuple[int, float]]


class Published(NamedTuple):
    """A stage of a published network.

    Attributes:
        width: of what it gives.
        blocks: kernel and expansion of each.
        excitation: one of :data:`~archsmith.zoo.inverted.EXCITATIONS`.
    """

    width: int
    blocks: Blocks
    excitation: str = "none"


def _named(
    source: str,
    parameters: int,
    stem: tuple[int, str],
    stages: Sequence[Published],
    head: tuple[int, int],
    first: int = 1,
    side: int = 224,
    relu_stages: int = 0,
    bias: bool = True,
) -> Named:
    """The network of these stages.

    Args:
        stem: its width, and the activation of the network.
        head: widths of the last convolution, and of the layer after the average (0 for none).
        first: which stage of the space the first one is.
    """
    answers: dict[str, Answer] = {"stem.width": stem[0], "activation": stem[1]}
    if stem[1] != "relu":
        answers["relu_stages"] = relu_stages
    answers |= {f"stage{number}.depth": 0 for number in range(1, len(STAGES) + 1)}
    for number, stage in enumerate(stages, start=first):
        name = f"stage{number}"
        answers |= {f"{name}.depth": len(stage.blocks), f"{name}.width": stage.width}
        answers[f"{name}.excitation"] = stage.excitation
        for place, (kernel, expansion) in enumerate(stage.blocks):
            block = f"{name}.block{place}"
            answers |= {f"{block}.kernel": kernel, f"{block}.expansion": expansion}
    answers |= {"head.width": head[0], "head.features": head[1]}
    used = {expansion for stage in stages for _, expansion in stage.blocks}
    expansions = tuple(sorted({*EXPANSIONS, *used}))
    arguments = {"scale": 1.0, "expansions": expansions, "bias": bias}
    return Named("mobilenet", answers, parameters, source, arguments, side)


def _plain(widths: Sequence[int], blocks: Sequence[Blocks]) -> list[Published]:
    """Stages without squeeze and excitation."""
    return [Published(*stage) for stage in zip(widths, blocks, strict=True)]


MOBILENET_V2 = _named(
    "Sandler et al. 2018 (arXiv:1801.04381), table 2",
    3_504_872,
    (32, "relu6"),
    _plain(
        (16, 24, 32, 64, 96, 160, 320),
        ([(3, 0)], *([(3, 6)] * depth for depth in (2, 3, 4, 3, 3, 1))),
    ),
    (1280, 0),
)

#: Stages of MobileNetV3-large.
V3_LARGE = (
    Published(16, [(3, 0)]),
    Published(24, [(3, 4), (3, 3)]),
    Published(40, [(5, 3)] * 3, "expanded"),
    Published(80, [(3, 6), (3, 2.5), (3, 2.3), (3, 2.3)]),
    Published(112, [(3, 6)] * 2, "expanded"),
    Published(160, [(5, 6)] * 3, "expanded"),
)
MOBILENET_V3_LARGE = _named(
    "Howard et al. 2019 (arXiv:1905.02244), table 1",
    5_483_032,
    (16, "hardswish"),
    V3_LARGE,
    (960, 1280),
    relu_stages=RELU_STAGES,
)

#: Stages of MobileNetV3-small; the first is the second of the space, because it halves the images.
V3_SMALL = (
    Published(16, [(3, 0)], "expanded"),
    Published(24, [(3, 4.5), (3, 3.67)]),
    Published(40, [(5, 4), (5, 6), (5, 6)], "expanded"),
    Published(48, [(5, 3)] * 2, "expanded"),
    Published(96, [(5, 6)] * 3, "expanded"),
)
MOBILENET_V3_SMALL = _named(
    "Howard et al. 2019 (arXiv:1905.02244), table 2",
    2_542_856,
    (16, "hardswish"),
    V3_SMALL,
    (576, 1024),
    first=2,
    relu_stages=RELU_STAGES,
)

_MNASNET = "Tan et al. 2018 (arXiv:1807.11626) and their code"
MNASNET_B1 = _named(
    _MNASNET,
    4_383_312,
    (32, "relu"),
    _plain(
        (16, 24, 40, 80, 96, 192, 320),
        (
            [(3, 0)],
            [(3, 3)] * 3,
            [(5, 3)] * 3,
            [(5, 6)] * 3,
            [(3, 6)] * 2,
            [(5, 6)] * 4,
            [(3, 6)],
        ),
    ),
    (1280, 0),
)
MNASNET_A1 = _named(
    _MNASNET,
    3_887_038,
    (32, "relu"),
    (
        Published(16, [(3, 0)]),
        Published(24, [(3, 6)] * 2),
        Published(40, [(5, 3)] * 3, "input"),
        Published(80, [(3, 6)] * 4),
        Published(112, [(3, 6)] * 2, "input"),
        Published(160, [(5, 6)] * 3, "input"),
        Published(320, [(3, 6)]),
    ),
    (1280, 0),
)

FBNET_C = _named(
    "Wu et al. 2018 (arXiv:1812.03443) and their code",
    5_572_200,
    (16, "relu"),
    _plain(
        (16, 24, 32, 64, 112, 184, 352),
        (
            [(3, 1)],
            [(3, 6), (3, 1), (3, 1)],
            [(5, 6), (5, 3), (5, 6), (3, 6)],
            [(5, 6), (5, 3), (5, 6), (5, 6)],
            [(5, 6), (5, 6), (5, 6), (5, 3)],
            [(5, 6)] * 4,
            [(3, 6)],
        ),
    ),
    (1984, 0),
)

_PROXYLESSNAS = "Cai et al. 2018 (arXiv:1812.00332) and their code"
PROXYLESSNAS_CPU = _named(
    _PROXYLESSNAS,
    4_361_648,
    (40, "relu6"),
    _plain(
        (24, 32, 48, 88, 104, 216, 360),
        (
            [(3, 0)],
            [(3, 6), (3, 3), (3, 3), (3, 3)],
            [(3, 6), (3, 3), (3, 3), (5, 3)],
            [(3, 6), (3, 3)],
            [(5, 6), (3, 3), (3, 3), (3, 3)],
            [(5, 6), (5, 3), (5, 3), (3, 3)],
            [(5, 6)],
        ),
    ),
    (1432, 0),
)
PROXYLESSNAS_GPU = _named(
    _PROXYLESSNAS,
    7_119_848,
    (40, "relu6"),
    _plain(
        (24, 32, 56, 112, 128, 256, 432),
        (
            [(3, 0)],
            [(5, 3)],
            [(7, 3), (3, 3)],
            [(7, 6), (5, 3)],
            [(5, 6), (3, 3), (5, 3)],
            [(7, 6), (7, 6), (7, 6), (5, 6)],
            [(7, 6)],
        ),
    ),
    (1728, 0),
)
_PHONE: Sequence[Blocks] = (
    [(3, 0)],
    [(5, 3), (3, 3)],
    [(7, 3), (3, 3), (5, 3), (5, 3)],
    [(7, 6), (5, 3), (5, 3), (5, 3)],
    [(5, 6), (5, 3), (5, 3), (5, 3)],
    [(7, 6), (7, 6), (7, 3), (7, 3)],
    [(7, 6)],
)
PROXYLESSNAS_MOBILE = _named(
    _PROXYLESSNAS,
    4_080_512,
    (32, "relu6"),
    _plain((16, 32, 40, 80, 96, 192, 320), _PHONE),
    (1280, 0),
)
PROXYLESSNAS_MOBILE_14 = _named(
    _PROXYLESSNAS,
    6_857_568,
    (48, "relu6"),
    _plain((24, 40, 56, 112, 136, 256, 448), _PHONE),
    (1792, 0),
)


def _ofa(parameters: int, blocks: Sequence[Blocks], side: int = 224) -> Named:
    """MobileNetV3-large with other blocks in all stages but the first."""
    later = zip(V3_LARGE[1:], blocks, strict=True)
    stages = [V3_LARGE[0], *(stage._replace(blocks=others) for stage, others in later)]
    return _named(
        "Cai et al. 2019 (arXiv:1908.09791) and their code",
        parameters,
        (16, "hardswish"),
        stages,
        (960, 1280),
        side=side,
        relu_stages=RELU_STAGES,
        bias=False,
    )


#: The largest network of the space over MobileNetV3 with a width multiplier of 1.
OFA_LARGEST = _ofa(7_664_760, [[(7, 6)] * 4] * 5)
#: The one for 31 ms on a Samsung Note 8.
OFA_NOTE8 = _ofa(
    4_595_536,
    [
        [(5, 3), (3, 3)],
        [(5, 4), (5, 3)],
        [(3, 4), (3, 4), (5, 4)],
        [(3, 4), (5, 3), (7, 4)],
        [(3, 6), (3, 3), (5, 3), (5, 3)],
    ],
    side=152,
)
