"""Models that run in any torch loop, each with something that few others have.

Builders by name: those of ``WORKING`` are searched, trained, kept and exported like any other;
those of ``REFUSED`` cannot be, beside the words that say so before the first trial.
"""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

import archsmith as nas

Builder = Callable[[], nn.Module]
CLASSES, PIXELS = 10, 64


class Head(nn.Module):
    """The ordinary part: logits of flat features."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(PIXELS, width), nn.Linear(width, CLASSES)

    def features(self, x: Tensor) -> Tensor:
        return torch.relu(self.first(x.flatten(1)))

    def forward(self, x: Tensor) -> Any:
        return self.last(self.features(x))


class Counts(Head):
    """Extra state that JSON holds."""

    def get_extra_state(self) -> Any:
        return {"version": [1, 2], "name": "counts"}

    def set_extra_state(self, state: Any) -> None:
        assert state == {"version": [1, 2], "name": "counts"}


class Ranges(Head):
    """Extra state that is a tensor and decides what is computed."""

    scale = torch.tensor(2.0)

    def get_extra_state(self) -> Any:
        return self.scale

    def set_extra_state(self, state: Any) -> None:
        self.scale = state

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.features(x * self.scale))


class Spectrum(Head):
    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.filter = nn.Parameter(torch.ones(8, 5, dtype=torch.cfloat))

    def features(self, x: Tensor) -> Tensor:
        return super().features(torch.fft.irfft2(torch.fft.rfft2(x) * self.filter, s=(8, 8)))


class Bag(Head):
    """Sparse gradients."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.table = nn.Embedding(17, width, sparse=True)

    def forward(self, x: Tensor) -> Tensor:
        levels = ((x.flatten(1) + 3) * 2).round().clamp(0, 16).long()
        return self.last(self.table(levels).mean(1) + self.features(x))


class Slope(Head):
    """Calls autograd in its forward pass."""

    guard: Any = torch.enable_grad

    def forward(self, x: Tensor) -> Tensor:
        with self.guard():
            inside = x.flatten(1).detach().requires_grad_()
            energy = nn.functional.softplus(self.first(inside)).sum()
            (slope,) = torch.autograd.grad(energy, inside, create_graph=True)
        return self.last(self.first(slope))


