"""Texts of benchmark files: JSON values and architectures, with the row in every complaint."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from .._support.errors import InputError, SpaceError

T = TypeVar("T")
R = TypeVar("R")


def parsed(
    path: Path, rows: Iterable[tuple[int, T]], parse: Callable[[T], R], hint: str
) -> list[R]:
    """What ``parse`` makes of each numbered row.

    Raises:
        InputError: for a :class:`SpaceError` of one of them, with the file and the row.
    """
    found = []
    for row, value in rows:
        try:
            found.append(parse(value))
        except SpaceError as error:
            where = f"{path}, row {row}, {error.where}"
            raise InputError(where, error.expected, error.got, hint) from None
    return found


def json_values(path: Path, column: str, texts: Iterable[Any], kind: type[T]) -> list[T]:
    """The column's texts read as JSON, all of one kind (``list`` or ``dict``).

    Raises:
        InputError: one of them is something else, with its row.
    """
    found = []
    for row, text in enumerate(texts):
        try:
            value = json.loads(text)
        except (TypeError, ValueError):
            value = None
        if not isinstance(value, kind):
            told = repr(text)
            raise InputError(
                f"{path}, column {column}, row {row}",
                f"a JSON {kind.__name__}",
                told if len(told) < 80 else f"{told[:77]}...",
            )
        found.append(value)
    return found
