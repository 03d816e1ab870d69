"""Object detectors without anchors, at a single stride."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from ..space import choose, one_of, repeat, scope

#: Initial logit of a centre: most cells are not centres (Zhou et al. 2019, arXiv:1904.07850).
_PRIOR = -2.19


def detector(channels: int, classes: int) -> nn.Module:
    """Images (n, channels, height, width) to a mapping of two maps, an eighth as high and wide.

    ``heat`` (n, classes, h, w) are logits of being the centre of an object, ``sides`` (n, 4, h, w)
    the log distances, in cells, to the left, upper, right and lower side of its box.

    A stem and three stages, each of which halves height and width; the features of the last stage
    are upsampled and added to those of the one before (Lin et al. 2017, arXiv:1612.03144), followed
    by the convolutions of the head. Widths, depths, kernels and kinds of convolution are choices.

    Args:
        channels: of the images.
        classes: of the objects.
    """
    activation: type[nn.Module] = choose("activation", {"relu": nn.ReLU, "silu": nn.SiLU})
    with scope("stem"):
        wide: int = choose("width", [8, 16, 24], default=16)
    stem = nn.Sequential(*_conv(channels, wide, 3, 2), activation())
    stages: list[nn.Module] = []
    widths: list[int] = []
    for number, usual in enumerate((24, 48, 64), start=1):
        with scope(f"stage{number}"):
            stage, wide = _stage(wide, usual, activation)
        stages.append(stage)
        widths.append(wide)
    with scope("head"):
        wide = choose("width", [32, 48, 64], default=48)
        tower = repeat("depth", [1, 2, 3], lambda _: _block(wide, wide, 3, activation), default=2)
    return Detector(stem, stages, widths, tower, wide, classes)


class Detector(nn.Module):
    """A backbone of three stages, a pyramid of the last two, and a head."""

    def __init__(
        self,
        stem: nn.Module,
        stages: list[nn.Module],
        widths: list[int],
        tower: nn.Module,
        wide: int,
        classes: int,
    ) -> None:
        super().__init__()
        self.stem, self.tower = stem, tower
        self.stage1, self.stage2, self.stage3 = stages
        self.fine = nn.Sequential(*_conv(widths[1], wide, 1))
        self.coarse = nn.Sequential(*_conv(widths[2], wide, 1))
        self.heat = nn.Conv2d(wide, classes, 1)
        self.sides = nn.Conv2d(wide, 4, 1)
        assert self.heat.bias is not None
        nn.init.constant_(self.heat.bias, _PRIOR)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        near = self.stage2(self.stage1(self.stem(images)))
        fine = self.fine(near)
        coarse = F.interpolate(self.coarse(self.stage3(near)), size=fine.shape[2:])
        features = self.tower(fine + coarse)
        return {"heat": self.heat(features), "sides": self.sides(features)}


class Residual(nn.Module):
    """``body(x) + x``."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x)
        return out + x


def _stage(inside: int, usual: int, activation: type[nn.Module]) -> tuple[nn.Module, int]:
    """A block that halves height and width, then further blocks."""
    width: int = choose("width", [16, 24, 32, 48, 64, 96], default=usual)
    kernel: int = choose("kernel", [3, 5])
    first = nn.Sequential(*_conv(inside, width, kernel, 2), activation())
    further = repeat(
        "further", [0, 1, 2], lambda _: _block(width, width, kernel, activation), default=1
    )
    return nn.Sequential(first, further), width


def _block(inside: int, outside: int, kernel: int, activation: type[nn.Module]) -> nn.Module:
    def conv() -> nn.Module:
        return nn.Sequential(*_conv(inside, outside, kernel), activation())

    def separable() -> nn.Module:
        return nn.Sequential(
            *_conv(inside, inside, kernel, groups=inside),
            activation(),
            *_conv(inside, outside, 1),
            activation(),
        )

    ops: dict[str, Callable[[], nn.Module]] = {"conv": conv, "separable": separable}
    return Residual(one_of("op", ops))


def _conv(
    inside: int, outside: int, kernel: int, stride: int = 1, groups: int = 1
) -> tuple[nn.Module, nn.Module]:
    padding = kernel // 2
    return (
        nn.Conv2d(inside, outside, kernel, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(outside),
    )
