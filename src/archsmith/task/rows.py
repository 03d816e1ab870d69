"""Rows of a table as model inputs: numbers standardised, categories one-hot, dates as cycles."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from .._support.errors import DataError
from ..data.numerals import Notation, narrowed
from ..data.raw import Column, RawTable

if TYPE_CHECKING:
    from numpy.typing import NDArray


#: Codes of features that are not the category of this number: a number that is standardised; 1 if a
#: value is missing, else 0; the sine of a standardised value, for what comes again.
_NUMBER, MISSING, _CYCLE = -1.0, -2.0, -3.0
#: A column has so many categories at most, the most frequent ones, and a number so many bins.
_MOST_CATEGORIES, _MOST_BINS = 254, 16
#: Training rows in a bin at least, on average.
_LEAST_IN_BIN = 20
#: Cycles of dates, in days: years, weeks and days.
_PERIODS = (365.2425, 7.0, 1.0)

Entry = tuple[float, float, float, list[float]]


def fitted(table: RawTable, train: NDArray[np.int64]) -> RawTable:
    """The table with categories and columns as the training part has them.

    Categories that few training rows have, and those that none has, get one code together, the
    number of the others; columns with a single value in the training part are left out.

    Raises:
        DataError: no column differs in the training part.
    """
    columns, values, notes = [], [], []
    least = max(2, min(10, len(train) // 100))
    for column, own in zip(table.columns, table.values.T, strict=True):
        if column.categories is not None:
            column, own, note = _grouped(column, own, train, least)
            notes += note
        seen = own[train]
        if len(np.unique(seen)) > 1:
            columns.append(column)
            values.append(own)
        elif not column.word:
            notes.append(f"column {column.name!r} left out: it is the same in all training rows")
    if not columns:
        raise DataError(table.name, "a column that differs in the training part", "none")
    both = (*table.notes, *notes)
    return replace(table, columns=tuple(columns), values=np.stack(values, axis=1), notes=both)


def _grouped(
    column: Column, values: NDArray[np.float64], train: NDArray[np.int64], least: int
) -> tuple[Column, NDArray[np.float64], list[str]]:
    """Categories by how many training rows have them; the others have one code, the last."""
    names = column.categories or ()
    seen = values[train]
    counts = np.bincount(seen[~np.isnan(seen)].astype(int), minlength=len(names))
    kept = np.sort(np.argsort(-counts, kind="stable")[:_MOST_CATEGORIES])
    frequent = counts[kept] >= least
    # A single rare category is not told apart from itself.
    kept = kept[frequent] if (counts[kept][~frequent] > 0).sum() > 1 else kept[counts[kept] > 0]
    codes = np.full(len(names), float(len(kept)))
    codes[kept] = np.arange(len(kept))
    present = ~np.isnan(values)
    coded = values.copy()
    coded[present] = codes[values[present].astype(int)]
    rare, unseen = int((counts > 0).sum()) - len(kept), int((counts == 0).sum())
    notes = []
    if rare:
        notes.append(f"column {column.name!r}: rare categories count as one ({rare})")
    if unseen:
        which = "categories without training rows count as unknown"
        notes.append(f"column {column.name!r}: {which} ({unseen})")
    return replace(column, categories=tuple(names[i] for i in kept)), coded, notes


def facts(table: RawTable, train: NDArray[np.int64]) -> dict[str, Any]:
    """What the preparation of rows needs. ``expansion`` has one entry per feature: its column; the
    code of its category, or another below 0 for what is no category; the mean and standard
    deviation of a number in the training part; and the ends of the bins of a standardised number.
    ``notation`` is how numbers are written, for columns that do not write them the usual way.

    Args:
        table: as :func:`fitted` returns it.
    """
    columns, entries = [], []
    for index, column in enumerate(table.columns):
        categories = None if column.categories is None else list(column.categories)
        described: dict[str, Any] = {"name": column.name, "categories": categories}
        described |= {"date": column.date} if column.date else {}
        described |= {"word": column.word} if column.word else {}
        columns.append(described)
        entries += [(index, *entry) for entry in _entries(column, table.values[train, index])]
    names = ("column", "code", "mean", "std", "edges")
    expansion = {name: [entry[i] for entry in entries] for i, name in enumerate(names)}
    notation = {c.name: asdict(c.notation) for c in table.columns if c.notation != Notation()}
    dtype = str(raw(table).dtype)
    row_facts = {"columns": columns, "features": len(entries), "expansion": expansion}
    # Left out where they have no effect, as in exports by versions that did not have them.
    row_facts |= {"notation": notation} if notation else {}
    return row_facts | ({"dtype": dtype} if dtype != "float32" else {})


def _entries(column: Column, seen: NDArray[np.float64]) -> list[Entry]:
    """Code, mean, standard deviation and edges of each feature of a column.

    Args:
        seen: its values in the training part.
    """
    present = seen[~np.isnan(seen)]
    missing: list[Entry] = [(MISSING, 0.0, 1.0, [])] if len(present) < len(seen) else []
    if column.categories is not None:
        known = len(column.categories)
        known += int((present == known).any())  # those that count as one
        return [*((float(code), 0.0, 1.0, []) for code in range(known)), *missing]
    if column.word:
        return [(_NUMBER, 0.0, 1.0, [])]
    base = present[0]
    # Relative to a value of the column, so that sums of large numbers keep their precision.
    mean, std = float(base + (present - base).mean()), float((present - base).std())
    std = std if std >= 1e-15 * (1 + abs(mean)) else 1.0
    number: Entry = (_NUMBER, mean, std, _bin_edges((present - mean) / std))
    return [number, *(_cycles(present, mean) if column.date else []), *missing]


def _bin_edges(standard: NDArray[np.float64]) -> list[float]:
    """Ends of bins with equally many numbers; of fewer bins if numbers repeat."""
    bins = min(_MOST_BINS, max(2, len(standard) // _LEAST_IN_BIN))
    ends = np.quantile(standard, np.linspace(0, 1, bins + 1))
    return sorted({float(f"{end:.6g}") for end in ends})


def _cycles(days: NDArray[np.float64], mean: float) -> list[Entry]:
    """Sine and cosine of the time of the year, the week and the day, those that differ."""
    entries: list[Entry] = []
    for period in _PERIODS:
        if np.ptp(days) < period / 4 or len(np.unique(days % period)) == 1:
            continue
        start = math.floor(mean / period) * period  # near, so that float32 keeps the phase
        turn = period / (2 * math.pi)
        entries += [(_CYCLE, start, turn, []), (_CYCLE, start - period / 4, turn, [])]
    return entries


def shapes(facts: Mapping[str, Any]) -> list[int | list[float]]:
    """Columns as :class:`~archsmith.zoo.table_columns.Columns` takes them."""
    expansion = facts["expansion"]
    edges = expansion.get("edges", [[]] * facts["features"])
    found: list[int | list[float]] = []
    for index, own in groupby(range(facts["features"]), expansion["column"].__getitem__):
        places = list(own)
        coded = facts["columns"][index]["categories"] is not None
        found += [len(places)] if coded else [edges[place] for place in places]
    return found


def raw(table: RawTable) -> NDArray[Any]:
    """Rows as a model takes them, (n, columns): float32, or float64 if float32 would lose too much
    precision."""
    return narrowed(table.values)


def precision(table: RawTable) -> tuple[str, ...]:
    """A note if rows are float64, else nothing."""
    if raw(table).dtype == np.float32:
        return ()
    lossy = [
        column.name
        for column, values in zip(table.columns, table.values.T, strict=True)
        if narrowed(values[:, None]).dtype != np.float32
    ]
    listed = ", ".join(map(repr, lossy[:3])) + (", ..." if len(lossy) > 3 else "")
    return (f"rows are float64: float32 cannot distinguish the values of {listed}",)


def dtype_of(facts: Mapping[str, Any]) -> torch.dtype:
    return torch.float64 if facts.get("dtype") == "float64" else torch.float32


def layout(facts: Mapping[str, Any]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Column (int64), code, mean and std (of the type of rows) of each feature, each
    (features,)."""
    expansion, dtype = facts["expansion"], dtype_of(facts)
    code, mean, std = (
        torch.tensor(expansion[name], dtype=dtype) for name in ("code", "mean", "std")
    )
    column = torch.tensor(expansion["column"])
    sizes = {tuple(statistic.shape) for statistic in (column, code, mean, std)}
    if sizes != {(facts["features"],)} or column.dtype != torch.int64:
        # Statistics of another length could be broadcast without an error.
        raise ValueError(f"statistics of shapes {sorted(sizes)} for {facts['features']} features")
    return column, code, mean, std


