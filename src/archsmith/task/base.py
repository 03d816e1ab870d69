"""The contract of a task: everything that a domain needs, so that a domain is one file."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from .._support.errors import InputError
from ..history.objective import Metric
from ..history.trial import Fidelity
from .values import Data as Data
from .values import Meter as Meter
from .values import Signature as Signature

if TYPE_CHECKING:
    import torch
    from PIL import Image
    from torch import Tensor, nn

    from ..data.splits import Batch, Split


def _demand(owner: object, what: str, rules: Mapping[str, tuple[bool, str]]) -> None:
    """Raises InputError for the first field whose rule does not hold."""
    for name, (holds, expected) in rules.items():
        if not holds:
            place = f"{what} {name.replace('_', ' ')}"
            raise InputError(place, expected, repr(getattr(owner, name)))


@dataclass(frozen=True)
class Recipe:
    """How a model is trained to the end. A search trains with the same recipe at a lower fidelity.

    Attributes:
        epochs: passes over the training part.
        batch_size: examples a step.
        optimizer: ``"adamw"`` or ``"sgd"`` (Nesterov momentum 0.9).
        lr: peak learning rate; reached after ``warmup``, then cosine towards zero.
        weight_decay: for weights of two or more dimensions alone (not norms, not biases).
        warmup: share of all steps over which the learning rate rises linearly.
        label_smoothing: in [0, 1), for classification.
        clip: largest norm of the gradient; 0 turns clipping off.
        augment: whether the task's augmentation is used.
        patience: epochs without a better validation score before training stops; ``None``: never.
        amp: mixed precision where the device is a GPU.

    Raises:
        InputError: a field outside its range.
    """

    epochs: int = 20
    batch_size: int = 64
    optimizer: Literal["adamw", "sgd"] = "adamw"
    lr: float = 2e-3
    weight_decay: float = 0.02
    warmup: float = 0.1
    label_smoothing: float = 0.0
    clip: float = 5.0
    augment: bool = False
    patience: int | None = None
    amp: bool = True

    def __post_init__(self) -> None:
        rules = {
            "epochs": (self.epochs >= 1, "1 or more"),
            # Batch normalisation has no spread over a batch of one.
            "batch_size": (self.batch_size >= 2, "2 or more"),
            "optimizer": (self.optimizer in ("adamw", "sgd"), "'adamw' or 'sgd'"),
            "lr": (0 < self.lr < math.inf, "a number above 0"),
            "weight_decay": (0 <= self.weight_decay < math.inf, "0 or a number above it"),
            "warmup": (0 <= self.warmup < 1, "a share from 0 up to, not including, 1"),
            "label_smoothing": (
                0 <= self.label_smoothing < 1,
                "a share from 0 up to, not including, 1",
            ),
            "clip": (self.clip >= 0, "0 (off) or a number above it"),
            "patience": (self.patience is None or self.patience >= 1, "None or 1 or more"),
        }
        _demand(self, "recipe", rules)


@dataclass(frozen=True)
class ReadOptions:
    """How data is read.

    Attributes:
        seed: of the split; the same seed always gives the same split.
        validation, test: shares of all examples, used where the source brings no such part.
        target: the column to predict (tables); ``None`` takes ``target``, ``label``, ``class`` or
            ``y``, else the last column.
        image_size: height and width that images of a folder are brought to; ``None`` chooses.
        unreadable: what to do with files that cannot be read: refuse all, or skip and say so.
        decimal: the decimal sign of numbers that can be read in two ways (``1,288`` and nothing
            else of the kind in a CSV file); ``None`` goes by the evidence, and asks without any.
        channels: where the channels of an array of images stand, before (``"first"``) or behind
            (``"last"``) height and width; ``None`` goes by the sizes, and asks where these do not
            tell.

    Raises:
        InputError: a field outside its range.
    """

    seed: int = 0
    validation: float = 0.2
    test: float = 0.2
    target: str | None = None
    image_size: int | None = None
    unreadable: Literal["refuse", "skip"] = "refuse"
    decimal: Literal["point", "comma"] | None = None
    channels: Literal["first", "last"] | None = None

    def __post_init__(self) -> None:
        together = self.validation + self.test < 1
        shares = "a share above 0; validation and test together below 1"
        size = self.image_size
        rules = {
            "seed": (0 <= self.seed < 2**32, "a whole number from 0 to 2**32 - 1"),
            "validation": (self.validation > 0 and together, shares),
            "test": (self.test > 0 and together, shares),
            "image_size": (size is None or 1 <= size <= 4096, "None, or from 1 to 4096 pixels"),
            "unreadable": (self.unreadable in ("refuse", "skip"), "'refuse' or 'skip'"),
            "decimal": (self.decimal in (None, "point", "comma"), "'point' or 'comma'"),
            "channels": (self.channels in (None, "first", "last"), "'first' or 'last'"),
        }
        _demand(self, "reading", rules)

    def to_json(self) -> dict[str, Any]:
        """What is kept of them; an option that later versions brought is left out where unused."""
        kept = asdict(self)
        return {n: v for n, v in kept.items() if v is not None or n in ("target", "image_size")}


class Task(ABC):
    """What is learned. One subclass a domain, in one file, registered in ``archsmith.task``.

    A task holds no state: data carries what is known about it in ``Data.facts``.
    """

    #: Name on the command line.
    name: ClassVar[str]
    #: Quality metrics, the first one being what a search maximises or minimises by default.
    metrics: ClassVar[tuple[Metric, ...]]
    #: Name of the ready space that fits when none is given.
    default_space: ClassVar[str]
    #: Whether a model takes one tensor and gives one.
    plain: ClassVar[bool] = True
    #: Whether predictions can be shown as a picture.
    pictured: ClassVar[bool] = True
    #: Whether a model can be judged on training examples that are not augmented.
    judged_as_is: ClassVar[bool] = True

    @abstractmethod
    def suits(self, source: str, options: ReadOptions | None = None) -> bool:
        """Whether this task reads such a source (a name or a path), without reading it whole."""

    @abstractmethod
    def read(self, source: str, options: ReadOptions) -> Data:
        """Read and split the data. Raises :class:`~archsmith._support.errors.DataError`."""

    def uses(self, source: str) -> frozenset[str] | None:
        """Names of the :class:`ReadOptions` that it reads such a source by, beside those of the
        split; ``None`` where it does not say."""
        return None

    def labelled(self) -> Task:
        """The task that reads such inputs with their labels, each example once."""
        return self

    @abstractmethod
    def arguments(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """What a builder may ask for by parameter name (``channels``, ``classes``, ...)."""

    @abstractmethod
    def example(self, facts: Mapping[str, Any], batch: int = 1) -> Tensor:
        """A prepared model input of zeros, on the CPU, for tracing and costs."""

    def expect_outputs(self, outputs: Tensor, facts: Mapping[str, Any]) -> None:  # noqa: B027
        """Raises ValueError where a model's outputs have another shape than the task needs."""

    @abstractmethod
    def recipe(self, data: Data) -> Recipe:
        """The default recipe for data of this size."""

    @abstractmethod
    def search_fidelity(self, data: Data) -> Fidelity:
        """What one trial of a search spends by default."""

    def draw(
        self,
        index: Tensor,
        train: Split,
        size: int,
        generator: torch.Generator,
        facts: Mapping[str, Any] | None = None,
    ) -> Sequence[Tensor]:
        """The examples of each step of an epoch: every one once, in random order.

        Tasks whose loss needs certain examples together (pairs of a class) draw in another way.
        How many steps there are does not depend on the generator.

        Args:
            index: (n,) int64 indices of the examples that may be drawn.
            train: the training part.
            size: the recipe's batch size.
            facts: of the data; without them nothing is known of classes but their numbers.
        """
        from ..data.batches import shuffled

        return shuffled(index, size, generator)

    def draw_one(self, train: Split, size: int, seed: int) -> Tensor:
        """Indices of one batch that stands for all: in proportion of the classes.

        Tasks whose loss needs certain examples together give a batch of :meth:`draw`.
        """
        import torch

        from ..data.split import subset

        share = min(1.0, size / len(train))
        kept = torch.from_numpy(subset(train.strata(), share, seed))
        mixed = torch.randperm(len(kept), generator=torch.Generator().manual_seed(seed))
        return kept[mixed[:size]]

    def holdout_indices(self, train: Split, share: float, seed: int) -> Tensor:
        """Ascending indices of training examples that are not trained on but judged by.

        In proportion of the classes; a task that judges by other classes keeps back whole ones.

        Args:
            share: of the examples, from 0 up to, not including, 1.

        Raises:
            InputError: too few to keep some back.
        """
        import torch

        from ..data.split import subset

        inside = torch.zeros(len(train), dtype=torch.bool)
        inside[torch.from_numpy(subset(train.strata(), 1.0 - share, seed))] = True
        back = (~inside).nonzero().flatten()
        if share and len(back) < 2:
            wanted = f"enough examples to hold {share:g} of them out"
            raise InputError("training data", wanted, f"{len(train)}")
        return back

    @abstractmethod
    def prepare(self, inputs: Tensor, facts: Mapping[str, Any]) -> Tensor:
        """Raw inputs to model inputs (float32, normalised), on the device of ``inputs``."""

    @abstractmethod
    def augment(
        self, inputs: Tensor, generator: torch.Generator, facts: Mapping[str, Any] | None = None
    ) -> Tensor:
        """Randomly changed prepared inputs; the same shape.

        ``facts`` may allow more: letters must not be mirrored, animals may.
        """

    def prepare_targets(self, targets: Tensor, facts: Mapping[str, Any]) -> Tensor:
        """Raw targets as :meth:`criterion` takes them (regression standardises them here)."""
        return targets

    def prepare_batch(
        self, batch: Batch, facts: Mapping[str, Any], noise: torch.Generator | None = None
    ) -> Batch:
        """A raw batch as :meth:`loss` takes it, on the device that it is on.

        Tasks whose targets change with their inputs (masks, boxes) augment both here.

        Args:
            noise: what the augmentation draws from; none without.
        """
        from ..data.splits import Batch

        inputs = self.prepare(batch.inputs, facts)
        if noise is not None:
            inputs = self.augment(inputs, noise, facts)
        return Batch(inputs, self.prepare_targets(batch.targets, facts))

    def loss(self, model: nn.Module, batch: Batch, smoothing: float = 0.0) -> Tensor:
        """Scalar training loss of a model on a prepared batch."""
        from .._support.trees import call

        return self.criterion(call(model, batch.inputs), batch.targets, smoothing)

    @abstractmethod
    def criterion(self, outputs: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        """The loss as it follows from a model's outputs and prepared targets."""

    def learned_loss(self, facts: Mapping[str, Any], dim: Callable[[], int]) -> nn.Module | None:
        """A loss of outputs and targets with parameters of its own, if there is one.

        It is trained beside the model, in place of :meth:`criterion`, and dropped afterwards.

        Args:
            dim: tells the size of the model's outputs, (n, dim).
        """
        return None

    def expect_shared(self) -> None:  # noqa: B027
        """Raises InputError where its loss cannot train weights that many architectures share."""

    def imitation(self, outputs: Tensor, teacher: Tensor, targets: Tensor) -> Tensor:
        """How far outputs are from those of a teacher, a scalar loss."""
        from ..metric.distill import imitation

        return imitation(outputs, teacher, targets)

    @abstractmethod
    def meter(self, facts: Mapping[str, Any]) -> Meter:
        """A fresh meter of this task's metrics (``metrics`` above, plus ``loss``)."""

    def parts(
        self, outputs: Tensor, targets: Tensor, facts: Mapping[str, Any]
    ) -> dict[str, Tensor]:
        """What each example (n,) has in metrics that are means: 1 or 0 for ``accuracy``, its
        square for ``rmse``. Two models are compared by them; none where a task has no such metric.
        """
        return {}

    @abstractmethod
    def deployable(self, model: nn.Module, facts: Mapping[str, Any]) -> nn.Module:
        """The model with pre- and post-processing inside: raw inputs in, probabilities out."""

    @abstractmethod
    def signature(self, data: Data) -> Signature:
        """What :meth:`deployable` takes and gives, with an example from the validation part."""

    @abstractmethod
    def load_input(self, path: Path, facts: Mapping[str, Any]) -> Tensor:
        """Raw inputs (a batch) from a user's file."""

    def names_in(self, path: Path) -> Sequence[str] | None:
        """What the examples of an input are called, in order, where it has files of their own."""
        return None

    @abstractmethod
    def describe(self, outputs: Tensor, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Deployed outputs as JSON values, one an example (class, probability, ...)."""

    @abstractmethod
    def picture(
        self, inputs: Tensor, targets: Tensor, outputs: Tensor, facts: Mapping[str, Any]
    ) -> Image.Image:
        """What predictions look like: raw inputs, true targets, deployed outputs, as a picture."""
