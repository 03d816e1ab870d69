"""The rows of a file that make up one table, checked, with row numbers of the file in errors."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._support.errors import InputError, SpaceError
from ..history.objective import Metric
from ..space import Architecture
from .columns import identifier, need, numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .base import Values
    from .columns import Columns


class Rows:
    """Some rows of a file.

    Args:
        path: of the file, for errors.
        columns: all of its columns.
        equal: the value of the rows in each of these columns.

    Raises:
        InputError: such a column is missing, or no row matches.
    """

    def __init__(self, path: Path, columns: Columns, **equal: str) -> None:
        need(path, columns, equal)
        self.path, self.columns = path, columns
        chosen = np.ones(_length(columns), dtype=bool)
        for name, value in equal.items():
            texts = columns[name].astype(str)
            if not (chosen & (texts == value)).any():
                got = ", ".join(dict.fromkeys(texts[chosen].tolist())) or "no rows at all"
                raise InputError(f"{path}, column {name}", f"rows with {value}", got[:200])
            chosen &= texts == value
        self.places: NDArray[Any] = np.flatnonzero(chosen)

    def texts(self, name: str) -> list[str]:
        """A column as strings."""
        need(self.path, self.columns, [name])
        return [str(text) for text in self.columns[name][self.places]]

    def distinct(self, name: str) -> list[str]:
        """The distinct values of a column, in order of first occurrence."""
        return list(dict.fromkeys(self.texts(name)))

    def numbers(self, name: str) -> Values:
        """A column as finite float64.

        Raises:
            InputError: the column is missing, not numeric, or not finite in one of these rows.
        """
        need(self.path, self.columns, [name])
        column: NDArray[Any] = np.zeros(len(self.columns[name]), dtype=object)
        column[self.places] = self.columns[name][self.places]
        chosen: Values = numbers(self.path, {name: column}, name)[self.places]
        return chosen

    def others(self, taken: Iterable[str], ending: str = "") -> dict[str, Values]:
        """Other columns of finite numbers, by a name that objectives can use.

        Args:
            taken: names of columns to leave out.
            ending: suffix of names to leave out.
        """
        chosen = self._other_columns(taken, ending)
        return {
            name: column[self.places].astype(np.float64)
            for name, column in chosen.items()
            if not self._non_finite(column).size
        }

    def left_out(self, taken: Iterable[str], ending: str = "") -> dict[str, str]:
        """Columns that :meth:`others` leaves out for non-finite numbers, with the first row."""
        problems = {}
        for name, column in self._other_columns(taken, ending).items():
            holes = self._non_finite(column)
            if holes.size:
                problems[name] = f"{column[holes[0]]} in row {holes[0]}"
        return problems

    def _other_columns(self, taken: Iterable[str], ending: str) -> Columns:
        skipped = set(taken)
        return {
            identifier(name): column
            for name, column in self.columns.items()
            if column.dtype.kind in "fiu"
            and name not in skipped
            and not (ending and name.endswith(ending))
        }

    def _non_finite(self, column: NDArray[Any]) -> NDArray[Any]:
        holes: NDArray[Any] = self.places[~np.isfinite(column[self.places])]
        return holes

    def architectures(
        self, name: str, decode: Callable[[str], Architecture], notation: str
    ) -> list[Architecture]:
        """The architectures in a column, each once.

        Args:
            decode: parses one text; raises SpaceError.
            notation: one line about the notation, for errors.

        Raises:
            InputError: a text that is not an architecture of the space, or a duplicate.
        """
        architectures = []
        texts = self.texts(name)
        for place, text in zip(self.places, texts, strict=True):
            try:
                architectures.append(decode(text))
            except SpaceError as error:
                where = f"{self.path}, column {name}, row {place}"
                got = text if error.got in (None, repr(text)) else f"{error.got} in {text}"
                raise InputError(where, error.expected, got, notation) from None
        self._refuse_twice(name, texts)
        return architectures

    def _refuse_twice(self, name: str, texts: list[str]) -> None:
        first: dict[str, int] = {}
        for place, text in zip(self.places, texts, strict=True):
            if text in first:
                raise InputError(
                    f"{self.path}, column {name}, row {place}",
                    "each architecture once",
                    f"{text} again, as in row {first[text]}",
                    "remove one of the two, or replace them by one row with their mean",
                )
            first[text] = int(place)


def whole_numbers(text: str) -> tuple[int, ...]:
    """Parse a tuple of integers in Python notation, ``(1, 0, 2)``.

    Raises:
        SpaceError: the text has another form.
    """
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        value = None
    if not isinstance(value, tuple) or any(type(number) is not int for number in value):
        raise SpaceError("arch", "integers in parentheses, such as (1, 0, 2)", repr(text))
    return value


def metrics(values: Iterable[str], *smaller: str) -> dict[str, Metric]:
    """Metrics with these names and no units; smaller is better for ``smaller``."""
    return {
        name: Metric(name, "", "minimize" if name in smaller else "maximize") for name in values
    }


def _length(columns: Columns) -> int:
    return len(next(iter(columns.values()))) if columns else 0
