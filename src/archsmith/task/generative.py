"""What the ways of generating images share: the scale of images, noise by position, a meter."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache

import torch
from torch import Tensor, nn

from ..data.splits import Batch
from .base import Meter

#: Distance of two grey levels of images in [-1, 1].
GREY_STEP = 2 / 255
#: Noises for examples of the validation and test parts, which share them in turn.
_NOISES = 512
#: Its multiples are spread evenly over [0, 1), however many they are.
_GOLDEN = (math.sqrt(5) - 1) / 2


def scaled(images: Tensor) -> Tensor:
    """Bytes as floats from -1 (black) to 1 (white)."""
    return images.float() / 127.5 - 1


def shares_of_white(x: Tensor) -> Tensor:
    """Images in [-1, 1], possibly a little beyond, as floats from 0 (black) to 1 (white)."""
    return (x.clamp(-1, 1) + 1) / 2


def as_grey_levels(images: Tensor) -> Tensor:
    """Images from 0 to 1 as bytes."""
    return (images * 255).round().byte()


def noise_at(first: int, count: int, shape: tuple[int, ...]) -> Tensor:
    """Standard normal noise (count, *shape) that depends on the positions of examples alone."""
    return _noises(shape)[(first + torch.arange(count)) % _NOISES]


def spread_at(first: int, count: int) -> Tensor:
    """Numbers (count,) between 0 and 1 that depend on the positions of examples alone; those of
    neighbours, however many, are evenly spread."""
    positions = torch.arange(first + 1, first + count + 1, dtype=torch.float64)
    return (positions * _GOLDEN).frac().float()


class GenerationMeter(Meter):
    """Means over the examples of a part of the data. The noise of each depends on its position
    alone, so that all models are judged on the same.

    Args:
        judged: the value (n,) of each example for each metric, by a model, images in [-1, 1], noise
            of their shape, classes, and the position of the first one.
    """

    def __init__(self, judged: Callable[..., Mapping[str, Tensor]]) -> None:
        self.judged, self.count = judged, 0
        self.sums: dict[str, Tensor] = {}

    def see(self, model: nn.Module, batch: Batch) -> None:
        x = scaled(batch.targets)
        noise = noise_at(self.count, len(x), tuple(x.shape[1:])).to(x.device)
        self.update(self.judged(model, x, noise, batch.inputs[2:], self.count), x)

    def update(self, outputs: Mapping[str, Tensor], targets: Tensor) -> None:
        """Add the values (n,) of examples by metric."""
        for name, values in outputs.items():
            self.sums[name] = self.sums.get(name, 0) + values.double().sum()
        self.count += len(targets)

    def result(self) -> dict[str, float]:
        return {name: float(total) / max(1, self.count) for name, total in self.sums.items()}


@lru_cache(maxsize=2)
def _noises(shape: tuple[int, ...]) -> Tensor:
    return torch.randn(_NOISES, *shape, generator=torch.Generator().manual_seed(0))
