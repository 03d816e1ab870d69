"""Which examples are learned from and judged by: the task's own way, or the usual one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from ..data.batches import shuffled
from ..data.partition import holdout, subset
from .contracts import BatchSampling

if TYPE_CHECKING:
    from torch import Tensor

    from ..data.splits import Split
    from .base import Task


def draw(
    task: Task,
    index: Tensor,
    train: Split,
    size: int,
    generator: torch.Generator,
    facts: Mapping[str, Any],
) -> Sequence[Tensor]:
    """The examples of each step of an epoch: every one once, in random order, or as
    :meth:`~archsmith.task.contracts.BatchSampling.draw` has them."""
    if isinstance(task, BatchSampling):
        return task.draw(index, train, size, generator, facts)
    return shuffled(index, size, generator)


def draw_one(task: Task, train: Split, size: int, seed: int) -> Tensor:
    """Indices of one batch that stands for all: in proportion of the classes, or the first of
    the task's own."""
    generator = torch.Generator().manual_seed(seed)
    if isinstance(task, BatchSampling):
        return task.draw(torch.arange(len(train)), train, size, generator)[0]
    kept = torch.from_numpy(subset(train.strata(), min(1.0, size / len(train)), seed))
    return kept[torch.randperm(len(kept), generator=generator)[:size]]


def holdout_indices(task: Task, train: Split, share: float, seed: int) -> Tensor:
    """Ascending indices of training examples that are not trained on but judged by.

    Raises:
        InputError: too few to keep some back.
    """
    if isinstance(task, BatchSampling):
        return task.holdout_indices(train, share, seed)
    return holdout(train.strata(), share, seed)


def judged_as_is(task: Task) -> bool:
    """Whether a model can be judged on training examples that are not augmented."""
    return task.judged_as_is if isinstance(task, BatchSampling) else True
