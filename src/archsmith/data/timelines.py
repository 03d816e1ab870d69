"""Series to forecast: CSV and Parquet files in long or wide form, on a regular grid of times."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .._support.errors import DataError
from .clock import Clock, clock_of
from .longform import SERIES, TIMES, VALUES, LongTable, filled, open_long

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .numerals import Decimal

#: Name of what is forecast in a table in wide form.
WIDE = "value"


@dataclass(frozen=True)
class Timeline:
    """A series on a grid of times.

    Attributes:
        values: float64 (channels, steps), the first channel being what is forecast.
        start: position of the first step.
    """

    name: str
    values: NDArray[np.float64]
    start: int


@dataclass(frozen=True)
class Timelines:
    """Series on a common grid.

    Attributes:
        columns: names of the channels; the first one is :data:`WIDE` in wide form.
        season: steps of the usual season.
        step: what a step is, in words.
        notes: how the reader interpreted the source, as lines for people.
    """

    series: list[Timeline]
    columns: tuple[str, ...]
    season: int
    step: str
    notes: tuple[str, ...]


def read_timelines(
    path: Path,
    series: str = "",
    time: str = "",
    value: str = "",
    fill: bool = False,
    decimal: Decimal | None = None,
    columns: Sequence[str] = (),
) -> Timelines:
    """Read a table.

    With a column of values it is in long form: a row for each time of each series, which a column
    names if there are several; other columns of numbers are covariates. Without one it is in wide
    form, and each column of numbers is a series.

    Args:
        series, time, value: names of the columns; empty for usual names.
        fill: whether gaps and missing values are filled by lines; otherwise they are refused.
        columns: channels that are read, for predictions: those of the training data.

    Raises:
        DataError: no times or values, times that repeat or are not on a grid, gaps, or missing
            values.
    """
    table = open_long(path, decimal)
    when = table.column(time, TIMES) or _dates(table)
    if when is None:
        got, hint = ", ".join(table.rows.header), "name it: forecasting:time=COLUMN"
        raise DataError(str(path), "a column of times", got, hint)
    owner = table.column(series, SERIES)
    what = table.column(value, VALUES)
    notes = list(table.rows.notes)
    found, left_out = table.features({when} | ({owner} if owner else set()))
    if what is None and (owner is not None or len(found) == 1) and found:
        what = found[0]
    long = what is not None
    if columns:
        kept = [table.column(name, ()) or name for name in columns] if long else found
    else:
        kept = [what, *(n for n in found if n != what)] if what is not None else found
        notes += left_out
    if not kept:
        raise DataError(str(path), "a column of values", "; ".join(left_out) or "none")
    groups = table.groups(owner)
    places = [table.place(row, when) for row in range(len(table.rows.lines))]
    clock = clock_of(table.cells(when), list(groups.values()), places)
    numbers = {name: table.numbers(name) for name in kept}
    timelines = []
    for name, rows in groups.items():
        at, start, moved = _rows_on_grid(table, when, rows, clock, name, fill)
        if moved:
            notes.append(f"rows{f' of {name!r}' if name else ''} put in the order of their times")
        for group in [kept] if long else [[one] for one in kept]:
            values = np.full((len(group), at[-1] + 1), np.nan)
            values[:, at] = np.stack([numbers[column][rows] for column in group])[
                :, _order(clock, rows)
            ]
            title = (name or path.stem) if long else group[0]
            values = _whole(table, group, rows[_order(clock, rows)], at, values, fill, title, notes)
            timelines.append(Timeline(title, values, start))
    names = tuple(kept) if long else (WIDE,)
    return Timelines(timelines, names, clock.season, clock.step, tuple(notes))


def _order(clock: Clock, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.argsort(clock.positions[rows], kind="stable")


def _dates(table: LongTable) -> str | None:
    """The first column of texts that begin with a year, as dates do."""
    for name in table.rows.header:
        first = str(table.cells(name)[0])
        if table.notation[name] is None and first[:4].isdecimal() and len(first) >= 6:
            return name
    return None


def _rows_on_grid(
    table: LongTable, when: str, rows: NDArray[np.int64], clock: Clock, name: str, fill: bool
) -> tuple[NDArray[np.int64], int, bool]:
    """Steps of the rows of a series in order, the position of the first, and whether the rows were
    in another order."""
    order = _order(clock, rows)
    positions = clock.positions[rows][order]
    steps = np.diff(positions)
    series = f"series {name!r}" if name else "the series"
    for wrong, expected, hint in (
        (steps == 0, f"each time of {series} once", "name the series: forecasting:series=COLUMN"),
        (
            (steps > 1) & (not fill),
            f"the next time of {series}, {clock.step} later",
            "add the missing times, or fill gaps by lines: forecasting:fill=yes",
        ),
    ):
        if wrong.any():
            row = int(rows[order][1 + int(np.flatnonzero(wrong)[0])])
            more = f" ({int(wrong.sum())} such rows)" if wrong.sum() > 1 else ""
            got = f"{table.cells(when)[row]!r}{more}"
            raise DataError(table.place(row, when), expected, got, hint)
    return positions - positions[0], int(positions[0]), bool((np.diff(order) != 1).any())


def _whole(
    table: LongTable,
    columns: Sequence[str],
    rows: NDArray[np.int64],
    at: NDArray[np.int64],
    values: NDArray[np.float64],
    fill: bool,
    title: str,
    notes: list[str],
) -> NDArray[np.float64]:
    """Values without missing ones; those before the first and after the last one of a series in
    wide form would be other lengths, and are refused or filled as well."""
    missing = ~np.isfinite(values[:, at])
    empty = ~np.isfinite(values).any(axis=1)
    if (missing.any() and not fill) or empty.any() or np.isinf(values).any():
        channel, place = np.argwhere(missing)[0]
        cell = table.cells(columns[channel])[rows[place]]
        got = f"{cell!r} ({int(missing.sum())} of {missing.size} values)"
        hint = "fill them by lines between their neighbours: forecasting:fill=yes"
        raise DataError(table.place(int(rows[place]), columns[channel]), "a number", got, hint)
    count = int((~np.isfinite(values)).sum())
    if count:
        notes.append(f"{count:,} missing values of {title!r} filled by lines")
        values = filled(values)
    return values
