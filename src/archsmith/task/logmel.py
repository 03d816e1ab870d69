"""Log-mel features of sounds as a module of plain tensor operations, so that it can be exported."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: Power below which everything is silent: -70 dB of the loudest sine.
_SILENCE = 1e-7


class LogMel(nn.Module):
    """Samples int16 (n, samples) to standardised log-mel pictures (n, 1, mels, frames).

    The power spectrum of overlapping Hann windows, as a convolution with the rows of the discrete
    Fourier transform, in triangular bands whose centres are equally far apart on the mel scale,
    ``2595 * log10(1 + f / 700)``; each band less its mean, by its spread over the training part.

    Args:
        facts: ``rate`` in Hz, ``window`` and ``hop`` in samples, and ``mean`` and ``std`` of each
            band.
        picture: whether there is a dimension of one channel.
    """

    waves: Tensor
    bands: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, facts: Mapping[str, Any], picture: bool = True) -> None:
        super().__init__()
        window, self.hop, self.picture = facts["window"], facts["hop"], picture
        waves, bands = filters(facts["rate"], window, len(facts["mean"]))
        self.register_buffer("waves", waves)
        self.register_buffer("bands", bands)
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(facts[name], dtype=torch.float32)[:, None])

    def forward(self, clips: Tensor) -> Tensor:
        samples = clips.float()[:, None] / 32768
        real, imaginary = F.conv1d(samples, self.waves, stride=self.hop).chunk(2, dim=1)
        power = self.bands @ (real.square() + imaginary.square())
        picture = ((power + _SILENCE).log() - self.mean) / self.std
        return picture[:, None] if self.picture else picture


def filters(rate: int, window: int, mels: int) -> tuple[Tensor, Tensor]:
    """Windowed sines and cosines (2 * bins, 1, window), and bands (mels, bins)."""
    bins = window // 2 + 1
    angle = 2 * math.pi * torch.outer(torch.arange(bins), torch.arange(window)).double() / window
    hann = torch.hann_window(window, dtype=torch.float64)
    hann = 2 * hann / hann.sum()  # a sine of full range has a power of about 1
    waves = torch.cat([angle.cos(), angle.sin()]) * hann
    top = 2595 * math.log10(1 + rate / 2 / 700)
    edges = 700 * (10 ** (torch.linspace(0, top, mels + 2, dtype=torch.float64) / 2595) - 1)
    hertz = torch.arange(bins).double() * rate / window
    rise = (hertz - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - hertz) / (edges[2:] - edges[1:-1])[:, None]
    bands = torch.minimum(rise, fall).clamp(min=0)
    return waves[:, None].float(), bands.float()


def masked(inputs: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures (..., mels, frames) shifted in time by up to a tenth, and with a random band and a
    random time of up to an eighth of them set to the mean (Park et al. 2019, arXiv:1904.08779)."""
    count, device = len(inputs), inputs.device
    mels, frames = inputs.shape[-2:]
    shape = (count, *[1] * (inputs.dim() - 1))

    def drawn(most: int, least: int = 0) -> Tensor:
        return torch.randint(least, most + 1, (count,), generator=generator, device=device)

    steps = torch.arange(frames, device=device) + drawn(frames // 10, -(frames // 10))[:, None]
    steps = steps.clamp(0, frames - 1).view(count, *[1] * (inputs.dim() - 2), frames)
    moved = inputs.gather(-1, steps.expand(inputs.shape))
    for dim, size in ((-2, mels), (-1, frames)):
        start, width = drawn(size - 1).view(shape), drawn(size // 8).view(shape)
        place = torch.arange(size, device=device)
        place = place[:, None] if dim == -2 else place
        moved = moved.masked_fill((place >= start) & (place < start + width), 0.0)
    return moved
