"""Causal layers that mix positions of a sequence: attention, recurrent layers and convolutions.

Each can go on from a state: keys and values of earlier positions, the hidden state, or the last
inputs. So a text is generated without running the network on all of it for every token.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .gpt import rotate


class Carried(nn.Module, ABC):
    """A causal layer, (n, length, width) to (n, length, width), that can go on from a state."""

    @abstractmethod
    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """The outputs for the next positions, and the state after them.

        Args:
            state: what the last call returned; ``None`` at the beginning.
        """


class Attention(Carried):
    """Self-attention to earlier positions (Vaswani et al. 2017, arXiv:1706.03762).

    Args:
        heads: number of heads; together they may be narrower or wider than the layer.
        size: of a head, a multiple of 4.
        shared: query heads that share a key and a value (Ainslie et al. 2023, arXiv:2305.13245).
        positions: ``"rotary"`` (Su et al. 2021, arXiv:2104.09864), ``"alibi"``, scores that fall
            with the distance (Press et al. 2021, arXiv:2108.12409); others are not its own matter.
        window: positions that are seen, its own among them; 0 for all earlier ones.

    The state is a pair of keys and values, (n, heads / shared, positions so far, size).
    """

    def __init__(
        self, width: int, heads: int, size: int, shared: int, positions: str, window: int
    ) -> None:
        super().__init__()
        self.heads, self.size, self.shared = heads, size, shared
        self.positions, self.window = positions, window
        self.query = nn.Linear(width, heads * size, bias=False)
        self.key, self.value = (
            nn.Linear(width, heads // shared * size, bias=False) for _ in range(2)
        )
        self.output = nn.Linear(heads * size, width, bias=False)

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        start = state[0].shape[2] if state is not None else 0
        query, key, value = (
            part.unflatten(-1, (-1, self.size)).transpose(1, 2)
            for part in (self.query(x), self.key(x), self.value(x))
        )
        if self.positions == "rotary":
            query, key = rotate(query, start), rotate(key, start)
        if state is not None:
            key, value = (torch.cat(pair, 2) for pair in zip(state, (key, value), strict=True))
        bias = None
        if state is not None or self.window or self.positions == "alibi":
            bias = self._bias(start, key).to(query.dtype)
        keys, values = key, value
        if self.shared > 1:
            keys, values = (t.repeat_interleave(self.shared, 1) for t in (key, value))
        mixed = F.scaled_dot_product_attention(query, keys, values, bias, is_causal=bias is None)
        return self.output(mixed.transpose(1, 2).flatten(2)), (key, value)

    def _bias(self, start: int, key: Tensor) -> Tensor:
        """What is added to the scores, (heads or 1, positions from ``start``, all positions)."""
        places = torch.arange(key.shape[2], device=key.device)
        distance = places[start:, None] - places[None]
        hidden = distance < 0
        if self.window:
            hidden = hidden | (distance >= self.window)
        bias = torch.zeros_like(distance, dtype=torch.float32)[None]
        if self.positions == "alibi":
            steps = torch.arange(1, self.heads + 1, device=key.device)
            bias = -(2.0 ** (-8.0 * steps / self.heads))[:, None, None] * distance
        return bias.masked_fill(hidden, -torch.inf)


class Recurrent(Carried):
    """An LSTM (Hochreiter and Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735) or a GRU (Cho et
    al. 2014, arXiv:1406.1078) as wide as its input."""

    def __init__(self, width: int, kind: str) -> None:
        super().__init__()
        # The name tells them apart where weights are shared.
        self.kind, layer = kind, nn.LSTM if kind == "lstm" else nn.GRU
        self.add_module(kind, layer(width, width, batch_first=True))

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        layer = self.get_submodule(self.kind)
        assert isinstance(layer, nn.RNNBase)
        if torch.compiler.is_exporting() and state is None:
            from .looped import looped

            return looped(layer, x), None
        out, new = layer(x, state)
        return out, new


class Convolution(Carried):
    """A gated causal convolution: ``output(convolved(inner(x)) * silu(gate(x)))``, each channel
    with a kernel of its own (as in Poli et al. 2023, arXiv:2302.10866, with short kernels).

    Args:
        kernel: number of positions that are seen, its own among them.
        dilation: distance between them.

    The state is the last ``(kernel - 1) * dilation`` inputs of the convolution.
    """

    def __init__(self, width: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.inner, self.gate, self.output = (nn.Linear(width, width) for _ in range(3))
        #: (width, 1, kernel): the present first, so that smaller kernels are parts of larger ones.
        self.taps = nn.Parameter(torch.empty(width, 1, kernel))
        if not self.taps.is_meta:
            nn.init.uniform_(self.taps, -(kernel**-0.5), kernel**-0.5)

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        before = (self.taps.shape[2] - 1) * self.dilation
        inner = self.inner(x).transpose(1, 2)
        inner = F.pad(inner, (before, 0)) if state is None else torch.cat([state, inner], 2)
        kernel = self.taps.flip(-1)
        mixed = F.conv1d(inner, kernel, dilation=self.dilation, groups=len(kernel))
        out = self.output(mixed.transpose(1, 2) * F.silu(self.gate(x)))
        return out, inner[:, :, inner.shape[2] - before :]
