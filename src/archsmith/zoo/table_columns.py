"""Columns of a table as inputs of a network: numbers and categories, embedded or as they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from ..space import one_of

#: A column as a builder is told of it: the number of its categories, whose features are one-hot; or
#: the ends of bins that hold equally many training rows, for a number that is one feature.
ColumnShape = int | Sequence[float]

#: Outputs of an embedding of a number or a category in networks without tokens.
_SIZE = 8
#: Sines and cosines for each number, and the spread of their frequencies at the start.
_FREQUENCIES, _SIGMA = 16, 0.1
#: Beyond so many widths outside of the outer bins a number counts as being there.
_FAR = 1e3


@dataclass(frozen=True)
class Columns:
    """Which prepared features are numbers, and which belong to one column of categories.

    Attributes:
        numbers: positions of the features that are numbers.
        edges: ends of the bins of each of them, in ascending order; none or two or more.
        groups: positions of the features of each column of categories.
    """

    numbers: tuple[int, ...]
    edges: tuple[tuple[float, ...], ...]
    groups: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, features: int, columns: Sequence[ColumnShape] | None) -> Columns:
        """Columns in the order of their features; without ``columns`` all are numbers."""
        numbers, edges, groups, place = [], [], [], 0
        for column in columns if columns is not None else [()] * features:
            size = column if isinstance(column, int) else 1
            if isinstance(column, int):
                groups.append(tuple(range(place, place + size)))
            else:
                numbers.append(place)
                edges.append(tuple(column))
            place += size
        if place != features:
            raise ValueError(f"columns of {place} features, but there are {features}")
        return cls(tuple(numbers), tuple(edges), tuple(groups))


class Stem(nn.Module):
    """Rows (n, features) to (n, width): a linear layer over embedded columns.

    How numbers and categories are embedded is asked:

    - ``plain`` numbers are one feature each; ``piecewise`` ones are how much of each bin lies below
      them; ``periodic`` ones sines and cosines of learned frequencies, a linear layer for each
      number and a ReLU (PLE and PLR of Gorishniy et al. 2022, arXiv:2203.05556);
    - categories are ``onehot``, or have an ``embedding`` that is learned.
    """

    def __init__(self, columns: Columns, width: int, numbers: str = "plain") -> None:
        super().__init__()
        self.numbers = self.categories = None
        if columns.numbers:
            count = len(columns.numbers)
            _pick(self, "of_numbers", columns.numbers)

            def piecewise() -> nn.Module:
                bins = Piecewise(columns.edges)
                return nn.Sequential(bins, nn.Flatten(), nn.Linear(count * bins.bins, width))

            def periodic() -> nn.Module:
                waves, each = Periodic(count), EachColumn(count, 2 * _FREQUENCIES, _SIZE)
                flat = nn.Linear(count * _SIZE, width)
                return nn.Sequential(waves, each, nn.ReLU(), nn.Flatten(), flat)

            options = {
                "plain": lambda: nn.Linear(count, width),
                "piecewise": piecewise,
                "periodic": periodic,
            }
            self.numbers = one_of("numbers", options, default=numbers)
        if columns.groups:
            features = tuple(place for group in columns.groups for place in group)
            _pick(self, "of_categories", features)

            def embedding() -> nn.Module:
                flat = nn.Linear(len(columns.groups) * _SIZE, width)
                return nn.Sequential(Categories(columns.groups, _SIZE), nn.Flatten(), flat)

            plain = {"onehot": lambda: nn.Linear(len(features), width), "embedding": embedding}
            self.categories = one_of("categories", plain)

    def forward(self, rows: Tensor) -> Tensor:
        parts: list[Tensor] = []
        if self.numbers is not None:
            parts.append(self.numbers(rows.index_select(1, self.get_buffer("of_numbers"))))
        if self.categories is not None:
            parts.append(self.categories(rows.index_select(1, self.get_buffer("of_categories"))))
        return parts[0] if len(parts) == 1 else parts[0] + parts[1]


class Tokens(nn.Module):
    """Rows (n, features) to tokens (n, columns + 1, width), one for each column, and a last one
    that is the same in all rows (Gorishniy et al. 2021, arXiv:2106.11959). How numbers are embedded
    is asked as in :class:`Stem`."""

    def __init__(self, columns: Columns, width: int, numbers: str = "plain") -> None:
        super().__init__()
        self.numbers = self.categories = None
        if columns.numbers:
            count = len(columns.numbers)
            _pick(self, "of_numbers", columns.numbers)

            def piecewise() -> nn.Module:
                bins = Piecewise(columns.edges)
                return nn.Sequential(bins, EachColumn(count, bins.bins, width))

            def periodic() -> nn.Module:
                each = EachColumn(count, 2 * _FREQUENCIES, width)
                return nn.Sequential(Periodic(count), each, nn.ReLU())

            options = {
                "plain": lambda: nn.Sequential(nn.Unflatten(1, (count, 1)), _each(count, width)),
                "piecewise": piecewise,
                "periodic": periodic,
            }
            self.numbers = one_of("numbers", options, default=numbers)
        if columns.groups:
            _pick(self, "of_categories", tuple(p for group in columns.groups for p in group))
            self.categories = Categories(columns.groups, width)
        self.last = nn.Parameter(_uniform(torch.empty(1, 1, width), width))

    def forward(self, rows: Tensor) -> Tensor:
        parts = []
        if self.numbers is not None:
            parts.append(self.numbers(rows.index_select(1, self.get_buffer("of_numbers"))))
        if self.categories is not None:
            parts.append(self.categories(rows.index_select(1, self.get_buffer("of_categories"))))
        return torch.cat([*parts, self.last.expand(rows.shape[0], -1, -1)], dim=1)


class Piecewise(nn.Module):
    """Numbers (n, columns) to how much of each bin lies below them, (n, columns, bins).

    That is 0 below the bin, 1 above it, and the share between; the first bin is open below and the
    last one above. A number without bins is itself in the first of them.

    Args:
        edges: ends of the bins of each column, ascending.
    """

    low: Tensor
    width: Tensor
    least: Tensor
    most: Tensor

    def __init__(self, edges: Sequence[Sequence[float]]) -> None:
        super().__init__()
        ends = [list(own) if len(own) > 1 else [0.0, 1.0] for own in edges]
        self.bins = max(len(own) for own in ends) - 1
        rows = []
        for own in ends:
            count, spare = len(own) - 1, self.bins - len(own) + 1
            least, most = [-_FAR] + [0.0] * (count - 1), [1.0] * (count - 1) + [_FAR]
            widths = [high - low for low, high in pairwise(own)]
            padding = ([0.0] * spare, [1.0] * spare, [0.0] * spare, [0.0] * spare)
            lines = (own[:-1], widths, least, most)
            rows.append([line + more for line, more in zip(lines, padding, strict=True)])
        for name, values in zip(("low", "width", "least", "most"), zip(*rows), strict=True):
            self.register_buffer(name, torch.tensor(values))

    def forward(self, numbers: Tensor) -> Tensor:
        shares = (numbers.unsqueeze(-1) - self.low) / self.width
        return torch.minimum(torch.maximum(shares, self.least), self.most)


class Periodic(nn.Module):
    """Numbers (n, columns) to sines and cosines of learned frequencies, (n, columns, 32)."""

    def __init__(self, columns: int) -> None:
        super().__init__()
        start = torch.randn(columns, _FREQUENCIES) * _SIGMA
        self.frequencies = nn.Parameter(start)

    def forward(self, numbers: Tensor) -> Tensor:
        angles = 2 * math.pi * self.frequencies * numbers.unsqueeze(-1)
        return torch.cat([angles.sin(), angles.cos()], dim=-1)


class EachColumn(nn.Module):
    """A linear layer for each column, (n, columns, inside) to (n, columns, outside)."""

    def __init__(self, columns: int, inside: int, outside: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(_uniform(torch.empty(columns, inside, outside), inside))
        self.bias = nn.Parameter(_uniform(torch.empty(columns, outside), inside))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = torch.einsum("nki,kio->nko", x, self.weight) + self.bias
        return out


class Categories(nn.Module):
    """One-hot features (n, features), column after column, to embeddings (n, columns, size). A row
    with none of a column's categories has that column's bias alone."""

    of_column: Tensor

    def __init__(self, groups: Sequence[Sequence[int]], size: int) -> None:
        super().__init__()
        owners = [number for number, group in enumerate(groups) for _ in group]
        marks = [[float(owner == number) for owner in owners] for number in range(len(groups))]
        self.register_buffer("of_column", torch.tensor(marks))
        self.weight = nn.Parameter(_uniform(torch.empty(len(marks[0]), size), size))
        self.bias = nn.Parameter(_uniform(torch.empty(len(groups), size), size))

    def forward(self, onehot: Tensor) -> Tensor:
        return (onehot.unsqueeze(1) * self.of_column) @ self.weight + self.bias


def _pick(module: nn.Module, name: str, places: Sequence[int]) -> None:
    """Register the positions of features as a buffer."""
    module.register_buffer(name, torch.tensor(places))


def _each(count: int, width: int) -> nn.Module:
    return EachColumn(count, 1, width)


def _uniform(tensor: Tensor, inside: int) -> Tensor:
    """Filled as a linear layer of so many inputs begins, unless it is on the meta device."""
    bound = inside**-0.5
    return tensor if tensor.is_meta else nn.init.uniform_(tensor, -bound, bound)
