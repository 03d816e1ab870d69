"""Language models of the usual form, to compare a search with: no choices.

``scale`` multiplies all widths; 1.0 is about a million parameters.
"""

from __future__ import annotations

from functools import partial

from torch import nn

from .language import MLP, LanguageModel, Layer, Norm
from .mixers import Attention, Recurrent
from .references import widened

_HEADS, _DEPTH = 4, 5


def plain_gpt(vocabulary: int, length: int, *, scale: float = 1.0) -> nn.Module:
    """A small GPT-2 (Radford et al. 2019): five layers 128 wide with four heads, learned positions,
    layer norm before each sublayer, MLPs four times as wide with GELU, one matrix for embedding and
    logits, without dropout.

    Tokens int64 (n, t), t at most ``length``, to logits (n, t, vocabulary).
    """
    size = max(4, 4 * round(8 * scale))
    width = _HEADS * size
    norm = partial(Norm, width, "layer")
    layers = [
        Layer(
            norm,
            True,
            Attention(width, _HEADS, size, 1, "learned", 0),
            MLP(width, 4 * width, False, "gelu"),
            0.0,
        )
        for _ in range(_DEPTH)
    ]
    stack = nn.Sequential(*layers)
    return LanguageModel(vocabulary, width, stack, norm(), 0.0, True, length, length)


def plain_lstm(vocabulary: int, *, scale: float = 1.0) -> nn.Module:
    """Two LSTM layers 256 wide between an embedding and a linear layer (Graves 2013,
    arXiv:1308.0850), without dropout. Tokens int64 (n, t) to logits (n, t, vocabulary)."""
    width = widened(256, scale)
    stack = nn.Sequential(*(Recurrent(width, "lstm") for _ in range(2)))
    return LanguageModel(vocabulary, width, stack, nn.Identity(), 0.0, False)
