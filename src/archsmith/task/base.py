"""The contract of a task: everything that a domain must define, so that one file adds a domain.

Abilities of only some tasks are defined in :mod:`archsmith.task.contracts`, and the engine checks
for them by type; most tasks derive from :class:`~archsmith.task.tensor.TensorTask`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from ..history.objective import Metric
from ..history.trial import Fidelity
from .options import ReadOptions as ReadOptions
from .options import Recipe as Recipe
from .values import Data as Data
from .values import Meter as Meter
from .values import Signature as Signature

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from ..data.splits import Batch


class Task(ABC):
    """What is learned. One subclass per domain, in one file, registered in ``archsmith.task``.

    A task holds no state: what is known about the data is in ``Data.facts``. Inputs, outputs and
    targets are trees: tensors, or tuples, lists and mappings of tensors, with the examples in the
    first dimension of each (``_support/trees.py``). Ragged parts are padded and come with their
    lengths.
    """

    #: Name on the command line.
    name: ClassVar[str]
    #: Quality metrics, the first one being what a search maximises or minimises by default.
    metrics: ClassVar[tuple[Metric, ...]]
    #: Name of the ready space that fits when none is given.
    default_space: ClassVar[str]
    #: Name of the ready space with a pretrained backbone; empty if there is none.
    backbone_space: ClassVar[str] = ""

    #: What it reads, for messages; empty for a task that is only chosen by name.
    reads: ClassVar[str] = ""
    #: Batch size of evaluation; smaller where outputs are large.
    judged_at_once: ClassVar[int] = 512

    @abstractmethod
    def suits(self, source: str, options: ReadOptions | None = None) -> int:
        """How certain it is that a source (a name or a path) is meant for this task, without
        reading all of it: 0 (``False``) if the task does not read it, 1 (``True``) if it does, 2 if
        the source itself shows that it is meant for this task, even if others could read it."""

    @abstractmethod
    def read(self, source: str, options: ReadOptions) -> Data:
        """Read and split the data. Raises :class:`~archsmith._support.errors.DataError`."""

    def uses(self, source: str) -> frozenset[str] | None:
        """Names of the :class:`ReadOptions` that affect how it reads such a source, in addition to
        those of the split; ``None`` if unknown."""
        return None

    @abstractmethod
    def arguments(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """What a builder may ask for by parameter name (``channels``, ``classes``, ...)."""

    @abstractmethod
    def example(self, facts: Mapping[str, Any], batch: int = 1) -> Any:
        """Prepared model inputs filled with zeros, on the CPU, for tracing and costs: a tree."""

    def expect_outputs(self, outputs: Any, facts: Mapping[str, Any]) -> None:  # noqa: B027
        """Raises ValueError if a model's outputs do not have the form that the task needs."""

    @abstractmethod
    def recipe(self, data: Data) -> Recipe:
        """The default recipe for data of this size."""

    @abstractmethod
    def search_fidelity(self, data: Data) -> Fidelity:
        """The default training budget of one trial in a search."""

    @abstractmethod
    def prepare(self, inputs: Any, facts: Mapping[str, Any]) -> Any:
        """Raw inputs to model inputs (float32, normalised), on the device of ``inputs``."""

    @abstractmethod
    def prepare_batch(
        self, batch: Batch, facts: Mapping[str, Any], noise: torch.Generator | None = None
    ) -> Batch:
        """Prepare a raw batch for :meth:`loss`, on the device of the batch.

        Args:
            noise: random generator of the augmentation of inputs and targets; without it nothing is
                augmented.
        """

    @abstractmethod
    def loss(self, model: nn.Module, batch: Batch, smoothing: float = 0.0) -> Tensor:
        """The training loss of a model on a prepared batch, a scalar tensor."""

    @abstractmethod
    def meter(self, facts: Mapping[str, Any]) -> Meter:
        """A new meter of this task's metrics (``metrics`` above, plus ``loss``)."""


__all__ = ["Data", "Meter", "ReadOptions", "Recipe", "Signature", "Task"]
