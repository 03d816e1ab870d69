"""Networks for tables: perceptrons, residual networks and transformers over columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from ..space import choose, one_of, repeat
from .attention import Attention
from .table_columns import Columns, ColumnShape, Stem, Tokens

#: Columns up to which a transformer over them is offered: it compares each with each.
_MOST_TOKENS = 100


def tabular(features: int, outputs: int, columns: Sequence[ColumnShape] | None = None) -> nn.Module:
    """Rows (n, features) to logits or values (n, outputs), by a network of one of three families.

    They are perceptrons, residual networks (:func:`table_resnet`) and, for up to 100 columns,
    transformers (:func:`ft_transformer`); each asks how numbers are embedded.

    Args:
        features: number of input columns of the model, after preparation.
        outputs: number of classes, or of values to predict.
        columns: for each column in order the number of its categories, which are one-hot features,
            or the ends of the bins of a number; all features are numbers if not given.
    """
    shaped = Columns.of(features, columns)
    families: dict[str, Callable[[], nn.Module]] = {
        "mlp": lambda: _perceptron(shaped, outputs),
        "resnet": lambda: _resnet(shaped, outputs),
    }
    if len(shaped.numbers) + len(shaped.groups) <= _MOST_TOKENS:
        families["transformer"] = lambda: _transformer(shaped, outputs)
    model: nn.Module = one_of("family", families)
    return model


def table_resnet(
    features: int, outputs: int, columns: Sequence[ColumnShape] | None = None
) -> nn.Module:
    """Rows (n, features) to logits or values (n, outputs), by residual blocks of one width, as in
    Gorishniy et al. 2021 (arXiv:2106.11959), with embeddings of numbers as a choice.

    Args:
        features, outputs, columns: as of :func:`tabular`.
    """
    return _resnet(Columns.of(features, columns), outputs)


def ft_transformer(
    features: int, outputs: int, columns: Sequence[ColumnShape] | None = None
) -> nn.Module:
    """Rows (n, features) to logits or values (n, outputs), by attention between columns: the
    FT-Transformer of Gorishniy et al. 2021 (arXiv:2106.11959), with embeddings of numbers as a
    choice.

    Each column is a token. A last token, which is the same in all rows, gathers what the output is
    computed from. Layers normalise first; their feed-forward part is gated by a ReLU.

    Args:
        features, outputs, columns: as of :func:`tabular`.
    """
    return _transformer(Columns.of(features, columns), outputs)


def _perceptron(columns: Columns, outputs: int) -> nn.Module:
    inside: int = choose("width", (64, 128, 256, 384), default=256)
    dropout: float = choose("dropout", (0.0, 0.1, 0.2, 0.4), default=0.1)
    stem = nn.Sequential(Stem(columns, inside, "periodic"), nn.ReLU(), nn.Dropout(dropout))

    def layer(_: int) -> nn.Module:
        nonlocal inside
        before, inside = inside, choose("width", (64, 128, 256, 384), default=256)
        return nn.Sequential(nn.Linear(before, inside), nn.ReLU(), nn.Dropout(dropout))

    layers = repeat("layers", (0, 1, 2, 3), layer, default=2)
    return nn.Sequential(stem, layers, nn.Linear(inside, outputs))


def _resnet(columns: Columns, outputs: int) -> nn.Module:
    width: int = choose("width", (64, 128, 192, 256), default=128)
    dropout: float = choose("dropout", (0.0, 0.1, 0.2, 0.4), default=0.2)
    norms: dict[str, Callable[[], nn.Module]] = {
        "batch": partial(nn.BatchNorm1d, width),
        "layer": partial(nn.LayerNorm, width),
    }
    stem = Stem(columns, width, "periodic")

    def block(_: int) -> nn.Module:
        hidden = width * choose("ratio", (1, 2, 4), default=2)
        return Residual(
            one_of("norm", norms),
            nn.Linear(width, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, width),
        )

    blocks = repeat("blocks", (1, 2, 3, 4), block, default=2)
    head = nn.Sequential(nn.LayerNorm(width), nn.ReLU(), nn.Linear(width, outputs))
    return nn.Sequential(stem, blocks, head)


def _transformer(columns: Columns, outputs: int) -> nn.Module:
    width: int = choose("width", (32, 64, 96, 128), default=64)
    dropout: float = choose("dropout", (0.0, 0.1, 0.2), default=0.1)

    def layer(_: int) -> nn.Module:
        heads = choose("heads", (2, 4, 8), default=4)
        hidden = round(width * choose("ratio", (1.0, 1.5, 2.0), default=1.5))
        return nn.Sequential(
            Residual(nn.LayerNorm(width), Attention(width, width, heads, 16), nn.Dropout(dropout)),
            Residual(nn.LayerNorm(width), Gated(width, hidden, dropout)),
        )

    tokens = Tokens(columns, width, "plain")
    layers = repeat("layers", (1, 2, 3), layer, default=2)
    head = nn.Sequential(Last(), nn.LayerNorm(width), nn.ReLU(), nn.Linear(width, outputs))
    return nn.Sequential(tokens, layers, head)


class Residual(nn.Sequential):
    """What comes in plus what the modules make of it, one after the other."""

    def forward(self, x: Tensor) -> Tensor:
        out = x
        for module in self:
            out = module(out)
        return x + out


class Gated(nn.Module):
    """A feed-forward layer whose hidden units are multiplied by others behind a ReLU (ReGLU;
    Shazeer 2020, arXiv:2002.05202)."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.inside, self.outside = nn.Linear(width, 2 * hidden), nn.Linear(hidden, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.inside(x).chunk(2, -1)
        out: Tensor = self.outside(self.dropout(value * F.relu(gate)))
        return out


class Last(nn.Module):
    """The last token (n, width) of tokens (n, length, width)."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, -1]
