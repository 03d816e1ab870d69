"""Outputs of layers: one tensor for each kind of output, and the meaning of its axes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

#: Key that is read from a mapping, as encoders of the hub use it; else its first tensor.
_HIDDEN = "last_hidden_state"


@dataclass(frozen=True, slots=True)
class Axes:
    """Where the examples and the channels of a tensor are.

    Attributes:
        batch: 0, or 1 in sequences that are (t, n, d).
        last: whether channels are last, as in sequences of tokens, or second, as in images.
    """

    batch: int
    last: bool


def main_tensor(value: object) -> Tensor | None:
    """The main tensor of a layer's output, ``None`` if there is none.

    For a recurrent layer its outputs, for attention the mixed values, for a mapping its last hidden
    state; packed and nested sequences are padded with zeros.
    """
    if isinstance(value, Tensor):
        return value.to_padded_tensor(0.0) if value.is_nested else value
    if isinstance(value, PackedSequence):
        return pad_packed_sequence(value, batch_first=True)[0]
    if isinstance(value, Mapping):
        if value.get(_HIDDEN) is not None:
            return main_tensor(value[_HIDDEN])
        value = tuple(value.values())
    if isinstance(value, tuple | list):
        for item in value:
            tensor = main_tensor(item)
            if tensor is not None:
                return tensor
    return None


def packed_mask(value: object) -> Tensor | None:
    """Which places of a packed sequence are real, bool (n, t); ``None`` for anything else."""
    if isinstance(value, tuple) and value and not isinstance(value, PackedSequence):
        value = value[0]
    if not isinstance(value, PackedSequence):
        return None
    lengths = pad_packed_sequence(value, batch_first=True)[1]
    return torch.arange(int(lengths.max()))[None] < lengths[:, None]


def final_hidden(module: nn.Module, value: Any) -> Tensor | None:
    """The last hidden state of the top layer of a recurrent layer, (n, d).

    Both directions are joined; ``None`` where the module is not recurrent.
    """
    if not isinstance(module, nn.RNNBase) or not isinstance(value, tuple):
        return None
    hidden = value[1][0] if isinstance(value[1], tuple) else value[1]
    directions = 2 if module.bidirectional else 1
    return torch.cat(list(hidden[-directions:]), dim=-1)


def axes_of(two: Tensor, three: Tensor, last: bool) -> Axes | None:
    """The axes of a layer's tensor, inferred from its shapes for two and for three examples.

    ``None`` if no axis counts the examples: the batch is merged with something else.
    """
    if two.dim() != three.dim():
        return None
    for axis in range(min(2, two.dim())):
        if two.shape[axis] == 2 and three.shape[axis] == 3:
            return Axes(axis, last if two.dim() == 3 else two.dim() == 2)
    return None


def channels_last(module: nn.Module) -> bool | None:
    """Whether three-dimensional sequences that a module outputs have their channels last.

    ``None`` if the module's kind does not determine it.
    """
    if isinstance(module, _SECOND):
        return False
    return True if isinstance(module, _LAST) else None


_SECOND = (
    nn.Conv1d,
    nn.ConvTranspose1d,
    nn.BatchNorm1d,
    nn.InstanceNorm1d,
    nn.MaxPool1d,
    nn.AvgPool1d,
    nn.AdaptiveAvgPool1d,
    nn.AdaptiveMaxPool1d,
)
_LAST = (nn.Linear, nn.LayerNorm, nn.RMSNorm, nn.RNNBase, nn.MultiheadAttention, nn.Embedding)
