"""What only some tasks can do. The engine asks for each by type, never by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from .._support.errors import InputError

if TYPE_CHECKING:
    import torch
    from PIL import Image
    from torch import Tensor, nn

    from ..data.splits import Split
    from .base import Task
    from .values import Data, Signature


class OutputLoss(ABC):
    """The loss follows from a model's outputs and prepared targets; zero-cost proxies need that."""

    @abstractmethod
    def criterion(self, outputs: Any, targets: Any, smoothing: float = 0.0) -> Tensor:
        """The loss, a scalar tensor."""


class Distillation(ABC):
    """Outputs can be held against those of a teacher. Without it paths of a supernet that would
    learn from a larger one learn from the targets."""

    @abstractmethod
    def imitation(self, outputs: Any, teacher: Any, targets: Any) -> Tensor:
        """How far outputs are from those of a teacher, a scalar loss."""


class LearnedLoss(ABC):
    """The loss may have parameters of its own, which are trained beside the model and dropped."""

    @abstractmethod
    def learned_loss(self, facts: Mapping[str, Any], dim: Callable[[], int]) -> nn.Module | None:
        """A loss of outputs and targets, in place of :meth:`Task.loss`; ``None`` for that one.

        Args:
            dim: tells the size of the model's outputs, (n, dim).
        """

    @abstractmethod
    def expect_shared(self) -> None:
        """Raises InputError where its loss cannot train weights that many architectures share."""


class BatchSampling(ABC):
    """The loss needs certain examples together (pairs of a class, views of one image)."""

    #: Whether a model can be judged on training examples that are not augmented.
    judged_as_is: ClassVar[bool] = True

    @abstractmethod
    def draw(
        self,
        index: Tensor,
        train: Split,
        size: int,
        generator: torch.Generator,
        facts: Mapping[str, Any] | None = None,
    ) -> Sequence[Tensor]:
        """The examples of each step of an epoch.

        How many steps there are does not depend on the generator.

        Args:
            index: (n,) int64 indices of the examples that may be drawn.
            train: the training part.
            size: the recipe's batch size.
            facts: of the data; without them nothing is known of classes but their numbers.
        """

    def holdout_indices(self, train: Split, share: float, seed: int) -> Tensor:
        """Ascending indices of training examples that are not trained on but judged by.

        In proportion of the classes; a task that judges by other classes keeps back whole ones.

        Args:
            share: of the examples, from 0 up to, not including, 1.

        Raises:
            InputError: too few to keep some back.
        """
        from ..data.partition import holdout

        return holdout(train.strata(), share, seed)


class ExampleMetrics(ABC):
    """Some metrics are means over examples, so that two models can be compared on the same ones."""

    @abstractmethod
    def parts(self, outputs: Any, targets: Any, facts: Mapping[str, Any]) -> dict[str, Tensor]:
        """What each example (n,) has in metrics that are means: 1 or 0 for ``accuracy``, its
        square for ``rmse``.

        Args:
            targets: raw.
        """


class Deployment(ABC):
    """Models can be exported with what stands before and behind them, and asked about files."""

    @abstractmethod
    def deployable(self, model: nn.Module, facts: Mapping[str, Any]) -> nn.Module:
        """The model with pre- and post-processing inside: raw inputs in, answers out."""

    @abstractmethod
    def signature(self, data: Data) -> Signature:
        """What :meth:`deployable` takes and gives, with an example from the validation part."""

    @abstractmethod
    def load_input(self, path: Path, facts: Mapping[str, Any]) -> Any:
        """Raw inputs (a batch) from a user's file."""

    def names_in(self, path: Path) -> Sequence[str] | None:
        """What the examples of an input are called, in order, where it has files of their own."""
        return None

    @abstractmethod
    def describe(self, outputs: Any, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Deployed outputs as JSON values, one an example (class, probability, ...)."""


class Pictures(ABC):
    """Predictions of a deployed model can be looked at."""

    @abstractmethod
    def picture(
        self, inputs: Any, targets: Any, outputs: Any, facts: Mapping[str, Any]
    ) -> Image.Image:
        """Raw inputs, true targets and deployed outputs, as a picture."""


class Unlabelled(ABC):
    """Inputs are read in another way than for their labels."""

    @abstractmethod
    def labelled(self) -> Task:
        """The task that reads such inputs with their labels, each example once."""


def deployment_of(task: Task) -> Deployment:
    """The task, as one whose models can be exported.

    Raises:
        InputError: it is not.
    """
    if not isinstance(task, Deployment):
        raise InputError(
            f"task {task.name}",
            "one whose models can be exported",
            "one that does not say how",
            "take the trained module itself: result.best.model",
        )
    return task
