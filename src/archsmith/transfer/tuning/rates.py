"""Learning rates that fall from the head to the input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from ..._support.errors import InputError
from ...train import TrainingCallback
from .blocks import Block, layers_in_order


def layer_scales(blocks: Sequence[Block], decay: float) -> dict[str, float]:
    """Factor of the learning rate of each parameter: 1 in the last block, then decay, decay²...

    Raises:
        InputError: a decay outside (0, 1].
    """
    if not 0 < decay <= 1:
        raise InputError("layer decay", "a number above 0 and up to 1", f"{decay:g}")
    last = len(blocks) - 1
    return {
        name: decay ** (last - place)
        for place, block in enumerate(blocks)
        for name in block.parameters
    }


class LayerwiseRates(TrainingCallback):
    """The learning rates of a model's backbones that ask for layer-wise ones, by their attribute
    ``layer_decay``; parameters elsewhere have the full rate."""

    def __init__(self, model: nn.Module) -> None:
        self._scales: dict[str, float] = {}
        for place, part in model.named_modules():
            decay = getattr(part, "layer_decay", 1.0)
            if isinstance(decay, float) and decay != 1:
                scales = layer_scales([*layers_in_order(part), Block("", (), ())], decay)
                self._scales |= {f"{place}.{name}": scale for name, scale in scales.items()}

    def scale(self, name: str) -> float:
        return self._scales.get(name, 1.0)


def layerwise_rates(model: nn.Module, lr: float, decay: float) -> list[dict[str, Any]]:
    """Parameter groups for a torch optimiser, one per block, from the input to the head.

    The last block has the rate ``lr``, each one before it ``decay`` times that of the next
    (discriminative fine-tuning, Howard and Ruder 2018, arXiv:1801.06146; ELECTRA, Clark et al.
    2020, arXiv:2003.10555). Frozen parameters are left out, and blocks that have no others.

    Returns:
        Dictionaries with ``params``, ``lr`` and the block's ``name``.

    Raises:
        InputError: a rate or decay out of its range, or no trainable parameter.
    """
    if not lr > 0:
        raise InputError("lr", "a number above 0", f"{lr:g}")
    blocks = layers_in_order(model)
    scales = layer_scales(blocks, decay)
    groups = []
    for block in blocks:
        parameters = [model.get_parameter(name) for name in block.parameters]
        parameters = [p for p in parameters if p.requires_grad]
        if parameters:
            rate = lr * scales[block.parameters[0]]
            groups.append({"params": parameters, "lr": rate, "name": block.name})
    if not groups:
        raise InputError("model", "parameters that can be trained", "all of them frozen")
    return groups
