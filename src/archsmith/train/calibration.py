"""Probabilities that are as certain as they are right: a temperature for the logits of a trained
model (Guo et al. 2017, arXiv:1706.04599), fitted on examples that it was not trained on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..data.splits import Split
from ..task.base import Meter, Task
from ..task.contracts import Deployment, OutputLoss
from .scoring import score

#: Bounds of a temperature's logarithm: 1/20 to 20.
_MOST = math.log(20)


class _Logits(Meter):
    def __init__(self) -> None:
        self.seen: list[tuple[Tensor, Tensor]] = []

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        self.seen.append((outputs, targets))

    def result(self) -> dict[str, float]:
        return {}


def fitted_temperature(
    model: nn.Module, task: Task, part: Split, facts: Mapping[str, Any], device: str = "cpu"
) -> float:
    """The temperature with the lowest loss on a part of the data; 1 if the task's models have none,
    or if no example is wrong, since then the loss only asks for more certainty."""
    from scipy.optimize import minimize_scalar

    if not isinstance(task, Deployment) or not isinstance(task, OutputLoss) or not task.calibrated:
        return 1.0
    logits = _Logits()
    score(model, task, part, facts, device=device, meter=logits)
    outputs, targets = (torch.cat(column) for column in zip(*logits.seen, strict=True))
    if bool((outputs.argmax(1) == targets).all()):
        return 1.0

    def loss(log: float) -> float:
        return float(task.criterion(outputs / math.exp(log), targets))

    # There is a single minimum: the loss is convex in the inverse of the temperature.
    return math.exp(minimize_scalar(loss, bounds=(-_MOST, _MOST), method="bounded").x)
