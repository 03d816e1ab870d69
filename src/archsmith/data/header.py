"""Whether the first row of a table names its columns, judging from the rows below it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto

from .numerals import is_missing, notations, number


class _Vote(Enum):
    NAME = auto()
    PERHAPS_NAME = auto()
    DATA = auto()


def is_data(first: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Whether the first row is data, not a header.

    A text above only numbers is a name. Otherwise a cell counts as data if it is a number like
    those below or a text that occurs again, and as a name if the texts below repeat but it does
    not; the majority decides. The default names of pandas (0, 1, 2, ...) are a header, and so are
    numbers unlike those below (years above amounts).

    Args:
        first: the cells of the first row.
        below: the next rows, of the same length.
    """
    numbers = [cell for cell in first if number(cell) is not None]
    if len(numbers) > 2 and numbers == [str(i) for i in range(len(numbers))]:
        return False
    if not below:
        return len(numbers) == len(first)
    votes = [_vote(cell, column) for cell, column in zip(first, zip(*below), strict=False)]
    if _Vote.NAME in votes:
        return False
    return votes.count(_Vote.DATA) > votes.count(_Vote.PERHAPS_NAME)


def _vote(cell: str, column: Sequence[str]) -> _Vote | None:
    present = [other for other in column if not is_missing(other)]
    if is_missing(cell) or not present:
        return None
    distinct = set(present)
    below = notations(sorted(distinct))
    if below:
        value = number(cell)
        if value is None:
            return _Vote.NAME
        others = [below[0].value(other) or 0.0 for other in present]
        return _Vote.DATA if _is_like(cell, value, present, others) else None
    if cell in distinct:
        return _Vote.DATA
    return _Vote.PERHAPS_NAME if 2 * len(distinct) <= len(present) else None


def _is_like(cell: str, value: float, column: Sequence[str], others: Sequence[float]) -> bool:
    """Whether a number fits its column: it has decimals, or is in the range of the others."""
    if not cell.lstrip("+-").isdecimal():
        return True
    if not any(other.lstrip("+-").isdecimal() for other in column):
        return False
    low, high = min(others), max(others)
    span = (high - low) or abs(high) or 1.0
    return low - span <= value <= high + span
