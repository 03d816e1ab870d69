"""The space of NAS-Bench-Macro (Su et al. 2021, arXiv:2103.11922) and its notation.

Eight layers in a row, each one of three blocks: 3^8 = 6,561 architectures. An identity that keeps
the shape has no effect, so there are 3,969 distinct graphs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from torch import Tensor, nn

from .._support.errors import SpaceError
from ..space import graph_form, one_of
from ..space.architecture import Answer, Architecture

#: Blocks, in the order of the published digits 0, 1, 2.
BLOCKS = ("identity", "mb3_k3", "mb6_k5")
#: Layers of each stage; the first of each halves the height and width and doubles the channels.
STAGES = (2, 3, 3)
#: Decisions, in the order of the published digits.
LAYERS = tuple(f"layer{number}" for number in range(1, sum(STAGES) + 1))
_FIRST = tuple(sum(STAGES[:stage]) for stage in range(len(STAGES)))
_FEATURES = 1280  # before the classifier


@graph_form(lambda architecture: canonical(architecture))
def nasbench_macro(channels: int, classes: int, width: int = 32) -> nn.Module:
    """The network of NAS-Bench-Macro: images (n, channels, height, width) to logits (n, classes).

    A 3x3 convolution, eight layers that are an identity or an inverted bottleneck (Sandler et al.
    2018, arXiv:1801.04381) with expansion 3 and kernel 3, or 6 and 5; then a 1x1 convolution to
    1280 channels, global pooling and a linear layer. An identity that changes the number of
    channels is a 1x1 convolution of stride 2.

    Args:
        channels: of the images.
        classes: outputs.
        width: channels after the first convolution; 32 in the paper.
    """
    layers: list[nn.Module] = [*_conv(channels, width, 3), nn.ReLU()]
    for number, name in enumerate(LAYERS):
        inside, stride = width, 1
        if number in _FIRST:
            width, stride = 2 * width, 2
        layers.append(one_of(name, _blocks(inside, width, stride), default="mb3_k3"))
    layers += [*_conv(width, _FEATURES, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(_FEATURES, classes))


class InvertedBottleneck(nn.Module):
    """Widen, filter each channel, narrow: (n, inside, h, w) to (n, outside, h/stride, w/stride).

    It adds its input if the shape is unchanged.
    """

    def __init__(
        self, inside: int, outside: int, kernel: int, expansion: int, stride: int = 1
    ) -> None:
        super().__init__()
        hidden = inside * expansion
        self.body = nn.Sequential(
            *_conv(inside, hidden, 1),
            nn.ReLU(),
            *_conv(hidden, hidden, kernel, stride, groups=hidden),
            nn.ReLU(),
            *_conv(hidden, outside, 1),
        )
        self.residual = stride == 1 and inside == outside

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x)
        return out + x if self.residual else out


def to_digits(architecture: Mapping[str, Answer]) -> str:
    """The architecture in the benchmark's notation: eight digits from 0 to 2.

    Raises:
        SpaceError: a layer is missing or holds no block of the space.
    """
    return "".join(str(BLOCKS.index(_block(architecture, name))) for name in LAYERS)


def from_digits(text: str) -> Architecture:
    """The inverse of :func:`to_digits`.

    Raises:
        SpaceError: invalid digits.
    """
    if len(text) != len(LAYERS) or any(digit not in "012" for digit in text):
        raise SpaceError("arch", f"{len(LAYERS)} digits from 0 to 2", repr(text))
    answers = zip(LAYERS, text, strict=True)
    return Architecture({name: BLOCKS[int(digit)] for name, digit in answers})


def canonical(architecture: Mapping[str, Answer]) -> str:
    """A string that is the same for architectures with the same graph: 3,969 in the whole space.

    The digits of each stage, without the identities after its first layer: ``01-221-20``.

    Raises:
        SpaceError: a layer is missing or holds no block of the space.
    """
    digits = to_digits(architecture)
    stages = []
    for first, layers in zip(_FIRST, STAGES, strict=True):
        inside = digits[first + 1 : first + layers]
        stages.append(digits[first] + inside.replace("0", ""))
    return "-".join(stages)


def _blocks(inside: int, outside: int, stride: int) -> Mapping[str, Callable[[], nn.Module]]:
    def identity() -> nn.Module:
        if stride == 1 and inside == outside:
            return nn.Identity()
        return nn.Sequential(*_conv(inside, outside, 1, stride))

    return {
        "identity": identity,
        "mb3_k3": partial(InvertedBottleneck, inside, outside, 3, 3, stride),
        "mb6_k5": partial(InvertedBottleneck, inside, outside, 5, 6, stride),
    }


def _conv(
    inside: int, outside: int, kernel: int, stride: int = 1, groups: int = 1
) -> tuple[nn.Module, nn.Module]:
    return (
        nn.Conv2d(inside, outside, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outside),
    )


def _block(architecture: Mapping[str, Answer], name: str) -> str:
    block = architecture.get(name)
    if block not in BLOCKS:
        got = repr(block) if name in architecture else "no answer"
        raise SpaceError(name, f"one of {', '.join(BLOCKS)}", got)
    return str(block)