class Masked(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(8, width), nn.Linear(width, CLASSES)
        self.inner = nn.Transformer(width, 2, 1, 1, 16, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        rows = self.first(x[:, 0])
        mask = nn.Transformer.generate_square_subsequent_mask(8, device=x.device)
        return self.last(self.inner(rows, rows, tgt_mask=mask).mean(1))


class Holding(Head):
    """Things that neither copy nor pickle."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.lock, self.file = threading.Lock(), io.TextIOWrapper(io.BytesIO())
        self.act, self.numbers = (lambda x: torch.tanh(x)), (n for n in range(3))
        self.register_forward_hook(lambda module, given, out: out * 2)

    def forward(self, x: Tensor) -> Tensor:
        with self.lock:
            return self.last(self.act(self.features(x)))


class Tied(Head):
    """Weights that are tied after both layers were built; one parameter is in no graph."""

    def __init__(self, width: int) -> None:
        super().__init__(PIXELS)
        self.last.weight = nn.Parameter(torch.randn(CLASSES, PIXELS) / 8)
        self.second = nn.Linear(PIXELS, CLASSES)
        self.second.weight = self.last.weight
        self.unused = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        features = self.features(x)
        return self.last(features) + self.second(features)


class Fixed(Head):
    """A constant that is not kept, indices as a parameter, a frozen layer."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.register_buffer("ramp", torch.linspace(0, 1, PIXELS), persistent=False)
        self.order = nn.Parameter(torch.arange(PIXELS).flip(0), requires_grad=False)
        self.first.bias.requires_grad_(False)

    def features(self, x: Tensor) -> Tensor:
        return super().features(x.flatten(1)[:, self.order] * self.ramp)


class Straight(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.sign()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return gradients[0]


class Binary(Head):
    def features(self, x: Tensor) -> Tensor:
        return Straight.apply(super().features(x) - 0.1)  # type: ignore[no-untyped-call,no-any-return]


class InPlace(Head):
    """Changes what it was given."""

    def forward(self, x: Tensor) -> Tensor:
        x.mul_(0.5).add_(1.0)
        return self.last(self.features(x))


class Switching(Head):
    """Sets itself up where its mode is set."""

    def train(self, mode: bool = True) -> Switching:
        self.scale = 1.0 if mode else 0.5
        return super().train(mode)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.features(x)) * getattr(self, "scale", 1.0)


class Noisy(Head):
    """Random in evaluation too."""

    def features(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(super().features(x), 0.5, training=True)


class Double(Head):
    """Computes in float64 and takes float32."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.double()).float()


def _lazy(width: int) -> nn.Module:
    return nn.Sequential(
        nn.LazyConv2d(width, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(CLASSES)
    )


def _old_norm(width: int) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = Head(width)
        nn.utils.weight_norm(model.first)
        nn.utils.spectral_norm(model.last)
    return model


def _parametrised(width: int) -> nn.Module:
    model = Head(width)
    nn.utils.parametrizations.weight_norm(model.first)
    nn.utils.parametrizations.orthogonal(model.last)
    return nn.Sequential(
        model, nn.utils.parametrizations.spectral_norm(nn.Linear(CLASSES, CLASSES))
    )


def _channels_last(width: int) -> nn.Module:
    layers = nn.Sequential(
        nn.Conv2d(1, width, 3), nn.ReLU(), nn.Flatten(), nn.Linear(36 * width, CLASSES)
    )
    return layers.to(memory_format=torch.channels_last)


class Aux(Head):
    def forward(self, x: Tensor) -> Any:
        features = self.features(x)
        return (self.last(features), features) if self.training else self.last(features)


class Named(Head):
    def forward(self, x: Tensor) -> Any:
        return {"logits": self.last(self.features(x))}


class Pair(Head):
    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        return self.last(self.features(x)) * lengths


class Secret(Head):
    """Extra state that only pickle holds."""

    def get_extra_state(self) -> Any:
        return {1: object()}

    def set_extra_state(self, state: Any) -> None:
        pass


class Slow(Head):
    """A running mean that the state dict does not have."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.mean = torch.zeros(PIXELS)

    def features(self, x: Tensor) -> Tensor:
        if self.training:
            self.mean = 0.5 * self.mean + 0.5 * x.detach().flatten(1).mean(0) + 1.0
        return super().features(x.flatten(1) - self.mean)


class Grows(Head):
    """A buffer that is as long as what was seen."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.register_buffer("seen", torch.zeros(0))

    def features(self, x: Tensor) -> Tensor:
        if self.training:
            self.seen = torch.cat([self.seen, x.new_zeros(1)])
        return super().features(x)


class Remembers(Head):
    """Goes on from what the last step left, graph and all."""

    last_mean: Any = 0.0

    def features(self, x: Tensor) -> Tensor:
        features = super().features(x)
        if self.training and features.requires_grad:
            features = features + self.last_mean
            self.last_mean = features.mean()
        return features


class Unguarded(Slope):
    """The same without asking for gradients, which evaluation does without."""

    guard: Any = nullcontext


class Wide(Head):
    """Float64 throughout, for inputs that are float32."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.double()


def _of(kind: Callable[[int], nn.Module]) -> Builder:
    def odd() -> nn.Module:
        return kind(nas.choose("width", [8, 16]))

    return odd


WORKING: dict[str, Builder] = {
    kind.__name__.strip("_"): _of(kind)
    for kind in (
        Counts,
        Ranges,
        Spectrum,
        Bag,
        Slope,
        Masked,
        Holding,
        Tied,
        Fixed,
        Binary,
        InPlace,
        Switching,
        Noisy,
        Double,
        _lazy,
        _old_norm,
        _parametrised,
        _channels_last,
    )
}

REFUSED: dict[str, tuple[Builder, str]] = {
    "Aux": (_of(Aux), r"one tensor in training mode too.*got a tuple of 2.*only the main output"),
    "Named": (_of(Named), r"gave a dict of 1 \(logits\).*takes one tensor of outputs"),
    "Pair": (_of(Pair), r"takes x, lengths.*one input, float32 of shape \(batch, 1, 8, 8\)"),
    "Secret": (_of(Secret), r"_extra_state: a value of type dict.*get_extra_state"),
    "Slow": (_of(Slow), "outputs that differ by.*register_buffer"),
    "Grows": (_of(Grows), "state dict that loads into a second build.*seen"),
    "Remembers": (_of(Remembers), "a second time"),
    "Unguarded": (_of(Unguarded), "in torch.enable_grad"),
    "Wide": (_of(Wide), "inputs are float32: make the model float32"),
}
