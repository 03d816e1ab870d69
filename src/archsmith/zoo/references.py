"""Residual networks that people train by hand on images, to compare a search with: no choices.

All take (n, channels, height, width) and give logits (n, classes). ``scale`` multiplies the width
of every layer but the input and the output, each rounded to a whole number of channels and at least
one; 1.0 is the published network. Images of up to 56 pixels meet the stem that was published for
CIFAR. Larger ones are first reduced to that side or less, as in the networks for ImageNet: one
halving by a stride in the stem, which then has 7x7 kernels if more halvings follow, by 3x3 max
pooling. So 224 pixels become 56.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

_MOST_SIDE = 56  # what ResNets for ImageNet have after their stem


def resnet20(
    channels: int, classes: int, height: int = 32, width: int = 32, *, scale: float = 1.0
) -> nn.Module:
    """ResNet-20 for CIFAR-10 (He et al. 2015, arXiv:1512.03385, section 4.2).

    Three stages of three basic blocks, 16, 32 and 64 wide, with shortcuts that have no parameters
    (option A): 269,722 parameters for 3 channels and 10 classes.
    """
    widths = [widened(base, scale) for base in (16, 32, 64)]
    layers = _stages(widths[0], widths, [3, 3, 3], partial(Basic, free=True))
    return _network(stem(channels, widths[0], max(height, width)), layers, widths[-1], classes)


def resnet18(
    channels: int, classes: int, height: int = 32, width: int = 32, *, scale: float = 1.0
) -> nn.Module:
    """ResNet-18 (He et al. 2015, arXiv:1512.03385, table 1) with the usual stem for CIFAR.

    Four stages of two basic blocks, 64 to 512 wide, with 1x1 convolutions where shapes change:
    11,173,962 parameters for 3 channels and 10 classes.
    """
    widths = [widened(base, scale) for base in (64, 128, 256, 512)]
    layers = _stages(widths[0], widths, [2, 2, 2, 2], Basic)
    return _network(stem(channels, widths[0], max(height, width)), layers, widths[-1], classes)


def wrn16_4(
    channels: int, classes: int, height: int = 32, width: int = 32, *, scale: float = 1.0
) -> nn.Module:
    """WRN-16-4, a wide residual network (Zagoruyko and Komodakis 2016, arXiv:1605.07146).

    Three stages of two pre-activated blocks, 64, 128 and 256 wide, without dropout: 2,748,890
    parameters for 3 channels and 10 classes.
    """
    first, *widths = [widened(base, scale) for base in (16, 64, 128, 256)]
    layers = [*_stages(first, widths, [2, 2, 2], PreActivated), nn.BatchNorm2d(widths[-1])]
    # The blocks begin with a norm and an activation; so the stem ends with its convolution.
    start = stem(channels, first, max(height, width), bare=True)
    return _network(start, [*layers, nn.ReLU(inplace=True)], widths[-1], classes)


class Residual(nn.Module):
    """``relu(body(x) + shortcut(x))``."""

    def __init__(self, body: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.shortcut(x))


class Basic(Residual):
    """Two 3x3 convolutions with batch norm and a shortcut around both.

    Args:
        free: where shapes change, the shortcut skips pixels and pads channels with zeros, without
            parameters; otherwise it is a 1x1 convolution with batch norm.
    """

    def __init__(self, inside: int, outside: int, stride: int, free: bool = False) -> None:
        shortcut = Padded if free else projection
        super().__init__(basic(inside, outside, stride), shortcut(inside, outside, stride))


def basic(inside: int, outside: int, stride: int) -> nn.Module:
    """Two 3x3 convolutions with batch norm, an activation between them."""
    return nn.Sequential(
        conv(inside, outside, 3, stride),
        nn.BatchNorm2d(outside),
        nn.ReLU(inplace=True),
        conv(outside, outside, 3),
        nn.BatchNorm2d(outside),
    )


def projection(inside: int, outside: int, stride: int) -> nn.Module:
    """The shortcut that is a 1x1 convolution with batch norm where shapes change."""
    if (inside, stride) == (outside, 1):
        return nn.Identity()
    return nn.Sequential(conv(inside, outside, 1, stride), nn.BatchNorm2d(outside))


class Padded(nn.Module):
    """A shortcut without parameters: every ``stride``-th pixel, channels padded with zeros."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.stride, self.extra = stride, outside - inside

    def forward(self, x: Tensor) -> Tensor:
        if self.stride > 1:
            x = x[:, :, :: self.stride, :: self.stride]
        before = self.extra // 2
        return F.pad(x, (0, 0, 0, 0, before, self.extra - before)) if self.extra else x


