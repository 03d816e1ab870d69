"""What proxies look at, and the error of what they cannot look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .._support.errors import InputError
from .._support.trees import Tree, count_examples, leaves


class CannotScore(InputError):
    """A model, or a batch, that a proxy is not defined for: why, and what can be done instead."""


@dataclass(frozen=True)
class Batch:
    """What proxies look at.

    Attributes:
        inputs: prepared model inputs, (n, ...), as in training; a tensor, or a tuple or mapping.
        targets: prepared targets, (n, ...), as ``loss`` takes them.
        loss: of outputs and targets, a scalar tensor; ``None`` where a loss takes the model, so
            that only proxies without one score.
        whole: whether the loss takes outputs of several tensors; else the first of them.
    """

    inputs: Tree
    targets: Tree
    loss: Callable[[Any, Any], Tensor] | None
    whole: bool = False

    def __len__(self) -> int:
        return count_examples(self.inputs)

    @property
    def numbers(self) -> bool:
        """Whether all inputs are numbers, and none are indices."""
        return all(tensor.is_floating_point() for tensor in leaves(self.inputs))

    def check(self) -> None:
        """Refuse inputs and targets that do not belong together, and numbers that are none.

        Raises:
            CannotScore: with what is wrong.
        """
        if (count := count_examples(self.targets)) != len(self):
            expected = f"{len(self)} targets, one for each input"
            raise CannotScore("batch", expected, str(count))
        for tensor in leaves(self.inputs):
            if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                raise CannotScore(
                    "batch",
                    "inputs that are finite numbers",
                    "NaN or infinity among them",
                    "prepare the inputs as for training",
                )
