"""The options of a fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..._support.errors import InputError
from .norms import MODES, NormMode


@dataclass(frozen=True)
class FineTuning:
    """How a pretrained model is adapted to a task.

    Attributes:
        freeze: how many leading blocks stay fixed; ``"all"`` trains only the head (a
            linear probe if the head is linear).
        lr: peak learning rate, of the head and of everything that is not slowed down.
        layer_decay: the learning rate of each block is that of the next times this factor;
            parameters of an adapter learn at the full rate.
        unfreeze: epochs after which one more block is trained, the last first (gradual unfreezing,
            Howard and Ruder 2018, arXiv:1801.06146); 0 trains all that is not frozen at once.
        batchnorm: see :func:`batchnorm`; ``"train"`` applies to blocks that are trained, in the
            others normalisations are frozen.
        adapter: ``"lora"`` or ``"bottleneck"`` adds these to the blocks that are not frozen, whose
            own weights are then frozen as well.
        places: names of modules that get them, as in :func:`add_lora`; empty for all blocks that
            are not frozen.
        rank: of LoRA's products, or width of the bottlenecks.
        l2sp: strength of :class:`L2SP`; it replaces weight decay if it is above 0.
        head: ``"linear"``, the width of a hidden layer, or ``"keep"`` for a model that has its
            head already.
        dropout: before the new head.
        epochs, patience: as in :class:`~archsmith.task.base.Recipe`; ``None`` takes the recipe's.

    Raises:
        InputError: a field outside its range.
    """

    freeze: int | Literal["all"] = 0
    lr: float = 1e-3
    layer_decay: float = 1.0
    unfreeze: int = 0
    batchnorm: NormMode = "train"
    adapter: Literal["none", "lora", "bottleneck"] = "none"
    places: tuple[str, ...] = ()
    rank: int = 8
    l2sp: float = 0.0
    head: int | Literal["linear", "keep"] = "linear"
    dropout: float = 0.0
    epochs: int | None = None
    patience: int | None = None

    def __post_init__(self) -> None:
        rules = {
            "freeze": (_is_count(self.freeze, "all"), "a number of blocks, or 'all'"),
            "layer_decay": (0 < self.layer_decay <= 1, "a number above 0 and up to 1"),
            "unfreeze": (_is_count(self.unfreeze), "0 (at once) or a number of epochs"),
            "batchnorm": (self.batchnorm in MODES, " or ".join(map(repr, MODES))),
            "adapter": (
                self.adapter in ("none", "lora", "bottleneck"),
                "'none', 'lora' or 'bottleneck'",
            ),
            "rank": (self.rank >= 1, "1 or more"),
            "l2sp": (self.l2sp >= 0, "0 or a number above it"),
            "head": (_is_count(self.head, "linear", "keep"), "'linear', 'keep' or a hidden width"),
            "dropout": (0 <= self.dropout < 1, "a share from 0 up to, not including, 1"),
        }
        for name, (holds, expected) in rules.items():
            if not holds:
                raise InputError(f"tuning {name}", expected, repr(getattr(self, name)))
        if self.places and self.adapter == "none":
            raise InputError("tuning places", "an adapter to put there", "adapter='none'")
        if self.unfreeze and self.adapter != "none":
            raise InputError(
                "tuning unfreeze",
                "blocks that are trained, to unfreeze one by one",
                f"adapter={self.adapter!r}, which keeps their weights frozen",
                "unfreeze=0",
            )


def _is_count(value: object, *names: str) -> bool:
    if isinstance(value, str):
        return value in names
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
