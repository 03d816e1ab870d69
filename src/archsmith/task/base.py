"""The contract of a task: what every domain has to say, so that a domain is one file.

What only some tasks can do stands in :mod:`archsmith.task.contracts`, and the engine asks for it by
type; :class:`~archsmith.task.tensor.TensorTask` is where most tasks begin.
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
    """What is learned. One subclass a domain, in one file, registered in ``archsmith.task``.

    A task holds no state: data carries what is known about it in ``Data.facts``. Inputs, outputs
    and targets are trees: tensors, or tuples, lists and mappings of them, with the examples in the
    first dimension of each (``_support/trees.py``). Ragged parts are padded, beside their lengths.
    """

    #: Name on the command line.
    name: ClassVar[str]
    #: Quality metrics, the first one being what a search maximises or minimises by default.
    metrics: ClassVar[tuple[Metric, ...]]
    #: Name of the ready space that fits when none is given.
    default_space: ClassVar[str]

    #: What it reads, for messages; empty where it is asked for by name alone.
    reads: ClassVar[str] = ""
    #: Examples that a model is judged on at a time; fewer where outputs are large.
    judged_at_once: ClassVar[int] = 512

    @abstractmethod
    def suits(self, source: str, options: ReadOptions | None = None) -> int:
        """How surely such a source (a name or a path) is meant for this task, without reading it
        whole: 0 (``False``) if the task does not read it, 1 (``True``) if it does, 2 if the source
        says by itself that it is meant for such a task, whatever else could be read into it."""

    @abstractmethod
    def read(self, source: str, options: ReadOptions) -> Data:
        """Read and split the data. Raises :class:`~archsmith._support.errors.DataError`."""

    def uses(self, source: str) -> frozenset[str] | None:
        """Names of the :class:`ReadOptions` that it reads such a source by, beside those of the
        split; ``None`` where it does not say."""
        return None

    @abstractmethod
    def arguments(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """What a builder may ask for by parameter name (``channels``, ``classes``, ...)."""

    @abstractmethod
    def example(self, facts: Mapping[str, Any], batch: int = 1) -> Any:
        """Prepared model inputs of zeros, on the CPU, for tracing and costs: a tree."""

    def expect_outputs(self, outputs: Any, facts: Mapping[str, Any]) -> None:  # noqa: B027
        """Raises ValueError where a model's outputs are not what the task needs."""

    @abstractmethod
    def recipe(self, data: Data) -> Recipe:
        """The default recipe for data of this size."""

    @abstractmethod
    def search_fidelity(self, data: Data) -> Fidelity:
        """What one trial of a search spends by default."""

    @abstractmethod
    def prepare(self, inputs: Any, facts: Mapping[str, Any]) -> Any:
        """Raw inputs to model inputs (float32, normalised), on the device of ``inputs``."""

    @abstractmethod
    def prepare_batch(
        self, batch: Batch, facts: Mapping[str, Any], noise: torch.Generator | None = None
    ) -> Batch:
        """A raw batch as :meth:`loss` takes it, on the device that it is on.

        Args:
            noise: what the augmentation of inputs and targets draws from; none without.
        """

    @abstractmethod
    def loss(self, model: nn.Module, batch: Batch, smoothing: float = 0.0) -> Tensor:
        """Scalar training loss of a model on a prepared batch."""

    @abstractmethod
    def meter(self, facts: Mapping[str, Any]) -> Meter:
        """A new meter of this task's metrics (``metrics`` above, plus ``loss``)."""


__all__ = ["Data", "Meter", "ReadOptions", "Recipe", "Signature", "Task"]
