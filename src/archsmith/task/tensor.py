"""Tasks with one input tensor and one output tensor, whose loss needs only outputs and targets."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .._support.trees import call
from .base import Task
from .contracts import Distillation, OutputLoss
from .outputs import expect_one_output

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from ..data.splits import Batch


class TensorTask(Task, OutputLoss, Distillation):
    """A task whose models take one tensor and return one.

    Inputs and targets are prepared separately; a task whose targets change with their inputs
    (masks, boxes) augments both in :meth:`prepare_batch`.
    """

    @abstractmethod
    def example(self, facts: Mapping[str, Any], batch: int = 1) -> Tensor:
        """A prepared model input filled with zeros, on the CPU, for tracing and costs."""

    @abstractmethod
    def prepare(self, inputs: Tensor, facts: Mapping[str, Any]) -> Tensor:
        """Raw inputs to model inputs (float32, normalised), on the device of ``inputs``."""

    def augment(
        self, inputs: Tensor, generator: torch.Generator, facts: Mapping[str, Any] | None = None
    ) -> Tensor:
        """Prepared inputs with random changes, of the same shape; unchanged unless a task overrides
        this.

        ``facts`` may allow more: letters must not be mirrored, animals may.
        """
        return inputs

    def prepare_targets(self, targets: Tensor, facts: Mapping[str, Any]) -> Tensor:
        """Raw targets as :meth:`criterion` takes them (regression standardises them here)."""
        return targets

    def prepare_batch(
        self, batch: Batch, facts: Mapping[str, Any], noise: torch.Generator | None = None
    ) -> Batch:
        from ..data.splits import Batch

        inputs = self.prepare(batch.inputs, facts)
        if noise is not None:
            inputs = self.augment(inputs, noise, facts)
        return Batch(inputs, self.prepare_targets(batch.targets, facts))

    def loss(self, model: nn.Module, batch: Batch, smoothing: float = 0.0) -> Tensor:
        return self.criterion(call(model, batch.inputs), batch.targets, smoothing)

    def imitation(self, outputs: Any, teacher: Any, targets: Any) -> Tensor:
        from ..metric.distill import imitation

        return imitation(outputs, teacher, targets)

    def expect_outputs(self, outputs: Any, facts: Mapping[str, Any]) -> None:
        expect_one_output(outputs, self)
        self.expect_output(outputs, facts)

    def expect_output(self, output: Tensor, facts: Mapping[str, Any]) -> None:
        """Raises ValueError if a model's output does not have the shape that the task needs."""
