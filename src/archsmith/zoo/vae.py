"""Variational autoencoders of images (Kingma and Welling 2013, arXiv:1312.6114)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from ..space import choose, repeat, scope
from .diffusion import WIDTHS, Residual, conv, nearest, norm

#: Latent variables.
LATENTS = (4, 8, 16, 32, 64)


def vae(
    channels: int,
    classes: int = 0,
    height: int = 28,
    width: int = 28,
    widths: Sequence[int] = WIDTHS,
    depths: Sequence[int] = (0, 1, 2),
) -> nn.Module:
    """Images (n, channels, height, width) in [-1, 1], noise of their shape, and classes (n,) if
    there are any, to ``image``, ``log_scale``, ``mean`` and ``log_variance``, see
    :class:`archsmith.task.variational.Variational`.

    The encoder has stages of a convolution that halves the resolution and residual blocks; the
    decoder mirrors its widths and has depths of its own. Classes shift what the latent variables
    are read from, and what is drawn from them.

    Args:
        channels: of the images.
        classes: number of classes; with 0 the network takes none.
        height, width: of the images, in pixels.
        widths: channels of a stage to choose from, multiples of 8.
        depths: numbers of residual blocks of a stage to choose from.
    """
    counts = list(range(1, max(1, min(4, min(height, width).bit_length() - 2)) + 1))
    stages: int = choose("stages", counts, default=min(2, counts[-1]))
    sizes = [(height, width)]
    encoder, decoder = nn.ModuleList(), nn.ModuleList()
    before = channels
    for number in range(1, stages + 1):
        with scope(f"stage{number}"):
            wide: int = choose("width", widths, default=nearest(widths, 16 * 2**number))

            def block(_: int, wide: int = wide) -> nn.Module:
                return Residual(wide, choose("kernel", [3, 5]))

            with scope("encoder"):
                inside = repeat("depth", depths, block, default=nearest(depths, 1))
            with scope("decoder"):
                outside = repeat("depth", depths, block, default=nearest(depths, 1))
        halved = conv(before, wide, 3, stride=2)
        encoder.append(nn.Sequential(halved, inside, norm(wide), nn.SiLU()))
        last = before if number > 1 else channels + 1  # the last one is the logarithm of the scale
        enlarged = nn.Sequential(nn.Upsample(sizes[-1]), conv(wide, last, 3))
        decoder.append(nn.Sequential(outside, norm(wide), nn.SiLU(), enlarged))
        sizes.append((math.ceil(sizes[-1][0] / 2), math.ceil(sizes[-1][1] / 2)))
        before = wide
    latents = [count for count in LATENTS if count <= channels * height * width]
    latent: int = choose("latent", latents, default=nearest(latents, 32))
    return VariationalAutoencoder(encoder, decoder, Latent(before, latent, sizes[-1], classes))


class VariationalAutoencoder(nn.Module):
    """Encoder and decoder by stage, the finest first, and what is between them."""

    def __init__(self, encoder: nn.ModuleList, decoder: nn.ModuleList, latent: Latent) -> None:
        super().__init__()
        self.encoder, self.decoder, self.latent = encoder, decoder, latent

    def forward(
        self, images: Tensor, noise: Tensor, label: Tensor | None = None
    ) -> dict[str, Tensor]:
        x = images
        for stage in self.encoder:
            x = stage(x)
        mean, log_variance = self.latent.read(x, label)
        drawn = mean + (log_variance / 2).exp() * self.latent.noise(noise)
        image, log_scale = self._drawn(drawn, label)
        return {"image": image, "log_scale": log_scale, "mean": mean, "log_variance": log_variance}

    def decode(self, noise: Tensor, label: Tensor | None = None) -> Tensor:
        """Images for noise of their shape, the first numbers of which are the latent variables."""
        return self._drawn(self.latent.noise(noise), label)[0]

    def _drawn(self, latent: Tensor, label: Tensor | None) -> tuple[Tensor, Tensor]:
        x = self.latent.drawn(latent, label)
        for stage in reversed(self.decoder):
            x = stage(x)
        return x[:, :-1], x[:, -1:].mean((2, 3))


class Latent(nn.Module):
    """Between feature maps of ``size`` and latent variables (n, count).

    As convolutions over whole maps rather than linear layers: with shared weights, the channels of
    a narrower network are the first ones of a wider one.
    """

    def __init__(self, wide: int, count: int, size: tuple[int, int], classes: int) -> None:
        super().__init__()
        self.count = count
        self.mean, self.log_variance = (nn.Conv2d(wide, count, size) for _ in range(2))
        self.draw = nn.ConvTranspose2d(count, wide, size)
        self.seen = nn.Embedding(classes, wide) if classes else None
        self.wanted = nn.Embedding(classes, wide) if classes else None

    def noise(self, noise: Tensor) -> Tensor:
        return noise.flatten(1)[:, : self.count]

    def read(self, x: Tensor, label: Tensor | None) -> tuple[Tensor, Tensor]:
        if self.seen is not None:
            x = x + self.seen(label)[:, :, None, None]
        mean: Tensor = self.mean(x).flatten(1)
        return mean, self.log_variance(x).flatten(1).clamp(-20, 20)  # no exponential overflows

    def drawn(self, latent: Tensor, label: Tensor | None) -> Tensor:
        x: Tensor = self.draw(latent[:, :, None, None])
        return x if self.wanted is None else x + self.wanted(label)[:, :, None, None]
