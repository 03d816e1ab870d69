"""Transformer encoders for texts (Vaswani et al. 2017, arXiv:1706.03762), with searchable layers
as in HAT (Wang et al. 2020, arXiv:2005.14187) and AutoFormer (Chen et al. 2021, arXiv:2107.00651).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from ..space import choose, repeat
from .attention import small
from .gpt import GatedMLP
from .seq2seq import Attention, attention_bias
from .text_parts import POOLS, Head, Layers, Row, Sublayer, TextClassifier, dropouts

_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "gelu": nn.GELU,
    "relu": nn.ReLU,
    "silu": nn.SiLU,
}
_NORMS: dict[str, Callable[[int], nn.Module]] = {"layer": nn.LayerNorm, "rms": nn.RMSNorm}


def _norm(kind: str, width: int) -> nn.Module:
    # The weights of each kind have a name of their own.
    return nn.Sequential(OrderedDict([(kind, _NORMS[kind](width))]))


@dataclass(frozen=True)
class Style:
    """What all layers of an encoder have in common.

    Attributes:
        rotary: whether rotation tells positions.
        first: whether norms come before sublayers.
        norm: makes a norm of a width.
        activation: makes that of the MLP.
        gated: whether the MLP is gated.
    """

    rotary: bool = True
    first: bool = True
    norm: Callable[[int], nn.Module] = nn.LayerNorm
    activation: Callable[[], nn.Module] = nn.GELU
    gated: bool = False

    def mlp(self, width: int, hidden: int) -> nn.Module:
        """A new MLP."""
        if self.gated:
            return GatedMLP(width, hidden, True, self.activation())
        return nn.Sequential(nn.Linear(width, hidden), self.activation(), nn.Linear(hidden, width))


def text_encoder(
    vocabulary: int,
    classes: int,
    length: int = 128,
    padding: int = 0,
    *,
    embeddings: Sequence[int] = (32, 64, 96, 128),
    depths: Sequence[int] = (1, 2, 3, 4),
    heads: Sequence[int] = (2, 4),
    ratios: Sequence[int] = (1, 2, 4),
    head_size: int = 32,
    dropout: Sequence[float] = (0.1, 0.3, 0.5),
) -> nn.Module:
    """Tokens int64 (n, length) to logits (n, classes).

    Searched are the width; the number of layers, and in each one the heads, how many of them share
    keys and values (grouped queries, Ainslie et al. 2023, arXiv:2305.13245), and the ratio of the
    MLP's width; once for all layers the MLP (plain, or gated: Shazeer 2020, arXiv:2002.05202), its
    activation, the norm and its place (before sublayers or after them: Xiong et al. 2020,
    arXiv:2002.04745), and what tells positions: rotation (Su et al. 2021, arXiv:2104.09864), a
    learned embedding, or nothing; further the pooling and the dropout rate.

    Args:
        vocabulary: number of tokens.
        length: highest number of tokens of a text.
        padding: the token that pads shorter texts at the end.
        embeddings: widths of the embedding and of all layers.
        depths: numbers of layers.
        heads: numbers of heads of a layer, even.
        ratios: of the MLP's width to the embedding's.
        head_size: of a head, a multiple of 4.
        dropout: rates for sublayers and pooled features; half of it is for embeddings.
    """
    embedding: int = choose("embedding", embeddings, embeddings[-1])
    rate = dropouts(dropout, dropout[len(dropout) // 2])
    body = attentive(embedding, classes, length, rate, depths, heads, ratios, head_size)
    return TextClassifier(vocabulary, embedding, body, rate, padding)


def attentive(
    width: int,
    classes: int,
    length: int,
    rate: float,
    depths: Sequence[int],
    heads: Sequence[int],
    ratios: Sequence[int],
    head_size: int,
) -> nn.Module:
    """All but the embedding, see :func:`text_encoder`."""
    positions: str = choose("positions", ["rotary", "learned", "none"])
    style = Style(
        rotary=positions == "rotary",
        first=choose("norm_first", [True, False]),
        norm=partial(_norm, choose("norm", list(_NORMS))),
        activation=_ACTIVATIONS[choose("activation", list(_ACTIVATIONS))],
        gated=choose("gated", [False, True]),
    )

    def layer(_: int) -> nn.Module:
        return transformer_layer(width, heads, ratios, head_size, rate, style)

    layers = repeat("layers", depths, layer, depths[min(1, len(depths) - 1)])
    pool: str = choose("pool", POOLS, "mean")
    learned = small(length, width) if positions == "learned" else None
    return Layers(layers, Head(pool, width, classes, rate, norm=style.first), learned)


def transformer_layer(
    width: int,
    heads: Sequence[int],
    ratios: Sequence[int],
    head_size: int,
    rate: float,
    style: Style = Style(),
) -> nn.Module:
    """Attention and an MLP, with choices of the heads and the MLP's width."""
    count: int = choose("heads", heads, heads[-1])
    keys = count // choose("heads_per_key", [1, 2])
    hidden = width * choose("ratio", ratios, ratios[len(ratios) // 2])
    attention = SelfAttention(width, count, head_size, keys, style.rotary)
    return Row(
        Sublayer(attention, style.norm(width), style.first, rate),
        Sublayer(style.mlp(width, hidden), style.norm(width), style.first, rate, pointwise=True),
    )


class SelfAttention(nn.Module):
    """Attention of a text to itself, without its padding.

    Args:
        keys: number of heads of keys and values.
        rotary: whether queries and keys are rotated by their positions.
    """

    def __init__(self, width: int, heads: int, size: int, keys: int, rotary: bool) -> None:
        super().__init__()
        self.attention, self.start = Attention(width, heads, size, keys), 0 if rotary else None

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        keys = self.attention.keys(x, self.start)
        bias = attention_bias(~there, x.dtype)
        out: Tensor = self.attention(x, *keys, bias, self.start)
        return out
