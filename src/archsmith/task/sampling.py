"""Which examples a model is trained and evaluated on: as the task decides, or the usual way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from ..data.batches import shuffled
from ..data.partition import holdout, subset
from .contracts import BatchSampling, UnevenSampling

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
    """The examples of each step of an epoch: every example once, in random order; as often as the
    task's :meth:`~archsmith.task.contracts.UnevenSampling.chances` say; or as its
    :meth:`~archsmith.task.contracts.BatchSampling.draw` chooses them."""
    if isinstance(task, BatchSampling):
        return task.draw(index, train, size, generator, facts)
    chances = task.chances(train) if isinstance(task, UnevenSampling) else None
    if chances is not None:
        index = index[torch.multinomial(chances[index], len(index), True, generator=generator)]
    return shuffled(index, size, generator)


def draw_one(task: Task, train: Split, size: int, seed: int) -> Tensor:
    """Indices of one representative batch: classes in proportion, or the first batch that the
    task's own sampling draws."""
    generator = torch.Generator().manual_seed(seed)
    if isinstance(task, BatchSampling):
        return task.draw(torch.arange(len(train)), train, size, generator)[0]
    kept = torch.from_numpy(subset(train.strata(), min(1.0, size / len(train)), seed))
    return kept[torch.randperm(len(kept), generator=generator)[:size]]


def holdout_indices(task: Task, train: Split, share: float, seed: int) -> Tensor:
    """Ascending indices of training examples that are held out for evaluation.

    Raises:
        InputError: too few examples to hold some out.
    """
    if isinstance(task, BatchSampling):
        return task.holdout_indices(train, share, seed)
    return holdout(train.strata(), share, seed)


def judged_as_is(task: Task) -> bool:
    """Whether a model can be evaluated on training examples without augmentation."""
    return task.judged_as_is if isinstance(task, BatchSampling) else True
