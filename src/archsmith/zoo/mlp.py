"""Multi-layer perceptrons for tables."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from ..space import choose, one_of, repeat

#: Widths of a hidden layer.
WIDTHS = (16, 32, 64, 128, 256)


def mlp(features: int, outputs: int) -> nn.Module:
    """Rows (n, features) to logits or values (n, outputs).

    Hidden layers with a choice of width and normalisation each, one activation and one dropout rate
    for all, with or without shortcuts (Gorishniy et al. 2021, arXiv:2106.11959, find both kinds
    hard to beat on tables). The default is a plain baseline: two layers of 64 with ReLU.

    Args:
        features: number of input columns of the model.
        outputs: number of classes, or of values to predict.

    Example:
        >>> space = nas.Space(mlp, features=4, outputs=3)
    """
    activation: type[nn.Module] = choose(
        "activation", {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU, "tanh": nn.Tanh}
    )
    dropout: float = choose("dropout", [0.0, 0.1, 0.2, 0.4])
    residual: bool = choose("residual", [False, True])
    inside = features

    def layer(_: int) -> nn.Module:
        nonlocal inside
        before, inside = inside, choose("width", WIDTHS, default=64)
        body = nn.Sequential(
            nn.Linear(before, inside), _norm(inside), activation(), nn.Dropout(dropout)
        )
        return Residual(body, _shortcut(before, inside)) if residual else body

    hidden = repeat("depth", [1, 2, 3, 4], layer, default=2)
    return nn.Sequential(hidden, nn.Linear(inside, outputs))


class Residual(nn.Module):
    """``body(x) + shortcut(x)``."""

    def __init__(self, body: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x) + self.shortcut(x)
        return out


def _norm(width: int) -> nn.Module:
    options: dict[str, Callable[[], nn.Module]] = {
        "none": nn.Identity,
        "batch": lambda: nn.BatchNorm1d(width),
        "layer": lambda: nn.LayerNorm(width),
    }
    norm: nn.Module = one_of("norm", options)
    return norm


def _shortcut(inside: int, outside: int) -> nn.Module:
    return nn.Identity() if inside == outside else nn.Linear(inside, outside, bias=False)
