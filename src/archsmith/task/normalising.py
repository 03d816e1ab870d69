"""How raw images become what models take: floats of zero mean and unit variance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


class Normalise(nn.Module):
    """Raw images to normalised float32, of the same shape, with the statistics as buffers."""

    shift: Tensor
    scale: Tensor

    def __init__(self, facts: Mapping[str, Any]) -> None:
        super().__init__()
        shift, scale = normalisation(facts)
        self.bounds = bounds_of(facts)
        self.register_buffer("shift", shift)
        self.register_buffer("scale", scale)

    def forward(self, images: Tensor) -> Tensor:
        return normal(images, self.shift, self.scale, self.bounds)


def normal(
    images: Tensor, shift: Tensor, scale: Tensor, bounds: tuple[float, float] | None
) -> Tensor:
    values = images.to(shift.dtype)
    if bounds is not None:
        values = values.clamp(*bounds)
    return ((values - shift) * scale).float()


def is_raw(facts: Mapping[str, Any]) -> bool:
    """Whether raw inputs are floats with the values of the source instead of bytes."""
    return bool(facts.get("dtype", "uint8") != "uint8")


def bounds_of(facts: Mapping[str, Any]) -> tuple[float, float] | None:
    return (facts["low"], facts["high"]) if facts.get("clipped") else None


def black_and_span(facts: Mapping[str, Any]) -> tuple[float, float]:
    """The value of black and its distance to white, in values of raw inputs."""
    low, high = (facts["low"], facts["high"]) if is_raw(facts) else (0.0, 255.0)
    return low, (high - low) or 1.0


def normalisation(facts: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """What to subtract from raw inputs and then to multiply by, each (channels, 1, 1)."""
    dtype = torch.float64 if facts.get("dtype") == "float64" else torch.float32
    low, span = black_and_span(facts)
    mean, std = (torch.tensor(facts[name], dtype=torch.float64) for name in ("mean", "std"))
    if {mean.shape, std.shape} != {(facts["channels"],)}:
        # Statistics of another length could be broadcast without an error.
        raise ValueError(f"{len(mean)} means and {len(std)} deviations")
    shift, scale = mean * span + low, 1 / (std * span)
    return shift.to(dtype)[:, None, None], scale.to(dtype)[:, None, None]


def as_bytes(inputs: Tensor, facts: Mapping[str, Any]) -> Tensor:
    """Raw inputs as images, uint8, for pictures."""
    if not is_raw(facts):
        return inputs
    low, span = black_and_span(facts)
    return ((inputs.double() - low) * (255 / span)).round().clamp(0, 255).byte()
