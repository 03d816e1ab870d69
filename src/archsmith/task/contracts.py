"""Abilities of only some tasks. The engine checks for each of them by type, never by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from .._support.errors import InputError

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from PIL import Image
    from torch import Tensor, nn

    from ..data.splits import Batch, Split
    from .base import Task
    from .references import Reference
    from .values import Data, Signature


class OutputLoss(ABC):
    """The loss is a function of outputs and prepared targets, as zero-cost proxies require."""

    @abstractmethod
    def criterion(self, outputs: Any, targets: Any, smoothing: float = 0.0) -> Tensor:
        """The loss, a scalar tensor."""


class Distillation(ABC):
    """Outputs can be compared with those of a teacher. In a task without it, paths of a supernet
    that would learn from a larger path learn from the targets instead."""

    @abstractmethod
    def imitation(self, outputs: Any, teacher: Any, targets: Any) -> Tensor:
        """How far outputs are from those of a teacher, a scalar loss."""


class LearnedLoss(ABC):
    """The loss may have parameters of its own, which are trained along with the model and then
    discarded."""

    @abstractmethod
    def learned_loss(self, facts: Mapping[str, Any], dim: Callable[[], int]) -> nn.Module | None:
        """A loss of outputs and targets that replaces :meth:`Task.loss`; ``None`` to keep that one.

        Args:
            dim: returns the size of the model's outputs, (n, dim).
        """

    @abstractmethod
    def expect_shared(self) -> None:
        """Raises InputError if its loss cannot train weights that many architectures share."""


class BatchSampling(ABC):
    """The loss needs certain examples together (pairs of a class, views of one image)."""

    #: Whether a model can be evaluated on training examples without augmentation.
    judged_as_is: ClassVar[bool] = True
    #: Whether the last training may take in the validation part.
    joins: ClassVar[bool] = False

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

        The number of steps does not depend on the generator.

        Args:
            index: (n,) int64 indices of the examples that may be drawn.
            train: the training part.
            size: the recipe's batch size.
            facts: of the data; without them only the numbers of the classes are known.
        """

    def holdout_indices(self, train: Split, share: float, seed: int) -> Tensor:
        """Ascending indices of training examples that are held out for evaluation.

        Classes keep their proportions; a task that evaluates on other classes holds out whole ones.

        Args:
            share: of the examples, from 0 up to, not including, 1.

        Raises:
            InputError: too few examples to hold some out.
        """
        from ..data.partition import holdout

        return holdout(train.strata(), share, seed)


class StopsEarly(ABC):  # noqa: B024
    """Models that train for long learn its training examples by heart, so each training is scored
    on the validation part as it goes on and its best epoch counts, the last training of a search in
    time as well."""


class AsLongAsTheRecipe(ABC):  # noqa: B024
    """Models that train for much longer than the recipe says learn their training examples by
    heart, so a search in time trains its winner from the start and for no longer, and each trial
    for as long where enough of them fit; the rest of the time is for more trials."""


class UnevenSampling(ABC):
    """Some training examples may be drawn more often than others."""

    @abstractmethod
    def chances(self, train: Split) -> Tensor | None:
        """How often each example (n,) is drawn, relative to the others; ``None`` if each is drawn
        once in an epoch."""


class Mixing(ABC):
    """Training examples can be mixed with others of their batch."""

    @abstractmethod
    def mixed(self, batch: Batch, generator: torch.Generator, facts: Mapping[str, Any]) -> Batch:
        """Prepared examples with parts of others, and targets for both."""


class Resolution(ABC):
    """Examples can be made smaller, for models that take inputs of any size."""

    @abstractmethod
    def shrunk(self, data: Data, factor: float) -> Data | None:
        """The same examples with a fraction of their side; ``None`` if they are too small for it.

        Args:
            factor: of the side, below 1.
        """


def resized(data: Data, factor: float, least: int, masks: bool = False) -> Data | None:
    """The data with smaller training and validation images, for :meth:`Resolution.shrunk`.

    Args:
        factor: of the side, below 1.
        least: smallest side in pixels; ``None`` is returned for smaller ones.
        masks: whether targets are resized, too.
    """
    from ..data.resized import ResizedSplit

    sides = [round(factor * data.facts[name]) for name in ("height", "width")]
    if min(sides) < least:
        return None
    parts = (ResizedSplit(part, sides, masks=masks) for part in (data.train, data.validation))
    train, validation = parts
    return replace(data, train=train, validation=validation)


