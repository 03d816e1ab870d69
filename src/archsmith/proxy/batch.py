"""The batch that proxies score models on, and the error for what they cannot score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .._support.errors import InputError
from .._support.trees import Tree, count_examples, leaves


class CannotScore(InputError):
    """A proxy is not defined for a model or batch; the message tells why and what to do instead."""


@dataclass(frozen=True)
class Batch:
    """The batch that proxies score models on.

    Attributes:
        inputs: prepared model inputs, (n, ...), as in training; a tensor, or a tuple or mapping.
        targets: prepared targets, (n, ...), as ``loss`` takes them.
        loss: a function of outputs and targets that returns a scalar tensor; ``None`` if the task's
            loss takes the model, so that only proxies that need no loss can score.
        whole: whether the loss takes all tensors of the outputs; otherwise only the first.
    """

    inputs: Tree
    targets: Tree
    loss: Callable[[Any, Any], Tensor] | None
    whole: bool = False

    def __len__(self) -> int:
        return count_examples(self.inputs)

    @property
    def numbers(self) -> bool:
        """Whether all inputs are floating-point numbers, and none are indices."""
        return all(tensor.is_floating_point() for tensor in leaves(self.inputs))

    def check(self) -> None:
        """Refuse inputs and targets of different numbers, and inputs that are not finite.

        Raises:
            CannotScore: the message tells what is wrong.
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
