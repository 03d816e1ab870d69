"""Dates as people write them, read by whole columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from typing import Literal

#: Order of year, month and day.
Order = Literal["ymd", "dmy", "mdy"]

ORDERS: tuple[Order, ...] = ("ymd", "dmy", "mdy")
_DATE = re.compile(
    r"(\d{1,4})([-/.])(\d{1,2})\2(\d{1,4})"
    r"(?:[T ]+(\d{1,2}):(\d{2})(?::(\d{2}(?:\.\d*)?))?)? *(Z|[+-]\d{2}:?\d{2})?"
)
_EPOCH = date(1970, 1, 1).toordinal()


def days(cell: str, order: Order) -> float | None:
    """Days since 1970, with the time of day as a fraction; ``None`` if it is not such a date.

    Times with an offset (``+01:00``) are converted to UTC.
    """
    found = _DATE.fullmatch(cell)
    if found is None:
        return None
    numbers = dict(zip(order, (found[1], found[3], found[4]), strict=True))
    if len(numbers["y"]) != 4:
        return None
    hour, minute, second = int(found[5] or 0), int(found[6] or 0), float(found[7] or 0)
    if hour > 23 or minute > 59 or second >= 61:
        return None
    try:
        day = date(int(numbers["y"]), int(numbers["m"]), int(numbers["d"])).toordinal() - _EPOCH
    except ValueError:
        return None
    return day + (hour * 3600 + minute * 60 + second - _offset(found[8])) / 86400


def orders(cells: Sequence[str]) -> tuple[Order, ...]:
    """Orders in which every cell is a date; only one of those that mean the same.

    Args:
        cells: the cells that are not missing.
    """
    if not cells:
        return ()
    fitting: dict[tuple[float | None, ...], Order] = {}
    for order in ORDERS:
        if days(cells[0], order) is None:
            continue
        read = tuple(days(cell, order) for cell in cells)
        if None not in read:
            fitting.setdefault(read, order)
    return tuple(fitting.values())


def _offset(text: str | None) -> int:
    """Seconds of an offset from UTC."""
    if text is None or text == "Z":
        return 0
    size = int(text[1:3]) * 3600 + int(text[-2:]) * 60
    return -size if text[0] == "-" else size