class PreActivated(nn.Module):
    """Norm and activation before each of two 3x3 convolutions; a 1x1 convolution of the activated
    input is the shortcut where shapes change."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.activated = nn.Sequential(nn.BatchNorm2d(inside), nn.ReLU(inplace=True))
        self.body = nn.Sequential(
            conv(inside, outside, 3, stride),
            nn.BatchNorm2d(outside),
            nn.ReLU(inplace=True),
            conv(outside, outside, 3),
        )
        changes = stride > 1 or inside != outside
        self.shortcut = conv(inside, outside, 1, stride) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        # The activation works in place on the norm's output, so x itself stays.
        ready = self.activated(x)
        out: Tensor = self.body(ready) + (x if self.shortcut is None else self.shortcut(ready))
        return out


def widened(base: int, scale: float) -> int:
    """A width times ``scale``: a whole number, at least one."""
    return max(1, round(base * scale))


def conv(inside: int, outside: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """A convolution without bias that keeps the size of its input, up to the stride."""
    return nn.Conv2d(
        inside, outside, kernel, stride, padding=kernel // 2, groups=groups, bias=False
    )


def stem(channels: int, wide: int, side: int, bare: bool = False, deep: bool = False) -> nn.Module:
    """The first layers for images of this side; what they give is at most 56 pixels wide.

    Args:
        bare: without the norm and the activation after the last convolution.
        deep: three 3x3 convolutions, the first two half as wide, in place of one.
    """
    halvings = stem_halvings(side)
    kernel, stride = (7 if halvings > 1 else 3), (2 if halvings else 1)
    layers: list[nn.Module] = []
    if deep:
        half, kernel = wide // 2, 3
        layers += [conv(channels, half, 3, stride), nn.BatchNorm2d(half), nn.ReLU(inplace=True)]
        layers += [conv(half, half, 3), nn.BatchNorm2d(half), nn.ReLU(inplace=True)]
        channels, stride = half, 1
    layers.append(conv(channels, wide, kernel, stride))
    if not bare:
        layers += [nn.BatchNorm2d(wide), nn.ReLU(inplace=True)]
    layers += [nn.MaxPool2d(3, stride=2, padding=1) for _ in range(halvings - 1)]
    return nn.Sequential(*layers)


def stem_halvings(side: int) -> int:
    """How often the stem halves images of this side."""
    halvings = 0
    while side > _MOST_SIDE:
        side, halvings = (side + 1) // 2, halvings + 1
    return halvings


def started(model: nn.Module) -> nn.Module:
    """The model with convolutions initialised for ReLU (He et al. 2015, arXiv:1502.01852)."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            if not module.weight.is_meta:  # there is nothing to draw, and it takes a millisecond
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return model


def _stages(
    inside: int,
    widths: Sequence[int],
    depths: Sequence[int],
    block: Callable[[int, int, int], nn.Module],
) -> list[nn.Module]:
    """Blocks in stages; each stage but the first begins with a stride of 2."""
    blocks = []
    for stage, (wide, depth) in enumerate(zip(widths, depths, strict=True)):
        for number in range(depth):
            blocks.append(block(inside, wide, 2 if stage and not number else 1))
            inside = wide
    return blocks


def _network(start: nn.Module, layers: Sequence[nn.Module], wide: int, classes: int) -> nn.Module:
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(wide, classes)]
    return started(nn.Sequential(start, *layers, *head))
