"""Options of how data is read and how models are trained."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from .._support.errors import InputError
from .._support.plans import option


def _demand(owner: object, what: str, rules: Mapping[str, tuple[bool, str]]) -> None:
    """Raises InputError for the first field whose rule does not hold."""
    for name, (holds, expected) in rules.items():
        if not holds:
            place = f"{what} {name.replace('_', ' ')}"
            raise InputError(place, expected, repr(getattr(owner, name)))


#: Fields of a recipe that older versions did not have.
_ADDED_LATER = ("schedule", "ema", "mix")


@dataclass(frozen=True)
class Recipe:
    """How a model is trained fully. A search trains with the same recipe at a lower fidelity.

    Attributes:
        epochs: passes over the training part.
        batch_size: examples per step.
        optimizer: ``"adamw"`` or ``"sgd"`` (Nesterov momentum 0.9).
        lr: peak learning rate, reached after ``warmup``.
        weight_decay: applies only to weights of two or more dimensions (not to norms or biases).
        warmup: share of all steps over which the learning rate rises linearly; with ``"wsd"`` of
            the steps of the whole recipe, and at most 50.
        label_smoothing: in [0, 1), for classification.
        clip: largest norm of the gradient; 0 turns clipping off.
        augment: whether the task's augmentation is used.
        patience: epochs without a better validation score before training stops; ``None`` never
            stops early.
        amp: whether the forward pass may be in bfloat16: on a GPU always; on a CPU in a search or a
            training in time, if it has instructions for that and was measured to be faster.
        schedule: of the learning rate after warm-up. ``"cosine"`` decays from the peak towards
            zero. ``"wsd"`` (warm-up, stable, decay) stays at the peak and decays over the last
            fifth of the steps, so that a training can be continued from where its decay began.
            Shared weights are always trained with ``"cosine"``.
        ema: largest decay of an exponential moving average of the weights, which is what is
            evaluated and kept then; 0 turns it off. It does not apply to shared weights.
        mix: share of the batches whose images get patches of others (CutMix), for images with
            classes, masks or boxes. It does not apply to shared weights.

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
    schedule: Literal["cosine", "wsd"] = "cosine"
    ema: float = 0.0
    mix: float = 0.0

    def __post_init__(self) -> None:
        rules = {
            "epochs": (self.epochs >= 1, "1 or more"),
            # Batch normalisation cannot normalise a batch of one.
            "batch_size": (self.batch_size >= 2, "2 or more"),
            "optimizer": (self.optimizer in ("adamw", "sgd"), "'adamw' or 'sgd'"),
            "lr": (0 < self.lr < math.inf, "a number above 0"),
            "weight_decay": (0 <= self.weight_decay < math.inf, "0 or more"),
            "warmup": (0 <= self.warmup < 1, "a share from 0 up to, not including, 1"),
            "label_smoothing": (
                0 <= self.label_smoothing < 1,
                "a share from 0 up to, not including, 1",
            ),
            "clip": (self.clip >= 0, "0 (off) or more"),
            "patience": (self.patience is None or self.patience >= 1, "None or 1 or more"),
            "schedule": (self.schedule in ("cosine", "wsd"), "'cosine' or 'wsd'"),
            "ema": (0 <= self.ema < 1, "0 (off), or a decay below 1"),
            "mix": (0 <= self.mix <= 1, "a share from 0 to 1"),
        }
        _demand(self, "recipe", rules)

    def to_json(self) -> dict[str, Any]:
        """The recipe as stored; fields added in later versions are left out at their default, so
        that what an older version stored is still equal."""
        kept = asdict(self)
        defaults = {f.name: f.default for f in fields(self) if f.name in _ADDED_LATER}
        return {n: v for n, v in kept.items() if n not in defaults or v != defaults[n]}


@dataclass(frozen=True)
class ReadOptions:
    """How data is read.

    Attributes:
        seed: of the split; the same seed always gives the same split.
        validation, test: shares of all examples, used if the source has no such part of its own.
        target: the column to predict (tables), or several numeric ones, ``"a,b"``; ``None`` takes
            ``target``, ``label``, ``class`` or ``y``, else the last column.
        image_size: height and width that images of a folder are resized to; ``None`` chooses.
        unreadable: what to do with files or rows that cannot be read: ``"refuse"`` raises an
            error, ``"skip"`` leaves them out and reports it.
        decimal: the decimal sign of numbers that can be read in two ways (a CSV file whose numbers
            are all like ``1,288``); ``None`` decides by the other numbers, and raises an error
            that asks for it if there are none.
        channels: whether the channels of an array of images come before (``"first"``) or after
            (``"last"``) height and width; ``None`` decides by the sizes, and raises an error that
            asks for it if they are ambiguous.
        group: a column (tables); rows with the same value (a patient, a store) stay in one part.
        order: a column of times (tables); the parts follow each other in time, training first.
        where: ``column=value`` (tables); other rows are left out, as if the file had only these.
        columns: kinds of columns (tables) that are not to be inferred, such as
            ``"zip=categorical,id=ignore"``: numeric, categorical, date, text or ignore.

    Raises:
        InputError: a field outside its range, or both ``group`` and ``order``.
    """

    seed: int = field(default=0, metadata=option("Seed of the split of the data.", "split-seed"))
    validation: float = 0.2
    test: float = 0.2
    target: str | None = field(
        default=None, metadata=option("Column to predict (tables); several numbers with commas.")
    )
    image_size: int | None = field(
        default=None, metadata=option("Size that images are resized to.")
    )
    unreadable: Literal["refuse", "skip"] = field(
        default="refuse", metadata=option("What to do with files or rows that cannot be read.")
    )
    decimal: Literal["point", "comma"] | None = field(
        default=None,
        metadata=option("Decimal sign of ambiguous numbers like 1,288 (tables)."),
    )
    channels: Literal["first", "last"] | None = field(
        default=None,
        metadata=option("Position of the channels, if sizes are ambiguous (.npz of images)."),
    )

    group: str | None = field(
        default=None, metadata=option("Column whose equal values stay in one part (tables).")
    )
    order: str | None = field(
        default=None,
        metadata=option("Column of times that the parts follow each other in (tables)."),
    )
    where: str | None = field(
        default=None, metadata=option("Read only rows of a value: column=value (tables).")
    )
    columns: str | None = field(
        default=None,
        metadata=option(
            "Kinds of columns (tables), as zip=categorical,id=ignore: numeric, categorical, date, "
            "text or ignore; others are inferred."
        ),
    )

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
            "group": (self.group is None or self.order is None, "group or order, not both"),
            "channels": (self.channels in (None, "first", "last"), "'first' or 'last'"),
        }
        _demand(self, "reading", rules)

    def to_json(self) -> dict[str, Any]:
        """The options as stored; those added in later versions are left out if not set."""
        kept = asdict(self)
        return {n: v for n, v in kept.items() if v is not None or n in ("target", "image_size")}
