"""Values to predict, one or several for each example: metrics and the deployed module."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .base import Meter
from .classify import expect_shape


def spread(targets: Tensor) -> dict[str, Any]:
    """Mean and standard deviation (population) of training targets (n,) or (n, values)."""
    values = targets.double()
    std = values.std(0, correction=0)
    std = torch.where(std > 0, std, torch.ones_like(std))
    return {"target_mean": values.mean(0).tolist(), "target_std": std.tolist()}


def standardised(targets: Tensor, facts: Mapping[str, Any]) -> Tensor:
    """Targets as a model is trained on them."""
    mean, std = facts["target_mean"], facts["target_std"]
    if isinstance(mean, list):
        mean, std = (targets.new_tensor(of) for of in (mean, std))
    out: Tensor = (targets - mean) / std
    return out


def in_units(outputs: Tensor, facts: Mapping[str, Any]) -> Tensor:
    """Outputs (n, values) in the user's units, float64."""
    mean, std = (outputs.new_tensor(facts[n], dtype=torch.float64) for n in _FACTS)
    return outputs.double() * std + mean


_FACTS = ("target_mean", "target_std")


class ValueMeter(Meter):
    """R², RMSE and MAE in the user's units, and the loss in standardised ones; of several targets
    the mean over them, and those of each, with its name behind: ``r2_weight``.

    Args:
        mean, std: of the targets in the training part.
        names: of several targets.
    """

    def __init__(
        self, mean: float | Sequence[float], std: float | Sequence[float], names: Sequence[str] = ()
    ) -> None:
        self.mean, self.std = (torch.tensor(of, dtype=torch.float64).view(-1) for of in (mean, std))
        self.names = [re.sub(r"\W", "_", name) for name in names]
        self.count = 0
        self.sums: Tensor = torch.zeros(4, len(self.mean), dtype=torch.float64)

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        expect_shape(outputs, (len(targets), len(self.mean)))
        mean, std = self.mean.to(outputs.device), self.std.to(outputs.device)
        # Relative to the mean, so that the difference of squares below keeps its precision.
        true = targets.double().view(outputs.shape) - mean
        error = outputs.double() * std - true
        sums = [true.sum(0), true.square().sum(0), error.square().sum(0), error.abs().sum(0)]
        self.sums = self.sums.to(outputs.device) + torch.stack(sums)
        self.count += len(targets)

    def result(self) -> dict[str, float]:
        of_each = [self._of(*sums) for sums in zip(*self.sums.tolist(), self.std.tolist())]
        mean = {name: sum(one[name] for one in of_each) / len(of_each) for name in of_each[0]}
        for name, one in zip(self.names, of_each, strict=False):
            mean |= {f"{metric}_{name}": value for metric, value in one.items()}
        return mean

    def _of(
        self, total: float, squares: float, errors: float, distance: float, std: float
    ) -> dict[str, float]:
        """The metrics of one target, by sums over examples."""
        count = max(1, self.count)
        spread = squares - total**2 / count
        return {
            "r2": 1 - errors / spread if spread > 0 else 0.0,
            "rmse": (errors / count) ** 0.5,
            "mae": distance / count,
            "loss": errors / count / std**2,
        }


class Values(nn.Module):
    """Preparation, model and conversion to the user's units: raw rows in, values (n,) out, or
    (n, values) for several targets."""

    mean: Tensor
    std: Tensor

    def __init__(self, prepare: nn.Module, model: nn.Module, facts: Mapping[str, Any]) -> None:
        super().__init__()
        self.prepare = prepare
        self.model = model
        self.register_buffer("mean", torch.tensor(facts["target_mean"]))
        self.register_buffer("std", torch.tensor(facts["target_std"]))

    def forward(self, inputs: Tensor) -> Tensor:
        values: Tensor = self.model(self.prepare(inputs)).float()
        return (values if self.mean.dim() else values.squeeze(-1)) * self.std + self.mean
