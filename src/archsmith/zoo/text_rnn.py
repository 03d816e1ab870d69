"""Stacks of LSTM or GRU layers for texts (Schuster and Paliwal 1997 for both directions)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from ..space import choose, repeat
from .text_parts import POOLS, Head, Layers, TextClassifier, dropouts, recurrence


def text_rnn(
    vocabulary: int,
    classes: int,
    padding: int = 0,
    *,
    embeddings: Sequence[int] = (32, 64, 128),
    depths: Sequence[int] = (1, 2),
    widths: Sequence[int] = (32, 64, 96, 128),
    dropout: Sequence[float] = (0.1, 0.3, 0.5),
) -> nn.Module:
    """Tokens int64 (n, length) to logits (n, classes).

    Searched are the width of the embedding, whether layers read in both directions, their number,
    the cell and the width of each, the pooling (maximum, mean, attention, or the last state), and
    the dropout rate.

    Args:
        vocabulary: number of tokens.
        padding: the token that pads shorter texts at the end.
        embeddings: widths of the embedding.
        depths: numbers of layers.
        widths: of a layer, in each direction.
        dropout: rates for pooled features; half of it is for embeddings.
    """
    embedding: int = choose("embedding", embeddings, embeddings[-1])
    rate = dropouts(dropout, dropout[-1])
    body = recurrent(embedding, classes, rate, depths, widths)
    return TextClassifier(vocabulary, embedding, body, rate, padding)


def recurrent(
    inside: int, classes: int, rate: float, depths: Sequence[int], widths: Sequence[int]
) -> nn.Module:
    """All but the embedding, see :func:`text_rnn`."""
    both: bool = choose("both_directions", [True, False])
    wide = inside

    def layer(_: int) -> nn.Module:
        nonlocal wide
        before, wide = wide, choose("width", widths, widths[-1]) * (2 if both else 1)
        return recurrence(before, wide, both)

    layers = repeat("layers", depths, layer, depths[0])
    pool: str = choose("pool", [*POOLS, "last"])
    return Layers(layers, Head(pool, wide, classes, rate, both))
