"""Scoring a model on a part of the data, and the loss of a task that learns one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .._support.trees import Tree, call, move
from ..data.splits import Batch, Split
from ..task.base import Meter, Task
from ..task.contracts import ExampleMetrics, LearnedLoss


@torch.no_grad()  # not inference mode, under which a model cannot call autograd
def score(
    model: nn.Module,
    task: Task,
    part: Split,
    facts: Mapping[str, Any],
    batch_size: int | None = None,
    device: str = "cpu",
    meter: Meter | None = None,
) -> dict[str, float]:
    """The task's metrics of ``model`` on a part of the data, or the results of another ``meter``;
    the model's mode is restored."""
    mode = model.training
    model.to(device).eval()
    meter = meter or task.meter(facts)
    for inputs, targets in (
        move(batch, device) for batch in part.chunks(batch_size or task.judged_at_once)
    ):
        judge(model, task, facts, meter, inputs, targets)
    model.train(mode)
    return meter.result()


@torch.no_grad()  # as in score
def parts(
    model: nn.Module,
    task: Task,
    part: Split,
    facts: Mapping[str, Any],
    batch_size: int | None = None,
    device: str = "cpu",
) -> dict[str, Tensor]:
    """The value of each example (n,) for the task's metrics, on the CPU, as
    :meth:`~archsmith.task.contracts.ExampleMetrics.parts` returns them; empty for a task without
    such metrics. The model's mode is restored."""
    collected: dict[str, list[Tensor]] = {}
    if not isinstance(task, ExampleMetrics):
        return {}
    mode = model.training
    model.to(device).eval()
    for inputs, targets in (
        move(batch, device) for batch in part.chunks(batch_size or task.judged_at_once)
    ):
        outputs = task.answers(model, task.prepare(inputs, facts), facts)
        for name, values in task.parts(outputs, targets, facts).items():
            collected.setdefault(name, []).append(values.cpu())
        if not collected:
            break
    model.train(mode)
    return {name: torch.cat(values) for name, values in collected.items()}


def judge(
    model: nn.Module,
    task: Task,
    facts: Mapping[str, Any],
    meter: Meter,
    inputs: Tree,
    targets: Tree,
) -> None:
    """Add a raw batch to the meter."""
    meter.see(model, Batch(task.prepare(inputs, facts), targets))


def learned_loss(
    model: nn.Module, task: Task, facts: Mapping[str, Any], device: torch.device
) -> nn.Module | None:
    """The task's loss with parameters of its own, or ``None`` if it has none."""

    def dim() -> int:
        mode = model.training
        with torch.no_grad():
            outputs: Tensor = call(model.eval(), move(task.example(facts, batch=2), device))
        model.train(mode)
        return outputs.shape[-1]

    learned = task.learned_loss(facts, dim) if isinstance(task, LearnedLoss) else None
    return learned.to(device) if learned is not None else None
