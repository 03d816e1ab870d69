"""The ResNet space of Channel-Bench-Macro, published with GENIUS (Zheng et al. 2023,
arXiv:2304.10970), and its notation.

One network of five residual blocks with seven widths, each chosen among four: 4^7 = 16,384
architectures.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from .._support.errors import SpaceError
from ..space import choose
from ..space.architecture import Answer, Architecture

#: Decisions, in the order of the published digits: the widths of the two stages and, of each
#: block, the width between its convolutions. The second stage begins after block 3.
WIDTHS = ("stage1", "block1", "block2", "block3", "stage2", "block4", "block5")
#: The step of each width, relative to ``width``; the published digit is the number of steps.
_STEPS = (1, 1, 1, 2, 2, 2, 2)
_DIGITS = (1, 2, 3, 4)


def channel_bench(channels: int, classes: int, width: int = 64) -> nn.Module:
    """The ResNet of Channel-Bench-Macro: images (n, channels, h, w) to logits (n, classes).

    A 3x3 convolution of stride 2, two residual blocks, one that halves the height and width, two
    residual blocks more, global pooling and a linear layer. The stride and the batch norm of the
    first convolution are missing in the published listing, and are inferred from the recorded
    parameters and multiplications.

    Args:
        channels: of the images.
        classes: outputs.
        width: step of the widths of the first stage, half that of the second; 64 in the benchmark.
    """
    wide: dict[str, int] = {
        name: choose(name, [digit * step * width for digit in _DIGITS])
        for name, step in zip(WIDTHS, _STEPS, strict=True)
    }
    one, two = wide["stage1"], wide["stage2"]
    return nn.Sequential(
        nn.Conv2d(channels, one, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(one),
        nn.ReLU(),
        Block(one, wide["block1"], one),
        Block(one, wide["block2"], one),
        Block(one, wide["block3"], two, stride=2),
        Block(two, wide["block4"], two),
        Block(two, wide["block5"], two),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(two, classes),
    )


class Block(nn.Module):
    """Two 3x3 convolutions: (n, inside, h, w) to (n, outside, h/stride, w/stride).

    It adds its input if the stride is 1.
    """

    def __init__(self, inside: int, between: int, outside: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inside, between, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(between),
            nn.ReLU(),
            nn.Conv2d(between, outside, 3, padding=1, bias=False),
            nn.BatchNorm2d(outside),
        )
        self.activation = nn.ReLU()
        self.residual = stride == 1

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x)
        if self.residual:
            out = out + x
        activated: Tensor = self.activation(out)
        return activated


def to_digits(architecture: Mapping[str, Answer], width: int = 64) -> str:
    """The architecture in the benchmark's notation: seven digits from 1 to 4.

    Args:
        width: that of the builder.

    Raises:
        SpaceError: a width is missing or not one of the space.
    """
    digits = []
    for name, step in zip(WIDTHS, _STEPS, strict=True):
        options = [digit * step * width for digit in _DIGITS]
        if architecture.get(name) not in options:
            got = repr(architecture[name]) if name in architecture else "no answer"
            raise SpaceError(name, f"one of {', '.join(map(str, options))}", got)
        digits.append(str(options.index(architecture[name]) + 1))  # type: ignore[arg-type]
    return "".join(digits)


def from_digits(text: str, width: int = 64) -> Architecture:
    """The inverse of :func:`to_digits`.

    Raises:
        SpaceError: invalid digits.
    """
    if len(text) != len(WIDTHS) or any(digit not in "1234" for digit in text):
        raise SpaceError("arch", f"{len(WIDTHS)} digits from 1 to 4", repr(text))
    places = zip(WIDTHS, _STEPS, text, strict=True)
    return Architecture({name: int(digit) * step * width for name, step, digit in places})
