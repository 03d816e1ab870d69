"""A search space over fine-tunings of one pretrained backbone."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..._support.errors import InputError
from ...space import choose
from ..pretrained import backbone as find_backbone
from ..pretrained.base import Backbone, ImageInput
from .adapting import adapt, blocks_before
from .head import TaskInput, make_head
from .options import FineTuning

#: Hidden widths of the head; 0 is a linear head.
HEADS = (0, 64, 256)
RANKS = (2, 8, 32)


def tuned(
    channels: int,
    classes: int,
    height: int,
    width: int,
    mean: Sequence[float],
    std: Sequence[float],
    backbone: str | Callable[[], Backbone] = "efficientnet-lite0",
    side: int | None = None,
) -> nn.Module:
    """Images (n, channels, height, width) to logits (n, classes), on a pretrained backbone.

    The choices: how many leading blocks stay frozen (``freeze``; all of them is a linear probe
    and the default), whether the others are trained or get LoRA or bottlenecks (``adapter``), in
    all of them or in the later half (``places``), with which ``rank``, what batch normalisation
    does (``batchnorm``), and the hidden width of the ``head`` (0 is linear) with its ``dropout``.

    Frozen parameters have ``requires_grad`` off and keep their loaded values, in every training.
    After the search ``thawed(merge(model))`` folds LoRA away.

    Args:
        channels, classes, height, width, mean, std: as the task gives them for its data.
        backbone: a name, or a function that returns one, which other processes can import. It is
            called once per process; each model starts from a copy of its weights.
        side: pixels to which images are resized; the backbone's own size by default. Smaller is
            cheaper, and as good if images are small.

    Raises:
        InputError: a backbone that reads no images, or not images like these.
        MissingExtraError: the backbone's extra is not installed.
    """
    network = _load_backbone(backbone)
    if network.kind != "images" or not isinstance(network.prepare, ImageInput):
        raise InputError(f"backbone {network.name}", "one that reads images", network.kind)
    prepare = network.prepare if side is None else replace(network.prepare, size=(side, side))
    body = copy.deepcopy(network.model).to(torch.get_default_device())
    hidden: int = choose("head", list(HEADS))
    dropout: float = choose("dropout", [0.0, 0.2])
    head = make_head(network.dim, classes, hidden, dropout)
    inputs = TaskInput(mean, std, prepare)
    model = nn.Sequential(OrderedDict(inputs=inputs, backbone=body, head=head))
    adapt(model, "head", _choose_tuning(model), torch.zeros(2, channels, height, width))
    return model


def _choose_tuning(model: nn.Module) -> FineTuning:
    """The decisions of one architecture, as a fine-tuning."""
    blocks = blocks_before(model, "head")
    count = len(blocks)
    freeze: int = choose(
        "freeze", sorted({0, count // 4, count // 2, 3 * count // 4, count}), default=count
    )
    tuning = FineTuning(freeze=freeze, batchnorm="frozen")
    if freeze < count:
        kind = choose("adapter", ["none", "lora", "bottleneck"])
        tuning = replace(tuning, adapter=kind)
        if kind != "none":
            late = choose("places", ["all", "late"]) == "late"
            rank: int = choose("rank", list(RANKS), default=8)
            first = freeze + (count - freeze) // 2 if late else freeze
            # Blocks without an adapter are frozen anyway, so later places are more frozen blocks.
            tuning = replace(tuning, rank=rank, freeze=first)
    if any(isinstance(module, _BatchNorm) for module in model.modules()):
        moves = freeze < count and tuning.adapter == "none"
        modes = ["frozen", "adapt", "train"] if moves else ["frozen", "adapt"]
        tuning = replace(tuning, batchnorm=choose("batchnorm", modes))
    return tuning


@lru_cache(maxsize=4)
def _load_backbone(backbone: str | Callable[[], Backbone]) -> Backbone:
    """The backbone, loaded once; on the CPU, and without draws from the builder's seed."""
    with torch.device("cpu"), torch.random.fork_rng(devices=[]):
        return find_backbone(backbone) if isinstance(backbone, str) else backbone()
