"""Recurrent layers as a loop that an exported graph can represent for any length.

The exporter would repeat torch's own layers once for each step, and fix the length.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch._higher_order_ops.while_loop import while_loop
from torch.nn import functional as F


def looped(layer: nn.RNNBase, x: Tensor) -> Tensor:
    """The states (n, length, size) of an LSTM or GRU of one layer and direction.

    Args:
        x: (n, length, inside); the state before it is zero.
    """
    parts = ("weight_ih_l0", "bias_ih_l0", "weight_hh_l0", "bias_hh_l0")
    weight, bias, own_weight, own_bias = (getattr(layer, part) for part in parts)
    seen = F.linear(x, weight, bias)
    # A tensor, since the length is a symbol that a loop cannot refer to.
    last = torch.arange(x.shape[1], device=x.device)[-1]
    advance = _lstm if isinstance(layer, nn.LSTM) else _gru

    def goes_on(step: Tensor, hidden: Tensor, cell: Tensor, states: Tensor) -> Tensor:
        return step <= last

    def body(step: Tensor, hidden: Tensor, cell: Tensor, states: Tensor) -> Any:
        now = seen.index_select(1, step.reshape(1))[:, 0]
        hidden, cell = advance(now, F.linear(hidden, own_weight, own_bias), hidden, cell)
        places = torch.arange(states.shape[1], device=states.device)
        return (
            step + 1,
            hidden,
            cell,
            torch.where((places == step)[:, None], hidden[:, None], states),
        )

    zero = x.new_zeros(x.shape[0], layer.hidden_size)
    start = torch.zeros((), dtype=torch.int64, device=x.device)
    states = x.new_zeros(x.shape[0], x.shape[1], layer.hidden_size)
    found: Tensor = while_loop(goes_on, body, (start, zero, zero.clone(), states))[3]  # type: ignore[no-untyped-call]
    return found


def _lstm(seen: Tensor, own: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    gate, forget, value, out = (seen + own).chunk(4, 1)
    cell = forget.sigmoid() * cell + gate.sigmoid() * value.tanh()
    return out.sigmoid() * cell.tanh(), cell


def _gru(seen: Tensor, own: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    pairs = zip(seen.chunk(3, 1), own.chunk(3, 1), strict=True)
    (reset, own_reset), (update, own_update), (value, own_value) = pairs
    kept = (update + own_update).sigmoid()
    fresh = (value + (reset + own_reset).sigmoid() * own_value).tanh()
    return (1 - kept) * fresh + kept * hidden, cell.clone()
