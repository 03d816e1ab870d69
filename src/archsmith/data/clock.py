"""Time stamps as positions on a regular grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from .._support.errors import DataError
from .numerals import number

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Steps of a season by the seconds of a step: a day, a week or a year.
_SEASONS = {900: 96, 1800: 48, 3600: 24, 86400: 7, 604800: 52}
_MONTHS = {1: 12, 3: 4}
_WORDS = {60: "minute", 3600: "hour", 86400: "day", 604800: "week"}


@dataclass(frozen=True)
class Clock:
    """Positions of times.

    Attributes:
        positions: int64 (n,), in steps of the grid.
        season: steps of the usual season of such a grid; 1 if it has none.
        step: what a step is, in words.
    """

    positions: NDArray[np.int64]
    season: int
    step: str


def clock_of(
    cells: Sequence[str], groups: Sequence[NDArray[np.int64]], place: Sequence[str]
) -> Clock:
    """The grid of time stamps: numbers, quarters (2020 Q1), or dates and times as in ISO 8601.

    A step is the most frequent one within a series. Months and quarters are steps of their own, and
    so are working days, if no stamp is on a weekend.

    Args:
        cells: a stamp for each row.
        groups: the rows of each series.
        place: where each stamp is, for messages.

    Raises:
        DataError: a stamp that cannot be read, or that is not on the grid.
    """
    values, unit = _values(cells, place)
    steps = [np.diff(np.sort(values[rows])) for rows in groups]
    sizes, counts = np.unique(np.concatenate([s[s > 0] for s in steps]), return_counts=True)
    if not len(sizes):
        raise DataError(place[0], "a series of at least two times", "one")
    step = float(sizes[counts.argmax()])
    grid = (values - values.min()) / step
    off = np.flatnonzero(np.abs(grid - np.round(grid)) > 1e-3)
    if len(off):
        expected = f"times in steps of {_word(step, unit)}, the most frequent one"
        raise DataError(
            place[off[0]], expected, repr(cells[off[0]]), "resample the series to a regular step"
        )
    season = _MONTHS.get(int(step), 1) if unit == "month" else _SEASONS.get(int(step), 1)
    if unit == "working day":
        season = 5
    elif unit == "number":
        season = 1
    return Clock(np.round(grid).astype(np.int64), season, _word(step, unit))


def _word(step: float, unit: str) -> str:
    if unit != "second" or step == 1:
        return f"1 {unit}" if step == 1 else f"{step:g} {unit}s"
    size = max((size for size in _WORDS if step % size == 0), default=1)
    return _word(step / size, _WORDS[size]) if size > 1 else f"{step:g} seconds"


def _values(cells: Sequence[str], place: Sequence[str]) -> tuple[NDArray[np.float64], str]:
    """Times as numbers, and their unit."""
    numbers = [number(cell) for cell in cells]
    if None not in numbers:
        return np.array(numbers, dtype=np.float64), "number"
    stamps = np.array([_stamp(cell, where) for cell, where in zip(cells, place, strict=True)])
    days = stamps.astype("datetime64[D]")
    months = stamps.astype("datetime64[M]")
    last = (days + 1).astype("datetime64[M]") != months
    if (stamps == months).all() or (last.all() and (stamps == days).all()):
        return months.astype(np.float64), "month"
    if (stamps == days).all() and np.is_busday(days).all() and len(set(days.tolist())) > 5:
        whole = np.busday_count(days.min(), days).astype(np.float64)
        # Weekly stamps of one weekday have no weekends either.
        if (np.diff(np.unique(whole)) == 1).any():
            return whole, "working day"
    return stamps.astype("datetime64[s]").astype(np.float64), "second"


def _stamp(cell: str, where: str) -> np.datetime64:
    year, _, quarter = cell.partition("Q")
    try:
        if quarter in ("1", "2", "3", "4"):
            return np.datetime64(f"{year.strip(' -')}-{3 * int(quarter) - 2:02}", "s")
        if len(cell) <= 7:
            return np.datetime64(cell, "s")  # a year, or a month of a year
        read = datetime.fromisoformat(cell)
        return np.datetime64(
            read.astimezone(UTC).replace(tzinfo=None) if read.tzinfo else read, "s"
        )
    except ValueError:
        expected = "a number, a quarter (2020 Q1), or a date and time as in ISO 8601 (2020-01-31)"
        raise DataError(where, expected, repr(cell)) from None
