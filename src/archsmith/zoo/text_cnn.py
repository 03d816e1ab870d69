"""Convolutional networks for sentences (Kim 2014, arXiv:1408.5882) with searchable kernels."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from ..space import choose, subset
from .text_parts import POOLS, Convolution, Head, Layers, TextClassifier, dropouts


def text_cnn(
    vocabulary: int,
    classes: int,
    padding: int = 0,
    *,
    embeddings: Sequence[int] = (32, 64, 128),
    kernels: Sequence[int] = (1, 2, 3, 4, 5, 7),
    counts: Sequence[int] = (1, 2, 3),
    widths: Sequence[int] = (32, 64, 96, 128),
    dropout: Sequence[float] = (0.1, 0.3, 0.5),
) -> nn.Module:
    """Tokens int64 (n, length) to logits (n, classes).

    Kernels of several sizes side by side, pooling over the text, and a linear layer. Searched are
    the width of the embedding, which sizes there are, how many kernels of each, the pooling, and
    the dropout rate.

    Args:
        vocabulary: number of tokens.
        padding: the token that pads shorter texts at the end.
        embeddings: widths of the embedding.
        kernels: sizes of kernels in tokens.
        counts: how many sizes there may be.
        widths: numbers of kernels of each size.
        dropout: rates for pooled features; half of it is for embeddings.
    """
    embedding: int = choose("embedding", embeddings, embeddings[-1])
    rate = dropouts(dropout, dropout[-1])
    body = convolutional(embedding, classes, rate, kernels, counts, widths)
    return TextClassifier(vocabulary, embedding, body, rate, padding)


def convolutional(
    inside: int,
    classes: int,
    rate: float,
    kernels: Sequence[int],
    counts: Sequence[int],
    widths: Sequence[int],
) -> nn.Module:
    """All but the embedding, see :func:`text_cnn`."""
    usual = [size for size in kernels if size in (3, 4, 5)] or kernels
    sizes: tuple[int, ...] = subset("kernels", kernels, counts, usual[: counts[-1]])
    width: int = choose("width", widths, widths[-1]) * len(sizes)
    pool: str = choose("pool", POOLS)
    layers = nn.Sequential(Convolution(inside, width, sizes))
    return Layers(layers, Head(pool, width, classes, rate))


def kim_cnn(vocabulary: int, classes: int, padding: int = 0, scale: float = 1.0) -> nn.Module:
    """The network of the paper, with embeddings that start with random values (CNN-rand).

    Args:
        scale: factor of all widths.
    """
    embedding, width = max(1, round(300 * scale)), max(1, round(100 * scale))
    layers = nn.Sequential(Convolution(embedding, 3 * width, (3, 4, 5)))
    body = Layers(layers, Head("max", 3 * width, classes, 0.5))
    return TextClassifier(vocabulary, embedding, body, 0.0, padding)
