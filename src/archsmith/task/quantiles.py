"""Quantiles of forecasts: their loss, their metrics, and the deployed module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .base import Meter
from .forecast_windows import window_scale

#: The quantiles that are forecast; the first and the last are the ends of the interval of 80 %.
QUANTILES = (0.1, 0.5, 0.9)


def quantiles(outputs: Tensor) -> Tensor:
    """Outputs (n, 3 * steps) as quantiles (n, 3, steps) that do not cross."""
    low, mid, high = _by_quantile(outputs).unbind(1)
    return torch.stack([torch.minimum(low, mid), mid, torch.maximum(high, mid)], dim=1)


def _by_quantile(outputs: Tensor) -> Tensor:
    return outputs.float().reshape(-1, len(QUANTILES), outputs.shape[1] // len(QUANTILES))


def pinball(outputs: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
    """The quantile loss (n,) of outputs, in units of ``scale``."""
    level, spread = (targets[name][:, None, None] for name in ("level", "spread"))
    values = _by_quantile(outputs) * spread + level
    error = (targets["values"][:, None] - values) / targets["scale"][:, None, None]
    share = torch.tensor(QUANTILES, device=outputs.device)[:, None]
    return torch.maximum(share * error, (share - 1) * error).mean((1, 2))


def errors(outputs: Tensor, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What each example (n,) gives to each metric; ``rmse`` as the mean squared error."""
    level, spread = (targets[name].double()[:, None, None] for name in ("level", "spread"))
    low, mid, high = (quantiles(outputs).double() * spread + level).unbind(1)
    true = targets["values"].double()
    distance = (true - mid).abs()
    return {
        "mase": distance.mean(1) / targets["scale"],
        "mae": distance.mean(1),
        "rmse": distance.square().mean(1),
        "coverage": ((true >= low) & (true <= high)).double().mean(1),
        "loss": pinball(outputs, targets).double(),
    }


class ForecastMeter(Meter):
    """``mase``, ``mae`` and ``rmse`` of medians; ``coverage``, the share of true values within the
    interval of 80 %; and ``loss``, the quantile loss relative to the scale of each series."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.count = 0

    def update(self, outputs: Tensor, targets: Any) -> None:
        for name, values in errors(outputs, targets).items():
            self.sums[name] = self.sums.get(name, 0.0) + float(values.sum())
        self.count += len(outputs)

    def result(self) -> dict[str, float]:
        means = {name: total / max(1, self.count) for name, total in self.sums.items()}
        return {name: v**0.5 if name == "rmse" else v for name, v in means.items()}


class Scaled(nn.Module):
    """Contexts with the first channel standardised by itself and the others as ``facts`` say."""

    mean: Tensor
    std: Tensor

    def __init__(self, facts: Mapping[str, Any]) -> None:
        super().__init__()
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(facts[name], dtype=torch.float32)[:, None])

    def forward(self, inputs: Tensor) -> Tensor:
        level, spread = window_scale(inputs)
        own = (inputs[:, :1] - level[:, None, None]) / spread[:, None, None]
        return torch.cat([own, (inputs[:, 1:] - self.mean) / self.std], dim=1)


class Forecast(nn.Module):
    """Raw contexts in, quantiles (n, 3, horizon) in the user's units out."""

    def __init__(self, prepare: nn.Module, model: nn.Module) -> None:
        super().__init__()
        self.prepare, self.model = prepare, model

    def forward(self, contexts: Tensor) -> Tensor:
        level, spread = window_scale(contexts)
        values = quantiles(self.model(self.prepare(contexts)))
        return values * spread[:, None, None] + level[:, None, None]
