"""Encoder-decoder Transformers (Vaswani et al. 2017, arXiv:1706.03762) with the choices of HAT
(Wang et al. 2020, arXiv:2005.14187), for small data.

They differ from the paper where that eases training and weight sharing: by default normalisation
comes before each sublayer (Xiong et al. 2020, arXiv:2002.04745), and positions are encoded by
rotating queries and keys (Su et al. 2021, arXiv:2104.09864). Rotation acts within a head, whose
size is fixed; sinusoids would give a channel a different meaning at each width.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..space import choose, repeat
from .attention import middle
from .gpt import rotate


def seq2seq(
    vocabulary: int,
    widths: Sequence[int] = (96, 128, 192),
    encoder_depths: Sequence[int] = (1, 2, 3, 4, 6),
    decoder_depths: Sequence[int] = (1, 2, 3, 4, 6),
    heads: Sequence[int] = (2, 4, 6),
    ratios: Sequence[int] = (2, 3, 4),
    attended: Sequence[int] = (1, 2, 3),
    norms: Sequence[str] = ("pre", "post"),
    activations: Sequence[str] = ("relu", "gelu", "silu"),
    gated: Sequence[bool] = (False, True),
    dropouts: Sequence[float] = (0.1, 0.2, 0.3),
    head_size: int = 32,
    padding: int = 0,
) -> nn.Module:
    """Tokens of both languages, int64 (n, source length) and (n, target length), to logits
    (n, target length, vocabulary); each target position sees earlier ones and the whole source.

    The choices are those of HAT: the width and the number of layers of each side; in every layer
    the heads and the ratio of the feed-forward width to the embedding's; and in a decoder layer
    the heads for the source, and how many of the last encoder layers it sees (their outputs one
    after the other, as one longer sequence). Where the norm is, the activation, whether the
    feed-forward network is gated (Shazeer 2020, arXiv:2002.05202) and the dropout rate are asked
    once. One matrix is used for the embeddings of both languages and the logits, as in the paper;
    a narrower side uses its first columns.

    By default a choice has the middle one of its options; norm, activation and gate the first.

    Args:
        vocabulary: number of tokens, of both languages together.
        widths: of the embedding of a side.
        encoder_depths, decoder_depths: numbers of layers.
        heads: numbers of attention heads.
        ratios: of the feed-forward width to the embedding's.
        attended: numbers of encoder layers that a decoder layer sees; those that are more than the
            encoder has are not asked.
        norms: ``"pre"`` or ``"post"``, before a sublayer or after it as in the paper.
        activations: of the feed-forward networks, names from :mod:`torch.nn.functional`.
        gated: whether the activation multiplies a second linear layer.
        dropouts: dropout rates of each sublayer's output and of the embeddings.
        head_size: of an attention head, a multiple of 4.
        padding: the token that pads shorter sentences at the end; it is masked.
    """
    form = Form(
        choose("norm", norms),
        choose("activation", activations),
        choose("gated", gated),
        choose("dropout", dropouts, middle(dropouts)),
        head_size,
    )
    outer: int = choose("encoder_width", widths, middle(widths))
    inner: int = choose("decoder_width", widths, middle(widths))

    def encoder_layer(_: int) -> nn.Module:
        count: int = choose("heads", heads, middle(heads))
        return Layer(form, outer, count, outer * choose("ratio", ratios, middle(ratios)))

    encoder = repeat("encoder", encoder_depths, encoder_layer, middle(encoder_depths))
    possible = [count for count in attended if count <= len(encoder)] or [len(encoder)]

    def decoder_layer(_: int) -> nn.Module:
        count: int = choose("heads", heads, middle(heads))
        hidden = inner * choose("ratio", ratios, middle(ratios))
        seeing: int = choose("source_heads", heads, middle(heads))
        return DecoderLayer(form, inner, count, hidden, outer, seeing, choose("sees", possible))

    decoder = repeat("decoder", decoder_depths, decoder_layer, middle(decoder_depths))
    return Seq2Seq(vocabulary, (outer, inner), encoder, decoder, form, padding)


class Form(NamedTuple):
    """What all layers of a network have in common; see :func:`seq2seq`."""

    norm: str
    activation: str
    gated: bool
    dropout: float
    head_size: int


class Incremental(ABC):
    """A model with incremental decoding: each step costs as much as one token."""

    @abstractmethod
    def begin(self, source: Tensor) -> Any:
        """The state before the first token: a tree with the examples first in each tensor."""

    @abstractmethod
    def advance(self, state: Any, token: Tensor) -> tuple[Tensor, Any]:
        """Logits (n, vocabulary) of the token after ``token`` (n,), and the new state."""


class Seq2Seq(nn.Module, Incremental):
    """Embedding, encoder and decoder layers, and logits; see :func:`seq2seq`."""

    def __init__(
        self,
        vocabulary: int,
        widths: tuple[int, int],
        encoder: nn.Module,
        decoder: nn.Module,
        form: Form,
        padding: int,
    ) -> None:
        super().__init__()
        self.widths, self.padding = widths, padding
        self.embedding = nn.Embedding(vocabulary, max(widths))
        self.dropout = nn.Dropout(form.dropout)
        self.encoder, self.decoder = encoder, decoder
        # After a layer that ends with a norm there is nothing to normalise.
        self.encoder_norm, self.decoder_norm = (
            nn.LayerNorm(width) if form.norm == "pre" else nn.Identity() for width in widths
        )
        #: How many of the last encoder layers are seen by any decoder layer.
        self.kept: int = max(layer.sees for layer in decoder.children())  # type: ignore[type-var, assignment]
        for module in self.modules():
            if isinstance(module, nn.Linear) and not module.weight.is_meta:
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        if not self.embedding.weight.is_meta:
            nn.init.normal_(self.embedding.weight, std=max(widths) ** -0.5)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        memory, bias = self._encode(source)
        x = self._embed(target, self.widths[1])
        for layer in self.decoder.children():
            x = layer(x, bias, memory)
        return self._logits(x)

    def begin(self, source: Tensor) -> Any:
        memory, bias = self._encode(source)
        return bias, tuple(layer.begin(memory) for layer in self.decoder.children())  # type: ignore[operator]

    def advance(self, state: Any, token: Tensor) -> tuple[Tensor, Any]:
        bias, caches = state
        x, new_caches = self._embed(token[:, None], self.widths[1]), []
        for layer, cache in zip(self.decoder.children(), caches, strict=True):
            x, cache = layer.advance(x, bias, cache)  # type: ignore[operator]
            new_caches.append(cache)
        return self._logits(x)[:, 0], (bias, tuple(new_caches))

    def _encode(self, source: Tensor) -> tuple[list[Tensor], Tensor]:
        """Outputs (n, length, width) of the last layers, and a bias for attention scores
        (n, 1, 1, length)."""
        hidden = (source == self.padding)[:, None, None]
        bias = torch.zeros(hidden.shape, dtype=self.embedding.weight.dtype, device=source.device)
        # Finite, because a fully masked row must not become NaN.
        bias = bias.masked_fill(hidden, torch.finfo(bias.dtype).min / 2)
        x, memory = self._embed(source, self.widths[0]), []
        for layer in self.encoder.children():
            x = layer(x, bias)
            memory.append(x)
        return [self.encoder_norm(one) for one in memory[-self.kept :]], bias

    def _embed(self, tokens: Tensor, width: int) -> Tensor:
        embedded: Tensor = self.dropout(self.embedding(tokens)[..., :width] * width**0.5)
        return embedded

    def _logits(self, x: Tensor) -> Tensor:
        return F.linear(self.decoder_norm(x), self.embedding.weight[:, : self.widths[1]])


class Layer(nn.Module):
    """Self-attention and a feed-forward network, each with a norm before or after it."""

    def __init__(self, form: Form, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.pre, self.activation = form.norm == "pre", getattr(F, form.activation)
        self.own_norm, self.own = nn.LayerNorm(width), Attention(width, width, heads, form)
        self.inner_norm, self.inner = nn.LayerNorm(width), nn.Linear(width, hidden)
        self.gate = nn.Linear(width, hidden) if form.gated else None
        self.output, self.dropout = nn.Linear(hidden, width), nn.Dropout(form.dropout)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """
        Args:
            x: (n, length, width).
            bias: (n, 1, 1, source length), added to the scores of source positions.
        """
        return self._feed(self._look(x, bias))

    def _look(self, x: Tensor, bias: Tensor | None) -> Tensor:
        return self._around(
            self.own_norm, x, lambda seen: self.own(seen, *self.own.keys(seen, 0), bias, 0)
        )

    def _feed(self, x: Tensor) -> Tensor:
        def fed(seen: Tensor) -> Tensor:
            inner = self.activation(self.inner(seen))
            out: Tensor = self.output(inner if self.gate is None else inner * self.gate(seen))
            return out

        return self._around(self.inner_norm, x, fed)

    def _around(self, norm: nn.Module, x: Tensor, part: Callable[[Tensor], Tensor]) -> Tensor:
        """A sublayer with its residual connection and norm."""
        added: Tensor = x + self.dropout(part(norm(x) if self.pre else x))
        return added if self.pre else norm(added)


class DecoderLayer(Layer):
    """A layer with attention to the source between its two parts."""

    def __init__(
        self, form: Form, width: int, heads: int, hidden: int, outer: int, seeing: int, sees: int
    ) -> None:
        """
        Args:
            outer: width of the encoder.
            seeing: heads of the attention to the source.
            sees: number of encoder layers.
        """
        super().__init__(form, width, heads, hidden)
        self.source_norm, self.source = nn.LayerNorm(width), Attention(width, outer, seeing, form)
        self.sees = sees

    def forward(self, x: Tensor, bias: Tensor, memory: Sequence[Tensor] = ()) -> Tensor:
        """
        Args:
            x, bias: as of :class:`Layer`.
            memory: outputs of encoder layers, each (n, source length, outer width).
        """
        # Padding is at the end of a target, where no earlier position sees it.
        return self._feed(self._read(self._look(x, None), bias, self._keys(memory)))

    def begin(self, memory: Sequence[Tensor]) -> Any:
        """Keys and values of the source, and empty ones of the target."""
        heads = self.own.key.out_features // self.own.size
        empty = memory[0].new_zeros(len(memory[0]), heads, 0, self.own.size)
        return self._keys(memory), (empty, empty)

    def advance(self, x: Tensor, bias: Tensor, cache: Any) -> tuple[Tensor, Any]:
        """One more position, (n, 1, width)."""
        source, cached = cache
        start = cached[0].shape[2]
        own: list[Tensor] = []
        # The last position sees all earlier ones, and none of them is padding.
        no_bias = torch.zeros_like(bias[..., :1])

        def look(seen: Tensor) -> Tensor:
            own.extend(torch.cat(pair, 2) for pair in zip(cached, self.own.keys(seen, start)))
            return self.own(seen, *own, no_bias, start)  # type: ignore[no-any-return]

        x = self._around(self.own_norm, x, look)
        return self._feed(self._read(x, bias, source)), (source, tuple(own))

    def _keys(self, memory: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        return self.source.keys(torch.cat(list(memory[-self.sees :]), 1))

    def _read(self, x: Tensor, bias: Tensor, source: tuple[Tensor, Tensor]) -> Tensor:
        whole = bias.repeat(1, 1, 1, self.sees)
        return self._around(self.source_norm, x, lambda seen: self.source(seen, *source, whole))


class Attention(nn.Module):
    """Attention of one sequence to another; the heads together need not be as wide as the
    embedding."""

    def __init__(self, width: int, seen: int, heads: int, form: Form) -> None:
        """
        Args:
            width, seen: of the queries' sequence, and of the one that is attended to.
        """
        super().__init__()
        self.size = form.head_size
        inside = heads * self.size
        self.query = nn.Linear(width, inside)
        self.key, self.value = nn.Linear(seen, inside), nn.Linear(seen, inside)
        self.output = nn.Linear(inside, width)

    def keys(self, seen: Tensor, start: int | None = None) -> tuple[Tensor, Tensor]:
        """Keys and values, (n, heads, length, size), of a sequence (n, length, width).

        Args:
            start: position of the first element, for rotary encoding.
        """
        key = self._split(self.key(seen))
        return key if start is None else rotate(key, start), self._split(self.value(seen))

    def forward(
        self,
        x: Tensor,
        key: Tensor,
        value: Tensor,
        bias: Tensor | None,
        start: int | None = None,
    ) -> Tensor:
        """
        Args:
            x: the queries, (n, length, width).
            key, value: of the attended sequence, see :meth:`keys`.
            bias: (n, 1, 1, length or 1), added to scores; without it attention is causal.
            start: as for :meth:`keys`.
        """
        query = self._split(self.query(x))
        query = query if start is None else rotate(query, start)
        if bias is not None:
            bias = bias.to(query.dtype).expand(-1, -1, query.shape[2], key.shape[2])
        mixed = F.scaled_dot_product_attention(query, key, value, bias, is_causal=bias is None)
        out: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return out

    def _split(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], -1, self.size).transpose(1, 2)
