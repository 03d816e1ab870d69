"""What proxies look at, and the error of what they cannot look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .._support.errors import InputError


class CannotScore(InputError):
    """A model, or a batch, that a proxy is not defined for: why, and what can be done instead."""


@dataclass(frozen=True)
class Batch:
    """What proxies look at.

    Attributes:
        inputs: prepared model inputs, (n, ...), as in training.
        targets: prepared targets, (n, ...), as ``loss`` takes them.
        loss: of outputs and targets, a scalar tensor.
    """

    inputs: Tensor
    targets: Tensor
    loss: Callable[[Tensor, Tensor], Tensor]

    def __len__(self) -> int:
        return len(self.inputs)

    def check(self) -> None:
        """Refuse inputs and targets that do not belong together, and numbers that are none.

        Raises:
            CannotScore: with what is wrong.
        """
        if len(self.targets) != len(self):
            expected = f"{len(self)} targets, one for each input"
            raise CannotScore("batch", expected, str(len(self.targets)))
        if self.inputs.is_floating_point() and not bool(torch.isfinite(self.inputs).all()):
            raise CannotScore(
                "batch",
                "inputs that are finite numbers",
                "NaN or infinity among them",
                "prepare the inputs as for training",
            )
