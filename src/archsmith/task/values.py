"""What tasks read and give: data in parts, meters, and what an exported model takes."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from .._support.trees import Tree
    from ..data.splits import Batch, Split


@dataclass(frozen=True)
class Data:
    """Data read for a task.

    Attributes:
        name: short name for titles.
        source: what reads it again: a registered name or an absolute path.
        task: name of the task that read it.
        train, validation, test: the parts; test is touched once, at the end.
        facts: JSON values that prediction and export need (sizes, class names, mean and spread).
        summary: what the reader understood, as lines for people.
        drawn: parts (``"validation"``, ``"test"``) that were drawn from the training examples,
            because the source brings none; ``None`` where a task does not say.
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

        It tells data that has changed under its name from what a study was begun on.
        """
        seen = hashlib.sha256()
        for part in (self.train, self.validation, self.test):
            part.update(seen)
        return seen.hexdigest()[:16]


class Meter(ABC):
    """Adds up metrics over batches."""

    def see(self, model: nn.Module, batch: Batch) -> None:
        """Take in a batch of prepared inputs and raw targets; the model may be run in any way."""
        from .._support.trees import call

        self.update(call(model, batch.inputs), batch.targets)

    @abstractmethod
    def update(self, outputs: Any, targets: Any) -> None:
        """Take in a batch of model outputs and its raw targets."""

    @abstractmethod
    def result(self) -> dict[str, float]:
        """The metrics over everything seen, by name."""


@dataclass(frozen=True)
class Signature:
    """What an exported model takes and gives.

    Attributes:
        example: raw inputs as the deployed model takes them (batch of 2; the batch is dynamic): a
            tensor, or a tuple or mapping of them.
        input_name, output_name: names in the exported graph; of several outputs, each name in
            their order. Several inputs are called as forward calls them.
        description: one line for the model card.
    """

    example: Tree
    input_name: str
    output_name: str | tuple[str, ...]
    description: str
