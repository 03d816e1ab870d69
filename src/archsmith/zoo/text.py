"""Networks for texts of all kinds: convolution, recurrence, attention, and layers of each kind."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from ..space import choose, one_of, repeat
from .ngrams import NGrams
from .text_cnn import convolutional
from .text_encoder import attentive, transformer_layer
from .text_parts import (
    POOLS,
    Convolution,
    Head,
    Layers,
    Sublayer,
    TextClassifier,
    dropouts,
    recurrence,
)
from .text_rnn import recurrent


def text(
    vocabulary: int,
    classes: int,
    length: int = 128,
    padding: int = 0,
    *,
    embeddings: Sequence[int] = (32, 64, 96, 128),
    widths: Sequence[int] = (32, 64, 96, 128),
    depths: Sequence[int] = (1, 2, 3, 4),
    heads: Sequence[int] = (2, 4),
    head_size: int = 32,
    dropout: Sequence[float] = (0.1, 0.3, 0.5),
    ngrams: Sequence[int] = (0, 1, 2, 3),
) -> nn.Module:
    """Tokens int64 (n, length) to logits (n, classes).

    The width of the embedding and the dropout rate are asked once, then the family: ``convolution``
    as in :func:`~archsmith.zoo.text_cnn.text_cnn`, ``recurrence`` as in
    :func:`~archsmith.zoo.text_rnn.text_rnn`, ``attention`` as in
    :func:`~archsmith.zoo.text_encoder.text_encoder`, or ``hybrid``: layers with shortcuts, each of
    which is a convolution, reads in both directions, or attends. The logits of n-grams
    (:class:`~archsmith.zoo.ngrams.NGrams`) may be added; by default they are, of one and two
    tokens.

    Args:
        vocabulary: number of tokens.
        length: highest number of tokens of a text.
        padding: the token that pads shorter texts at the end.
        embeddings: widths of the embedding, multiples of 4.
        widths: numbers of kernels of a size, and widths of recurrent layers.
        depths: numbers of layers that attend or are of any kind; up to two are recurrent.
        heads: numbers of attention heads of a layer, even.
        head_size: of a head, a multiple of 4.
        dropout: rates for sublayers and pooled features; half of it is for embeddings.
        ngrams: highest lengths of n-grams whose logits are added; 0 for none.
    """
    width: int = choose("embedding", embeddings, embeddings[-1])
    rate = dropouts(dropout, dropout[-1])
    few = [depth for depth in depths if depth <= 2] or depths[:1]
    ratios = (1, 2, 4)
    body = one_of(
        "family",
        {
            "convolution": lambda: convolutional(
                width, classes, rate, (1, 2, 3, 4, 5, 7), (1, 2, 3), widths
            ),
            "recurrence": lambda: recurrent(width, classes, rate, few, widths),
            "attention": lambda: attentive(
                width, classes, length, rate, depths, heads, ratios, head_size
            ),
            "hybrid": lambda: _hybrid(width, classes, rate, depths, heads, ratios, head_size),
        },
    )
    longest: int = choose("ngrams", ngrams, 2 if 2 in ngrams else ngrams[-1])
    beside = NGrams(classes, longest) if longest else None
    return TextClassifier(vocabulary, width, body, rate, padding, beside)


def _hybrid(
    width: int,
    classes: int,
    rate: float,
    depths: Sequence[int],
    heads: Sequence[int],
    ratios: Sequence[int],
    head_size: int,
) -> nn.Module:
    """Layers whose kind is asked in each one."""

    def convolution() -> nn.Module:
        return Convolution(width, width, [choose("kernel", [3, 5, 7])])

    def around(inner: nn.Module) -> nn.Module:
        return Sublayer(inner, nn.LayerNorm(width), True, rate)

    def layer(_: int) -> nn.Module:
        kind: nn.Module = one_of(
            "kind",
            {
                "convolution": lambda: around(convolution()),
                "recurrence": lambda: around(recurrence(width, width, both=True)),
                "attention": lambda: transformer_layer(width, heads, ratios, head_size, rate),
            },
        )
        return kind

    layers = repeat("layers", depths, layer, depths[min(1, len(depths) - 1)])
    pool: str = choose("pool", POOLS)
    return Layers(layers, Head(pool, width, classes, rate, norm=True))
