"""Trainings that begin on smaller images, where a step takes a fraction of the time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from .._support.trees import call, move
from ..task.base import Data, Task
from ..task.contracts import Resolution

#: The side of the smaller images, and the part of the time that a training spends on them; see
#: ``docs/benchmarks.md``.
SIDE, SHARE = 5 / 8, 0.5


@dataclass(frozen=True)
class Early:
    """The first part of a training.

    Progressive resizing (Tan and Le 2021, arXiv:2104.00298): most of what a network learns first
    can be seen in smaller images, and a step costs as much as their number of pixels.

    Attributes:
        data: the same examples in the same order, smaller.
        share: of the time until the end, or of the epochs if no moment is given.
    """

    data: Data
    share: float


def shrunk(task: Task, data: Data, factor: float) -> Data | None:
    """The data with images of a fraction of the side; ``None`` if the task has no images, or they
    would be too small."""
    return task.shrunk(data, factor) if isinstance(task, Resolution) else None


def early(task: Task, data: Data, model: nn.Module) -> Early | None:
    """The first part of a training of the model, if it can begin on smaller images."""
    smaller = shrunk(task, data, SIDE)
    return Early(smaller, SHARE) if smaller and runs(model, task, smaller) else None


def runs(model: nn.Module, task: Task, data: Data) -> bool:
    """Whether a model, on any device, runs on the data; one that expects another size does not."""
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    batch = task.prepare_batch(data.train.head(2), data.facts)
    mode = model.training
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            call(model.eval(), move(batch.inputs, device))
    except Exception:
        return False  # the builder is the user's code and may raise anything
    finally:
        model.train(mode)
    return True
