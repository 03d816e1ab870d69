"""What networks that classify texts share: embedding, pooling over a text, and the last layer.

Texts of a batch are padded at the end. Nothing depends on the padding: layers leave it out, or see
zeros in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..space import choose, one_of

#: Ways to make one vector of a text.
POOLS = ("max", "mean", "attention")


class TextClassifier(nn.Module):
    """Tokens, int64 (n, length), to logits (n, classes).

    Args:
        body: takes embedded tokens (n, length, width), and where there is no padding, bool
            (n, length); gives logits.
        dropout: rate for pooled features; half of it is for embeddings.
        padding: the token that pads shorter texts at the end. The first token of a text is never
            taken for padding, so that an empty text has a token, too.
        beside: takes tokens, and where there is no padding; its logits are added.
    """

    def __init__(
        self,
        vocabulary: int,
        width: int,
        body: nn.Module,
        dropout: float,
        padding: int,
        beside: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.padding, self.beside = padding, beside
        self.embedding, self.dropout = nn.Embedding(vocabulary, width), nn.Dropout(dropout / 2)
        self.body = body
        if not self.embedding.weight.is_meta:
            nn.init.normal_(self.embedding.weight, std=0.1)

    def forward(self, tokens: Tensor) -> Tensor:
        places = torch.arange(tokens.shape[1], device=tokens.device)
        there = (tokens != self.padding) | (places == 0)
        logits: Tensor = self.body(self.dropout(self.embedding(tokens)), there)
        return logits if self.beside is None else logits + self.beside(tokens, there)


class Layers(nn.Module):
    """Layers that each take (n, length, width) and where there is no padding, and a head.

    Args:
        positions: embedding (places, width) of the first places, which is added to the input; later
            ones have that of the last.
    """

    def __init__(
        self, layers: nn.Module, head: nn.Module, positions: nn.Parameter | None = None
    ) -> None:
        super().__init__()
        self.layers, self.head, self.positions = layers, head, positions

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        if self.positions is not None:
            places = torch.arange(x.shape[1], device=x.device)
            x = x + self.positions[places.clamp(max=len(self.positions) - 1)]
        for layer in self.layers.children():
            x = layer(x, there)
        logits: Tensor = self.head(x, there)
        return logits


class Head(nn.Module):
    """Pooling over a text, dropout, and a linear layer.

    Args:
        pool: one of :data:`POOLS`; ``"attention"`` is a weighted mean, whose weights a linear layer
            gives (Lin et al. 2017, arXiv:1703.03130); or ``"last"``: the last element, and the
            first of a backward layer.
        both: whether the second half of the features is of a backward layer.
        norm: whether a LayerNorm comes first.
    """

    def __init__(
        self,
        pool: str,
        width: int,
        classes: int,
        dropout: float,
        both: bool = False,
        norm: bool = False,
    ) -> None:
        super().__init__()
        self.pool, self.both = pool, both
        self.norm = nn.LayerNorm(width) if norm else nn.Identity()
        if pool == "attention":
            self.score = nn.Linear(width, 1)
        self.dropout, self.logits = nn.Dropout(dropout), nn.Linear(width, classes)

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        logits: Tensor = self.logits(self.dropout(self._pooled(self.norm(x), there)))
        return logits

    def _pooled(self, x: Tensor, there: Tensor) -> Tensor:
        hidden = ~there[..., None]
        if self.pool == "max":
            return x.masked_fill(hidden, torch.finfo(x.dtype).min).amax(1)
        if self.pool == "last":
            place = (there.sum(1) - 1)[:, None, None].expand(-1, 1, x.shape[-1])
            last = x.gather(1, place)[:, 0]
            if not self.both:
                return last
            half = x.shape[-1] // 2
            return torch.cat([last[:, :half], x[:, 0, half:]], 1)
        if self.pool == "mean":
            weights = there[..., None].to(x.dtype)
        else:
            scores = self.score(x).masked_fill(hidden, torch.finfo(x.dtype).min)
            weights = scores.softmax(1)
        return (x * weights).sum(1) / weights.sum(1)


class Convolution(nn.Module):
    """Convolutions of several kernel sizes side by side, and a ReLU: (n, length, inside) to
    (n, length, outside).

    Args:
        kernels: their sizes; each gives an equal share of ``outside``.
    """

    def __init__(self, inside: int, outside: int, kernels: Sequence[int]) -> None:
        super().__init__()
        share = outside // len(kernels)
        self.kernels = nn.ModuleDict(
            {f"of{size}": nn.Conv1d(inside, share, size, padding=size // 2) for size in kernels}
        )

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        # Kernels of an even size give one element more than they get.
        seen, length = x.masked_fill(~there[..., None], 0.0).transpose(1, 2), x.shape[1]
        found = [kernel(seen)[..., :length] for kernel in self.kernels.children()]
        return F.relu(torch.cat(found, 1)).transpose(1, 2)


class Recurrence(nn.Module):
    """An LSTM (Hochreiter and Schmidhuber 1997) or GRU (Cho et al. 2014, arXiv:1406.1078), and
    another that reads backwards, side by side: (n, length, inside) to (n, length, outside).

    Args:
        cell: ``"lstm"`` or ``"gru"``.
        outside: even if ``both``.
    """

    def __init__(self, cell: str, inside: int, outside: int, both: bool) -> None:
        super().__init__()
        kind: Callable[..., nn.RNNBase] = {"lstm": nn.LSTM, "gru": nn.GRU}[cell]
        size = outside // 2 if both else outside
        self.forwards = kind(inside, size, batch_first=True)
        # Two layers and not one of two directions, which would begin backwards in the padding.
        self.backwards = kind(inside, size, batch_first=True) if both else None

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        found = _run(self.forwards, x)
        if self.backwards is not None:
            order = _backwards(there)
            read = _run(self.backwards, _reordered(x, order))
            found = torch.cat([found, _reordered(read, order)], -1)
        return found


def _run(layer: nn.RNNBase, x: Tensor) -> Tensor:
    """The states (n, length, size) of a layer, in a form that can be exported."""
    if torch.compiler.is_exporting():
        from .looped import looped

        return looped(layer, x)
    states: Tensor = layer(x)[0]
    return states


class Sublayer(nn.Module):
    """A shortcut around a layer of equal widths before and after it, and a norm.

    Args:
        inner: takes (n, length, width) and, unless it is ``pointwise``, where there is no padding.
        first: whether the norm comes before the layer, or after the shortcut.
        dropout: rate for what the layer gives.
    """

    def __init__(
        self,
        inner: nn.Module,
        norm: nn.Module,
        first: bool,
        dropout: float,
        pointwise: bool = False,
    ) -> None:
        super().__init__()
        self.inner, self.norm, self.dropout = inner, norm, nn.Dropout(dropout)
        self.first, self.pointwise = first, pointwise

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        seen = self.norm(x) if self.first else x
        added = self.inner(seen) if self.pointwise else self.inner(seen, there)
        out: Tensor = x + self.dropout(added)
        return out if self.first else self.norm(out)


class Row(nn.Sequential):
    """Layers one after the other, all of which take where there is no padding."""

    def forward(self, x: Tensor, there: Tensor) -> Tensor:  # type: ignore[override]
        for layer in self:
            x = layer(x, there)
        return x


def _backwards(there: Tensor) -> Tensor:
    """Places (n, length) that reverse each text and leave its padding at the end."""
    places = torch.arange(there.shape[1], device=there.device)
    mirrored = there.sum(1, keepdim=True) - 1 - places
    return torch.where(mirrored >= 0, mirrored, places)


def _reordered(x: Tensor, order: Tensor) -> Tensor:
    return x.gather(1, order[..., None].expand(-1, -1, x.shape[-1]))


def recurrence(inside: int, outside: int, both: bool) -> nn.Module:
    """A recurrent layer whose cell is a decision."""
    cells = {cell: partial(Recurrence, cell, inside, outside, both) for cell in ("lstm", "gru")}
    layer: nn.Module = one_of("cell", cells)
    return layer


def dropouts(options: Sequence[float], default: float) -> float:
    """The dropout rate, as a decision."""
    rate: float = choose("dropout", options, default)
    return rate