def expand(rows: Tensor, column: Tensor, code: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Raw rows (n, columns) as features (n, features), float32. A missing number is the mean."""
    values = rows.index_select(1, column).to(mean.dtype)
    standard = (values - mean) / std
    standard = torch.where(code == _CYCLE, standard.sin(), standard)
    standard = torch.where(standard.isnan(), torch.zeros_like(standard), standard)
    missing, same = values.isnan().to(mean.dtype), (values == code).to(mean.dtype)
    marks = torch.where(code == MISSING, missing, same)
    return torch.where((code == _NUMBER) | (code == _CYCLE), standard, marks).float()


class Expand(nn.Module):
    """:func:`expand` with the statistics as buffers."""

    column: Tensor
    code: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, facts: Mapping[str, Any]) -> None:
        super().__init__()
        for name, values in zip(("column", "code", "mean", "std"), layout(facts), strict=True):
            self.register_buffer(name, values)

    def forward(self, rows: Tensor) -> Tensor:
        return expand(rows, self.column, self.code, self.mean, self.std)


def described(facts: Mapping[str, Any]) -> str:
    """The raw rows that a deployed model takes, in words."""
    names = [":".join(filter(None, (c["name"], c.get("word")))) for c in facts["columns"]]
    shown = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
    coded = any(column["categories"] is not None for column in facts["columns"])
    dated = any("date" in column for column in facts["columns"])
    ways = ["categories as codes"] * coded + ["dates as days since 1970"] * dated
    dtype = str(dtype_of(facts)).removeprefix("torch.")
    return f"{dtype} (n, {len(names)}): {shown}" + (f" ({', '.join(ways)})" if ways else "")
