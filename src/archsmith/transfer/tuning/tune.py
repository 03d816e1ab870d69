"""Fine-tuning: what is frozen, what learns how fast, what is added; the loop is ``train``."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..._support.errors import InputError
from ...task.base import Data, Recipe, Task
from ...train import Trained, train
from ..pretrained.base import Backbone
from ..pretrained.fit import head_name
from .adapting import adapt
from .head import new_head, with_head
from .lora import merge
from .norms import thawed
from .options import FineTuning

if TYPE_CHECKING:
    from ...history.objective import Objective


@dataclass
class Tuned:
    """The result of a fine-tuning.

    Attributes:
        model: with the weights of its best epoch, in evaluation mode; LoRA is merged and
            normalisations are torch's own again, so that it is a plain module.
        metrics: of the validation part, in that epoch.
        best_epoch: from 1.
        curve: an entry per epoch, as in :class:`~archsmith.train.Trained`.
        trained, total: numbers that were trained at any time, and all that the model has.
        blocks: names of the blocks before the head, from the input.
    """

    model: nn.Module
    metrics: dict[str, float]
    best_epoch: int
    curve: list[dict[str, float]]
    trained: int
    total: int
    blocks: tuple[str, ...]


def fine_tune(
    model: nn.Module | Backbone,
    task: Task,
    data: Data,
    tuning: FineTuning | None = None,
    *,
    recipe: Recipe | None = None,
    seed: int = 0,
    device: str = "cpu",
    goal: Objective | None = None,
    on_epoch: Callable[[Mapping[str, float]], None] | None = None,
) -> Tuned:
    """Adapt a copy of a pretrained model to a task; the original stays unchanged.

    Args:
        model: a classifier, whose last layer is replaced, or a backbone of images, which gets a
            head and its own preparation of the task's images.
        task, data: what to learn.
        tuning: by default :class:`FineTuning` with its defaults.
        recipe: all other training settings; by default the task's. ``lr``, ``epochs`` and
            ``patience`` of ``tuning`` override its own.
        seed: of the new head, of adapters and of the order of examples.
        goal, on_epoch: as in :func:`archsmith.train.train`.

    Raises:
        InputError: more frozen blocks than there are, a place that does not exist, or nothing left
            to train; raised before training.
        Diverged: the loss became NaN or infinite.
    """
    options = tuning or FineTuning()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        adapted, head = _with_head(model, task, data, options)
        example = task.example(data.facts, batch=2)
        blocks, guide = adapt(adapted, head, options, example)
    if not guide.trained:
        raise InputError(
            "fine-tuning",
            "something to train",
            "all parameters frozen",
            "freeze fewer blocks, or head='linear' for a new head",
        )
    _expect_fit(adapted, task, data, example)
    base = recipe or task.recipe(data)
    own = {"epochs": options.epochs, "patience": options.patience}
    changes: dict[str, Any] = {name: value for name, value in own.items() if value is not None}
    if options.l2sp:
        changes["weight_decay"] = 0.0
    chosen = replace(base, lr=options.lr, **changes)
    result: Trained = train(
        adapted,
        task,
        data,
        chosen,
        seed=seed,
        device=device,
        goal=goal,
        on_epoch=on_epoch,
        guide=guide,
    )
    total = sum(p.numel() for p in adapted.parameters())
    plain = thawed(merge(adapted)).requires_grad_(True).eval()
    return Tuned(
        plain,
        result.metrics,
        result.best_epoch,
        result.curve,
        guide.trained,
        total,
        tuple(block.name for block in blocks),
    )


def _expect_fit(model: nn.Module, task: Task, data: Data, example: Tensor) -> None:
    """Check that the model takes the task's inputs and returns its outputs.

    Raises:
        InputError: it does not.
    """
    try:
        with torch.no_grad():
            task.expect_outputs(copy.deepcopy(model).eval()(example), data.facts)
    except Exception as error:
        raise InputError(
            "fine-tuning",
            f"a model for {task.name} on {data.name}",
            str(error).splitlines()[0],
            "use head='linear' for a new head, and a model that takes the task's inputs",
        ) from error


def _with_head(
    model: nn.Module | Backbone, task: Task, data: Data, tuning: FineTuning
) -> tuple[nn.Module, str]:
    """A copy with the head of the tuning, and the head's name."""
    # The outputs offered to a builder, which for embeddings is their size, not a class count.
    outputs = int(task.arguments(data.facts).get("classes", 1))
    hidden = tuning.head if isinstance(tuning.head, int) else 0
    if isinstance(model, Backbone):
        if tuning.head == "keep":
            raise InputError("tuning head", "'linear' or a hidden width on a backbone", "'keep'")
        own = replace(model, model=copy.deepcopy(model.model))
        with_new_head = with_head(own, outputs, data.facts, hidden=hidden, dropout=tuning.dropout)
        return with_new_head, "head"
    if tuning.head == "keep":
        return copy.deepcopy(model), head_name(model)
    return new_head(model, outputs, hidden=hidden, dropout=tuning.dropout)
