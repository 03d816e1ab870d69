"""Self-attention over patches of images, and what surrounds it in a transformer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

T = TypeVar("T")


class Attention(nn.Module):
    """Self-attention over tokens (n, length, inside), to (n, length, outside).

    Args:
        positions: mixes values (n, heads, length, size) by queries, keys and where the tokens are;
            if it is ``None``, it does not matter where they are.
    """

    def __init__(
        self, inside: int, outside: int, heads: int, size: int, positions: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.heads, self.size, self.positions = heads, size, positions
        self.query_key_value = nn.Linear(inside, 3 * heads * size)
        self.output = nn.Linear(heads * size, outside)

    def forward(self, x: Tensor) -> Tensor:
        split = self.query_key_value(x).unflatten(-1, (3, self.heads, self.size))
        query, key, value = split.permute(2, 0, 3, 1, 4)
        mix = self.positions or F.scaled_dot_product_attention
        out: Tensor = self.output(mix(query, key, value).transpose(1, 2).flatten(2))
        return out


class Offsets(nn.Module):
    """An embedding of the offset between two tokens is added to the key, and another to the value
    (Shaw et al. 2018, arXiv:1803.02155), as in AutoFormer; all heads share them.

    An embedding is that of the rows between the tokens plus that of the columns. The last of a
    table is for offsets to and from tokens that are no patches.

    Args:
        grid: patches in a column and in a row.
        extra: number of tokens after the patches, at most one.
        size: of a head.
        reach: the largest offset with an embedding of its own, in patches.
    """

    def __init__(self, grid: tuple[int, int], extra: int, size: int, reach: int) -> None:
        super().__init__()
        self.grid, self.extra, self.reach = grid, extra, reach
        count = 2 * reach + 1 + extra
        self.key_rows, self.key_columns = small(count, size), small(count, size)
        self.value_rows, self.value_columns = small(count, size), small(count, size)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        ends = (0, self.extra, 0, self.extra)
        rows, columns = (
            F.pad(line.clamp(-self.reach, self.reach) + self.reach, ends, value=2 * self.reach + 1)
            for line in offsets(self.grid, query.device)
        )
        # The weights are needed twice, so torch's fused attention, which keeps them, won't do.
        to_key = self.key_rows[rows] + self.key_columns[columns]  # (length, length, size)
        scores = query @ key.transpose(-1, -2) + torch.einsum("nhid,ijd->nhij", query, to_key)
        weights = (scores * query.shape[-1] ** -0.5).softmax(-1)
        to_value = self.value_rows[rows] + self.value_columns[columns]
        out: Tensor = weights @ value + torch.einsum("nhij,ijd->nhid", weights, to_value)
        return out


class Biased(nn.Module):
    """A number for each head and each offset between two patches is added to the scores (Shaw et
    al. 2018 in the form of Dai et al. 2021, arXiv:2106.04803).

    Args:
        grid: patches in a column and in a row.
    """

    def __init__(self, heads: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.grid = grid
        self.bias = small(heads, 2 * grid[0] - 1, 2 * grid[1] - 1)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        rows, columns = offsets(self.grid, query.device)
        bias = self.bias[:, rows + self.grid[0] - 1, columns + self.grid[1] - 1]
        return F.scaled_dot_product_attention(query, key, value, attn_mask=bias)


def offsets(grid: tuple[int, int], device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows and columns from each patch to each other one, (length, length)."""
    places = torch.arange(grid[0] * grid[1], device=device)
    rows, columns = places // grid[1], places % grid[1]
    return rows - rows[:, None], columns - columns[:, None]


def mlp(wide: int, hidden: int) -> nn.Module:
    """Two linear layers with a GELU between them."""
    return nn.Sequential(nn.Linear(wide, hidden), nn.GELU(), nn.Linear(hidden, wide))


def small(*shape: int, std: float = 0.02) -> nn.Parameter:
    """A parameter that starts with small random values."""
    parameter = nn.Parameter(torch.empty(shape))
    _shrink(parameter, std)
    return parameter


def started(model: nn.Module) -> nn.Module:
    """The model with linear layers that start with small weights (Touvron et al. 2020)."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            _shrink(module.weight)
            nn.init.zeros_(module.bias)
    return model


def middle(options: Sequence[T]) -> T:
    """The middle option, of an even number the smaller one."""
    return options[(len(options) - 1) // 2]


def _shrink(tensor: Tensor, std: float = 0.02) -> None:
    if not tensor.is_meta:  # there is nothing to fill, and it takes a millisecond
        nn.init.trunc_normal_(tensor, std=std)
