"""Encoder-decoder Transformers (Vaswani et al. 2017, arXiv:1706.03762) with searchable sizes.

They differ from the paper in what is easier to train and to share weights over: norms stand before
each sublayer (Xiong et al. 2020, arXiv:2002.04745), and places are told by rotating queries and
keys (Su et al. 2021, arXiv:2104.09864). Rotation is a matter of a head, whose size is fixed;
sinusoids would give a channel another meaning at each width.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..space import choose, repeat
from .gpt import rotate


def seq2seq(
    vocabulary: int,
    widths: Sequence[int] = (64, 96, 128),
    encoder_depths: Sequence[int] = (1, 2, 3),
    decoder_depths: Sequence[int] = (1, 2, 3),
    heads: Sequence[int] = (1, 2, 4),
    ratios: Sequence[int] = (2, 4),
    head_size: int = 32,
    dropout: float = 0.1,
    padding: int = 0,
) -> nn.Module:
    """Tokens of both languages, int64 (n, source length) and (n, target length), to logits
    (n, target length, vocabulary); each place of the target sees earlier ones and the whole source.

    The width is asked once, the number of layers for either side, and heads and the ratio of the
    feed-forward width to the embedding's in every layer. One matrix embeds both languages and
    gives the logits, as in the paper.

    Args:
        vocabulary: number of tokens, of both languages together.
        widths: of the embedding.
        encoder_depths, decoder_depths: numbers of layers.
        heads: numbers of attention heads; a decoder layer has as many towards the source.
        ratios: of the feed-forward width to the embedding's.
        head_size: of an attention head, a multiple of 4.
        dropout: share of each sublayer's output, and of the embeddings, dropped in training.
        padding: the token that fills up shorter sentences, at their end; nothing sees it.
    """
    width: int = choose("width", widths, default=widths[-1])

    def layer(decodes: bool) -> nn.Module:
        count: int = choose("heads", heads, heads[-1])
        hidden = width * choose("ratio", ratios, ratios[-1])
        return Layer(width, count, head_size, hidden, dropout, decodes)

    encoder = repeat("encoder", encoder_depths, lambda _: layer(False), encoder_depths[-1])
    decoder = repeat("decoder", decoder_depths, lambda _: layer(True), decoder_depths[-1])
    return Seq2Seq(vocabulary, width, encoder, decoder, dropout, padding)


class Incremental(ABC):
    """A model that can go on with a translation: each step costs as much as one token."""

    @abstractmethod
    def begin(self, source: Tensor) -> Any:
        """What is known before the first token: a tree, sources first in each tensor."""

    @abstractmethod
    def advance(self, state: Any, token: Tensor) -> tuple[Tensor, Any]:
        """Logits (n, vocabulary) of what comes after a token (n,), and what is known then."""


class Seq2Seq(nn.Module, Incremental):
    """Embedding, encoder, decoder and logits."""

    def __init__(
        self,
        vocabulary: int,
        width: int,
        encoder: nn.Module,
        decoder: nn.Module,
        dropout: float,
        padding: int,
    ) -> None:
        super().__init__()
        self.width, self.padding = width, padding
        self.embedding, self.dropout = nn.Embedding(vocabulary, width), nn.Dropout(dropout)
        self.encoder, self.decoder = encoder, decoder
        self.encoder_norm, self.decoder_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.logits = nn.Linear(width, vocabulary, bias=False)
        self.logits.weight = self.embedding.weight
        for module in self.modules():
            if isinstance(module, nn.Linear) and not module.weight.is_meta:
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        if not self.embedding.weight.is_meta:
            nn.init.normal_(self.embedding.weight, std=width**-0.5)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        memory, bias = self._encoded(source)
        x = self._embedded(target)
        for layer in self.decoder.children():
            x = layer(x, bias, memory)
        logits: Tensor = self.logits(self.decoder_norm(x))
        return logits

    def begin(self, source: Tensor) -> Any:
        memory, bias = self._encoded(source)
        return bias, tuple(layer.begin(memory) for layer in self.decoder.children())  # type: ignore[operator]

    def advance(self, state: Any, token: Tensor) -> tuple[Tensor, Any]:
        bias, caches = state
        x, known = self._embedded(token[:, None]), []
        for layer, cache in zip(self.decoder.children(), caches, strict=True):
            x, cache = layer.advance(x, bias, cache)  # type: ignore[operator]
            known.append(cache)
        return self.logits(self.decoder_norm(x))[:, 0], (bias, tuple(known))

    def _encoded(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """The memory (n, length, width), and what is added to scores (n, 1, 1, length)."""
        hidden = (source == self.padding)[:, None, None]
        bias = torch.zeros(hidden.shape, dtype=self.embedding.weight.dtype, device=source.device)
        # Finite: a row that sees nothing at all must not become NaN.
        bias = bias.masked_fill(hidden, torch.finfo(bias.dtype).min / 2)
        memory = self._embedded(source)
        for layer in self.encoder.children():
            memory = layer(memory, bias)
        return self.encoder_norm(memory), bias

    def _embedded(self, tokens: Tensor) -> Tensor:
        embedded: Tensor = self.dropout(self.embedding(tokens) * self.width**0.5)
        return embedded


class Layer(nn.Module):
    """Attention to its own side, in a decoder attention to the source, and a feed-forward net."""

    def __init__(
        self, width: int, heads: int, size: int, hidden: int, dropout: float, decodes: bool
    ) -> None:
        super().__init__()
        self.own_norm, self.own = nn.LayerNorm(width), Attention(width, heads, size)
        self.decodes = decodes
        if decodes:
            self.source_norm, self.source = nn.LayerNorm(width), Attention(width, heads, size)
        self.inner_norm, self.inner = nn.LayerNorm(width), nn.Linear(width, hidden)
        self.output, self.dropout = nn.Linear(hidden, width), nn.Dropout(dropout)

    def forward(self, x: Tensor, bias: Tensor, memory: Tensor | None = None) -> Tensor:
        """
        Args:
            x: (n, length, width).
            bias: (n, 1, 1, source length), added to scores of source places.
            memory: the encoded source, (n, source length, width), for a decoder.
        """
        normed = self.own_norm(x)
        # Padding stands at the end of a target, where no earlier place sees it.
        own = self.own.keys(normed, 0)
        x = x + self.dropout(self.own(normed, *own, None if self.decodes else bias, 0))
        return self._rest(x, bias, self.source.keys(memory) if memory is not None else None)

    def begin(self, memory: Tensor) -> Any:
        """Keys and values of the source, and of no target yet."""
        source = self.source.keys(memory)
        return source, tuple(each[:, :, :0] for each in source)

    def advance(self, x: Tensor, bias: Tensor, cache: Any) -> tuple[Tensor, Any]:
        """One place more, (n, 1, width)."""
        source, before = cache
        normed, start = self.own_norm(x), before[0].shape[2]
        own = [torch.cat(pair, 2) for pair in zip(before, self.own.keys(normed, start))]
        # The last place sees all there are, and none is padding.
        nothing = torch.zeros_like(bias[..., :1])
        x = x + self.dropout(self.own(normed, own[0], own[1], nothing, start))
        return self._rest(x, bias, source), (source, tuple(own))

    def _rest(self, x: Tensor, bias: Tensor, source: tuple[Tensor, Tensor] | None) -> Tensor:
        if source is not None:
            x = x + self.dropout(self.source(self.source_norm(x), *source, bias))
        inner = F.relu(self.inner(self.inner_norm(x)))
        out: Tensor = x + self.dropout(self.output(inner))
        return out


class Attention(nn.Module):
    """Attention of one sequence to another; the heads together need not be as wide as the
    embedding."""

    def __init__(self, width: int, heads: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.query, self.key, self.value = (nn.Linear(width, heads * size) for _ in range(3))
        self.output = nn.Linear(heads * size, width)

    def keys(self, seen: Tensor, start: int | None = None) -> tuple[Tensor, Tensor]:
        """Keys and values, (n, heads, places, size), of what is looked at, (n, places, width).

        Args:
            start: place of the first, where places are told by rotation.
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
            x: who looks, (n, length, width).
            key, value: of what is looked at, see :meth:`keys`.
            bias: (n, 1, 1, places or 1), added to scores; without it no place sees later ones.
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
