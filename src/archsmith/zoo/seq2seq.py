"""Encoder-decoder Transformers (Vaswani et al. 2017, arXiv:1706.03762) with searchable sizes.

They differ from the paper where that eases training and weight sharing: normalisation comes before
each sublayer (Xiong et al. 2020, arXiv:2002.04745), and positions are encoded by rotating queries
and keys (Su et al. 2021, arXiv:2104.09864). Rotation acts within a head, whose size is fixed;
sinusoids would give a channel a different meaning at each width.
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
    (n, target length, vocabulary); each target position sees earlier ones and the whole source.

    The width is asked once, the number of layers once per side, and the heads and the ratio of the
    feed-forward width to the embedding's in every layer. One matrix is used for the embeddings of
    both languages and the logits, as in the paper.

    Args:
        vocabulary: number of tokens, of both languages together.
        widths: of the embedding.
        encoder_depths, decoder_depths: numbers of layers.
        heads: numbers of attention heads; a decoder layer has as many for the source.
        ratios: of the feed-forward width to the embedding's.
        head_size: of an attention head, a multiple of 4.
        dropout: dropout rate of each sublayer's output and of the embeddings.
        padding: the token that pads shorter sentences at the end; it is masked.
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
    """A model with incremental decoding: each step costs as much as one token."""

    @abstractmethod
    def begin(self, source: Tensor) -> Any:
        """The state before the first token: a tree with the examples first in each tensor."""

    @abstractmethod
    def advance(self, state: Any, token: Tensor) -> tuple[Tensor, Any]:
        """Logits (n, vocabulary) of the token after ``token`` (n,), and the new state."""


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
        memory, bias = self._encode(source)
        x = self._embed(target)
        for layer in self.decoder.children():
            x = layer(x, bias, memory)
        logits: Tensor = self.logits(self.decoder_norm(x))
        return logits

    def begin(self, source: Tensor) -> Any:
        memory, bias = self._encode(source)
        return bias, tuple(layer.begin(memory) for layer in self.decoder.children())  # type: ignore[operator]

    def advance(self, state: Any, token: Tensor) -> tuple[Tensor, Any]:
        bias, caches = state
        x, new_caches = self._embed(token[:, None]), []
        for layer, cache in zip(self.decoder.children(), caches, strict=True):
            x, cache = layer.advance(x, bias, cache)  # type: ignore[operator]
            new_caches.append(cache)
        return self.logits(self.decoder_norm(x))[:, 0], (bias, tuple(new_caches))

    def _encode(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """The memory (n, length, width), and a bias for attention scores (n, 1, 1, length)."""
        bias = attention_bias(source == self.padding, self.embedding.weight.dtype)
        memory = self._embed(source)
        for layer in self.encoder.children():
            memory = layer(memory, bias)
        return self.encoder_norm(memory), bias

    def _embed(self, tokens: Tensor) -> Tensor:
        embedded: Tensor = self.dropout(self.embedding(tokens) * self.width**0.5)
        return embedded


class Layer(nn.Module):
    """Self-attention, in a decoder attention to the source, and a feed-forward network."""

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
            bias: (n, 1, 1, source length), added to the scores of source positions.
            memory: the encoded source, (n, source length, width), for a decoder.
        """
        normed = self.own_norm(x)
        # Padding is at the end of a target, where no earlier position sees it.
        own = self.own.keys(normed, 0)
        x = x + self.dropout(self.own(normed, *own, None if self.decodes else bias, 0))
        return self._finish(x, bias, self.source.keys(memory) if memory is not None else None)

    def begin(self, memory: Tensor) -> Any:
        """Keys and values of the source, and empty ones of the target."""
        source = self.source.keys(memory)
        return source, tuple(tensor[:, :, :0] for tensor in source)

    def advance(self, x: Tensor, bias: Tensor, cache: Any) -> tuple[Tensor, Any]:
        """One more position, (n, 1, width)."""
        source, cached = cache
        normed, start = self.own_norm(x), cached[0].shape[2]
        own = [torch.cat(pair, 2) for pair in zip(cached, self.own.keys(normed, start))]
        # The last position sees all earlier ones, and none of them is padding.
        no_bias = torch.zeros_like(bias[..., :1])
        x = x + self.dropout(self.own(normed, own[0], own[1], no_bias, start))
        return self._finish(x, bias, source), (source, tuple(own))

    def _finish(self, x: Tensor, bias: Tensor, source: tuple[Tensor, Tensor] | None) -> Tensor:
        if source is not None:
            x = x + self.dropout(self.source(self.source_norm(x), *source, bias))
        inner = F.relu(self.inner(self.inner_norm(x)))
        out: Tensor = x + self.dropout(self.output(inner))
        return out


def attention_bias(padding: Tensor, dtype: torch.dtype) -> Tensor:
    """What is added to scores (n, 1, 1, length) of positions, so that padding is not attended."""
    bias = torch.zeros(padding.shape, dtype=dtype, device=padding.device)
    # Finite, because a fully masked row must not become NaN.
    return bias.masked_fill(padding, torch.finfo(dtype).min / 2)[:, None, None]


class Attention(nn.Module):
    """Attention of one sequence to another; the heads together need not be as wide as the
    embedding.

    Args:
        key_heads: how many heads of keys and values there are, each of which as many heads of
            queries share (Ainslie et al. 2023, arXiv:2305.13245); as many as ``heads`` if not
            given.
    """

    def __init__(self, width: int, heads: int, size: int, key_heads: int | None = None) -> None:
        super().__init__()
        self.size, self.sharing = size, heads // (key_heads or heads)
        self.query = nn.Linear(width, heads * size)
        self.key, self.value = (nn.Linear(width, (key_heads or heads) * size) for _ in range(2))
        self.output = nn.Linear(heads * size, width)

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
        if self.sharing > 1:
            key, value = (one.repeat_interleave(self.sharing, 1) for one in (key, value))
        mixed = F.scaled_dot_product_attention(query, key, value, bias, is_causal=bias is None)
        out: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return out

    def _split(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], -1, self.size).transpose(1, 2)