class ExampleMetrics(ABC):
    """Some metrics are means over examples, or functions of sums over them, so two models can be
    compared example by example."""

    def answers(self, model: nn.Module, inputs: Any, facts: Mapping[str, Any]) -> Any:
        """What :meth:`parts` is given for prepared inputs: a model's outputs, or what is decoded
        by running it repeatedly."""
        from .._support.trees import call

        return call(model, inputs)

    @abstractmethod
    def parts(self, outputs: Any, targets: Any, facts: Mapping[str, Any]) -> dict[str, Tensor]:
        """What each example gives to a metric: the value (n,) that a mean is made of (1 or 0 for
        ``accuracy``, the squared error for ``rmse``), or numbers (n, k) whose sums :meth:`pooled`
        makes a metric of.

        Args:
            outputs: of :meth:`answers`.
            targets: raw.
        """

    def pooled(self, name: str, sums: NDArray[Any]) -> NDArray[Any]:
        """A metric (...,) by the sums (..., k) of its parts over many examples; only for metrics
        whose parts have two dimensions."""
        raise NotImplementedError(f"{name} is a mean over examples")


class Deployment(ABC):
    """Models can be exported with their pre- and post-processing, and can predict from files."""

    #: Whether deployed models divide their logits by ``facts["temperature"]``, if that is there.
    calibrated: ClassVar[bool] = False

    @abstractmethod
    def deployable(self, model: nn.Module, facts: Mapping[str, Any]) -> nn.Module:
        """The model with pre- and post-processing inside: raw inputs in, answers out."""

    @abstractmethod
    def signature(self, data: Data) -> Signature:
        """Inputs and outputs of :meth:`deployable`, with an example from the validation part."""

    @abstractmethod
    def load_input(self, path: Path, facts: Mapping[str, Any]) -> Any:
        """Raw inputs (a batch) from a user's file."""

    def names_in(self, path: Path) -> Sequence[str] | None:
        """Names of the examples of an input, in order, if each has a name of its own (a file)."""
        return None

    @abstractmethod
    def describe(self, outputs: Any, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Deployed outputs as JSON values, one per example (class, probability, ...)."""


class Pictures(ABC):
    """Predictions of a deployed model can be shown as a picture."""

    #: How many examples of the validation part it shows or counts at most; ``None`` for as many as
    #: are evaluated at once.
    pictured: ClassVar[int | None] = None

    @abstractmethod
    def picture(
        self, inputs: Any, targets: Any, outputs: Any, facts: Mapping[str, Any]
    ) -> Image.Image:
        """A picture of raw inputs, true targets and deployed outputs."""

    def picture_of(
        self,
        model: nn.Module,
        inputs: Any,
        targets: Any,
        outputs: Any,
        facts: Mapping[str, Any],
    ) -> Image.Image:
        """The picture in a report, which may also show what the deployed model makes."""
        return self.picture(inputs, targets, outputs, facts)


class Explanation(ABC):
    """It can be told which parts of an example moved its answer."""

    #: How many examples of an input are explained with their answers; of more, none.
    explained_at_most: ClassVar[int] = 100

    @abstractmethod
    def explain(
        self, run: Callable[[Any], Any], inputs: Any, outputs: Any, facts: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """JSON values that are added to the answer of each example.

        Args:
            run: the deployed model.
            inputs: raw.
            outputs: deployed ones.
        """


class Sequences(ABC):
    """Inputs are sequences, for each step of which a model may repeat layers."""

    @abstractmethod
    def short_example(self, facts: Mapping[str, Any]) -> Any:
        """As :meth:`Task.example`, of few steps: a diagram of each step of many says no more."""


class Unlabelled(ABC):
    """Inputs are read without their labels, or with labels of another kind."""

    @abstractmethod
    def labelled(self) -> Task:
        """The task that reads the same inputs with their labels, each example once."""


class References(ABC):
    """There are models that people would use by hand, which a search is held against."""

    @abstractmethod
    def references(self) -> tuple[Reference, ...]:
        """These models, the usual one first: it is what ``baseline="auto"`` takes."""


def references_of(task: Task) -> tuple[Reference, ...]:
    """The reference models of a task; none if it names none."""
    return task.references() if isinstance(task, References) else ()


def deployment_of(task: Task) -> Deployment:
    """The task, if its models can be exported.

    Raises:
        InputError: the models of this task cannot be exported.
    """
    if not isinstance(task, Deployment):
        raise InputError(
            f"task {task.name}",
            "a task whose models can be exported",
            "a task that does not define how",
            "use the trained module itself: result.best.model",
        )
    return task
