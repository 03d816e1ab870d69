"""Images by a variational autoencoder (Kingma and Welling 2013, arXiv:1312.6114)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .._support.errors import InputError
from ..history.objective import Metric
from .classify import expect_shape
from .generative import GREY_STEP, shares_of_white

#: Beyond these values the grey levels black and white begin.
_ENDS = 1 - GREY_STEP / 2
_FAR = 1e4
#: The smallest scale of the likelihood, as a logarithm: a seventh of a grey step.
_LEAST_SCALE = -7.0


@dataclass(frozen=True)
class Variational:
    """Loss, metrics and sampler of a model that takes (images, noise of their shape) and the
    classes (n,), if it has any, and returns a mapping of

    - ``image``: the centre of each value's distribution, of the images' shape;
    - ``log_scale`` (n, 1): the logarithm of its scale;
    - ``mean`` and ``log_variance`` (n, d): of the latent variables.

    Its method ``decode(noise, label)`` returns the centres for latent variables that are taken from
    standard normal noise, of the images' shape.

    ``elbo`` is the bound of the log-likelihood of an image in nats, with one sample of the latent
    variables; ``reconstruction`` and ``divergence`` are its parts, and ``loss`` is it for each
    value, all to be made small. The likelihood is a logistic distribution over grey levels
    (Salimans et al. 2017, arXiv:1701.05517).

    Args:
        shape: of an image.
    """

    shape: tuple[int, ...]

    space: ClassVar[str] = "vae"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("elbo", "nats", "maximize"),
        Metric("reconstruction", "nats", "minimize"),
        Metric("divergence", "nats", "minimize"),
        Metric("loss", "", "minimize"),
    )

    def start(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Grey images, since there are none when samples are drawn."""
        return torch.zeros_like(noise), noise

    def training(
        self, x: Tensor, labels: tuple[Tensor, ...], generator: torch.Generator
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        noise = torch.randn(x.shape, generator=generator, device=x.device)
        return (x, noise, *labels), x

    @staticmethod
    def criterion(outputs: Mapping[str, Tensor], targets: Tensor) -> Tensor:
        return torch.stack([*_parts(outputs, targets)]).sum(0).mean() / targets[0].numel()

    def expect(self, outputs: Any) -> None:
        names = ("image", "log_scale", "mean", "log_variance")
        if not isinstance(outputs, Mapping) or set(names) - set(outputs):
            raise ValueError(f"the model gave no mapping of {', '.join(names)}")
        count, latent = outputs["mean"].shape
        expect_shape(outputs["image"], (count, *self.shape))
        expect_shape(outputs["log_scale"], (count, 1))
        expect_shape(outputs["log_variance"], (count, latent))

    def judged(
        self, model: nn.Module, x: Tensor, noise: Tensor, labels: tuple[Tensor, ...], first: int
    ) -> dict[str, Tensor]:
        outputs = model(x, noise, *labels)
        self.expect(outputs)
        reconstruction, divergence = _parts(outputs, x)
        nats = reconstruction + divergence
        return {
            "elbo": -nats,
            "reconstruction": reconstruction,
            "divergence": divergence,
            "loss": nats / x[0].numel(),
        }

    def deployable(self, model: nn.Module) -> nn.Module:
        return Decoder(model)


class Decoder(nn.Module):
    """Noise (n, channels, height, width) and classes (n,), if the model has any, to images of this
    shape, from 0 to 1.

    Raises:
        InputError: the model has no ``decode``.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        if not callable(getattr(model, "decode", None)):
            expected = "a method decode(noise, label) that returns images in [-1, 1]"
            raise InputError(type(model).__name__, expected, "none", "see the space 'vae'")
        self.model: Any = model

    def forward(self, noise: Tensor, label: Tensor | None = None) -> Tensor:
        return shares_of_white(self.model.decode(noise, label).float())


def log_likelihood(x: Tensor, image: Tensor, log_scale: Tensor) -> Tensor:
    """The logarithm of the probability of each grey level, of the shape of ``x``.

    Args:
        x: grey levels in [-1, 1].
        image: centres of logistic distributions, of the same shape.
        log_scale: logarithms of their scales, of a shape that fits.
    """
    inverse = torch.exp(-log_scale.clamp(min=_LEAST_SCALE))
    upper = (x + GREY_STEP / 2 - image) * inverse
    lower = (x - GREY_STEP / 2 - image) * inverse
    # Black and white take all that is beyond them.
    upper = torch.where(x > _ENDS, _FAR, upper)
    lower = torch.where(x < -_ENDS, -_FAR, lower)
    # log(sigmoid(upper) - sigmoid(lower)) without cancellation.
    both = F.softplus(-upper) + F.softplus(lower)
    return torch.log(-torch.expm1(lower - upper)) - both


def divergence_of(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Kullback-Leibler divergence (n,) of normal distributions (n, d) from the standard one."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)


def _parts(outputs: Mapping[str, Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """Nats (n,) for images given their latent variables, and for these."""
    log_scale = outputs["log_scale"].float().view(-1, *[1] * (x.dim() - 1))
    told = -log_likelihood(x, outputs["image"].float(), log_scale).flatten(1).sum(1)
    return told, divergence_of(outputs["mean"].float(), outputs["log_variance"].float())
