"""Values of tasks: data in parts, meters, and the signature of an exported model."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from .._support.trees import Tree
    from ..data.splits import Batch, Split


@dataclass(frozen=True)
class Data:
    """Data read for a task.

    Attributes:
        name: short name for titles.
        source: a registered name or an absolute path, from which it can be read again.
        task: name of the task that read it.
        train, validation, test: the parts; test is used only once, at the end.
        facts: JSON values that prediction and export need (sizes, class names, mean and spread).
        summary: readable lines that describe the data as the reader understood it.
        drawn: parts (``"validation"``, ``"test"``) that were drawn from the training examples,
            because the source has none; ``None`` if the task does not tell.
    """

    name: str
    source: str
    task: str
    train: Split
    validation: Split
    test: Split
    facts: dict[str, Any]
    summary: tuple[str, ...] = field(default=())
    drawn: tuple[str, ...] | None = None

    def digest(self) -> str:
        """16 hex digits of the SHA-256 of all inputs and targets, their types and shapes.

        It detects that the data of a source has changed since a study was started.
        """
        return self._digest

    @cached_property
    def _digest(self) -> str:
        # Reading all of it takes minutes if it is on disk.
        digest = hashlib.sha256()
        for part in (self.train, self.validation, self.test):
            part.update(digest)
        return digest.hexdigest()[:16]


class Meter(ABC):
    """Adds up metrics over batches."""

    def see(self, model: nn.Module, batch: Batch) -> None:
        """Add a batch of prepared inputs and raw targets; a meter may run the model as it needs."""
        from .._support.trees import call

        self.update(call(model, batch.inputs), batch.targets)

    @abstractmethod
    def update(self, outputs: Any, targets: Any) -> None:
        """Add a batch of model outputs and its raw targets."""

    @abstractmethod
    def result(self) -> dict[str, float]:
        """The metrics over all batches so far, by name."""


@dataclass(frozen=True)
class Signature:
    """Inputs and outputs of an exported model.

    Attributes:
        example: raw inputs of the deployed model (a batch of 2; the batch size is dynamic): a
            tensor, or a tuple or mapping of tensors.
        input_name, output_name: names in the exported graph; for several outputs, their names in
            order. Several inputs have the names of the parameters of forward.
        description: one line for the model card.
        dynamic: further dimensions, by number, that may have any size, with their names;
            those without a name as far as the model allows.
    """

    example: Tree
    input_name: str
    output_name: str | tuple[str, ...]
    description: str
    dynamic: Mapping[int, str] = field(default_factory=dict)
