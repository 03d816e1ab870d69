"""Images by denoising diffusion: noise is taken away in many small steps.

Images x in [-1, 1] and noise e are mixed to ``z = alpha x + sigma e`` by a level from 0 (image) to
1 (noise): alpha is the cosine and sigma the sine of ``level * pi / 2`` (Nichol and Dhariwal 2021,
arXiv:2102.09672). A model predicts ``v = alpha e - sigma x`` (Salimans and Ho 2022,
arXiv:2202.00512), whose squared error is that of the image weighted by 1 / sigma^2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch._higher_order_ops.while_loop import while_loop
from torch.nn import functional as F

from ..history.objective import Metric
from .classify import expect_shape
from .generative import GREY_STEP, shares_of_white, spread_at

#: Share of the classes that are left out in training, for guidance.
_LEFT_OUT = 0.1
#: The least level of the bound: with as much noise as half a grey step the bound is tight.
_LEAST_NOISE = GREY_STEP / 2
_LEAST = math.atan(_LEAST_NOISE) * 2 / math.pi


@dataclass(frozen=True)
class Diffusion:
    """Loss, metrics and sampler of a model that takes (noised images, levels (n,)) and the classes
    (n,), if it has any, and returns v, of the images' shape.

    ``loss`` is the squared error of v for each value, at evenly spread levels. ``elbo`` is the
    bound of the log-likelihood of an image in nats (Kingma et al. 2021, arXiv:2107.00630).

    Args:
        steps: of the sampler.
        guidance: how far samples are driven towards their class; 1 is not at all.
        shape: of an image.
        classes: number of classes; this number itself stands for an unknown class.
    """

    steps: int
    guidance: float
    shape: tuple[int, ...]
    classes: int

    space: ClassVar[str] = "diffusion"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("loss", "", "minimize"),
        Metric("elbo", "nats", "maximize"),
    )

    def start(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Where sampling begins."""
        return noise, noise.new_ones(len(noise))

    def training(
        self, x: Tensor, labels: tuple[Tensor, ...], generator: torch.Generator
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """Inputs and targets: random noise at levels that are spread evenly over the batch."""
        count, device = len(x), x.device
        noise = torch.randn(x.shape, generator=generator, device=device)
        shift = torch.rand(1, generator=generator, device=device)
        level = (torch.arange(count, device=device) / count + shift) % 1
        left_out = torch.rand(count, generator=generator, device=device) < _LEFT_OUT
        if self.guidance != 1:
            labels = tuple(label.masked_fill(left_out, self.classes) for label in labels)
        return (mixed(x, noise, level), level, *labels), velocity(x, noise, level)

    @staticmethod
    def criterion(outputs: Tensor, targets: Tensor) -> Tensor:
        return F.mse_loss(outputs.float(), targets)

    def expect(self, outputs: Any) -> None:
        expect_shape(outputs, (len(outputs), *self.shape))

    def judged(
        self, model: nn.Module, x: Tensor, noise: Tensor, labels: tuple[Tensor, ...], first: int
    ) -> dict[str, Tensor]:
        spread = spread_at(first, len(x)).to(x.device)

        def errors(level: Tensor) -> Tensor:
            outputs = model(mixed(x, noise, level), level, *labels)
            self.expect(outputs)
            squares: Tensor = (outputs.float() - velocity(x, noise, level)).square().flatten(1)
            return squares

        # The bound is the integral of pi/2 cot(pi/2 level) errors over the levels; they are drawn
        # with a density of 1/level, so that no level weighs much more than others.
        low = _LEAST ** (1 - spread)
        weight = -math.log(_LEAST) * low * (math.pi / 2) / torch.tan(low * (math.pi / 2))
        nats = weight * errors(low).sum(1) + nats_of_levels(x, noise)
        return {"loss": errors(spread).mean(1), "elbo": -nats}

    def deployable(self, model: nn.Module) -> nn.Module:
        return Sampler(model, self.steps, self.guidance, self.classes)


class Sampler(nn.Module):
    """Noise (n, channels, height, width) and classes (n,), if the model has any, to images of this
    shape, from 0 to 1, without more randomness (DDIM, Song et al. 2020, arXiv:2010.02502).

    Guidance goes from the prediction for an unknown class further than to that for the class (Ho
    and Salimans 2022, arXiv:2207.12598).
    """

    def __init__(self, model: nn.Module, steps: int, guidance: float, classes: int) -> None:
        super().__init__()
        self.model, self.steps, self.guidance, self.classes = model, steps, guidance, classes

    def forward(self, noise: Tensor, label: Tensor | None = None) -> Tensor:
        def advance(step: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
            return step + 1, self._less_noise(x, step, label)

        step, x = torch.zeros((), dtype=torch.int64, device=noise.device), noise
        if torch.compiler.is_exporting():
            # One loop body for any number of steps: unrolled, an export takes minutes.
            _, x = while_loop(lambda step, _: step < self.steps, advance, (step, x))  # type: ignore[no-untyped-call]
        else:
            for _ in range(self.steps):
                step, x = advance(step, x)
        return shares_of_white(x)

    def _less_noise(self, x: Tensor, step: Tensor, label: Tensor | None) -> Tensor:
        now, after = 1 - step / self.steps, 1 - (step + 1) / self.steps
        alpha, sigma = _shares(now)
        clean = (alpha * x - sigma * self._velocity(x, now, label)).clamp(-1, 1)
        rest = (x - alpha * clean) / sigma
        alpha, sigma = _shares(after)
        return alpha * clean + sigma * rest

    def _velocity(self, x: Tensor, level: Tensor, label: Tensor | None) -> Tensor:
        levels = level.expand(x.shape[0])
        if label is None or self.guidance == 1:
            plain: Tensor = self.model(x, levels, *(() if label is None else (label,)))
            return plain.float()
        count, unknown = x.shape[0], torch.full_like(label, self.classes)
        twice: Tensor = self.model(
            torch.cat([x, x]), torch.cat([levels, levels]), torch.cat([label, unknown])
        )
        known, general = twice[:count].float(), twice[count:].float()
        return general + self.guidance * (known - general)


def _shares(level: Tensor) -> tuple[Tensor, Tensor]:
    """Those of the image and of the noise in what is mixed."""
    angle = level * (math.pi / 2)
    return angle.cos(), angle.sin()


def mixed(x: Tensor, noise: Tensor, level: Tensor) -> Tensor:
    """Images with noise, by levels (n,)."""
    alpha, sigma = _shares(level.view(-1, *[1] * (x.dim() - 1)))
    return alpha * x + sigma * noise


def velocity(x: Tensor, noise: Tensor, level: Tensor) -> Tensor:
    """What a model predicts of these images, noises and levels (n,)."""
    alpha, sigma = _shares(level.view(-1, *[1] * (x.dim() - 1)))
    return alpha * noise - sigma * x


def nats_of_levels(x: Tensor, noise: Tensor) -> Tensor:
    """What it takes in nats (n,) to tell the grey levels of images at the least noise."""
    steps = GREY_STEP * torch.arange(-4, 5, device=x.device)
    others = (x[..., None] + steps).abs() <= 1 + GREY_STEP / 2
    scores = -0.5 * (steps / _LEAST_NOISE - noise[..., None]).square()
    whole = scores.masked_fill(~others, -math.inf).logsumexp(-1)
    return (whole + 0.5 * noise.square()).flatten(1).sum(1)
