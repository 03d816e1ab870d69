"""Parsing texts of benchmark files: JSON values and architectures, with the row in errors."""

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
    """The result of ``parse`` for each numbered row.

    Raises:
        InputError: ``parse`` raised :class:`SpaceError`; with the file and the row.
    """
    results = []
    for row, value in rows:
        try:
            results.append(parse(value))
        except SpaceError as error:
            where = f"{path}, row {row}, {error.where}"
            raise InputError(where, error.expected, error.got, hint) from None
    return results


def json_values(path: Path, column: str, texts: Iterable[Any], kind: type[T]) -> list[T]:
    """The column's texts parsed as JSON, all of one kind (``list`` or ``dict``).

    Raises:
        InputError: a value is of another kind; with its row.
    """
    values = []
    for row, text in enumerate(texts):
        try:
            value = json.loads(text)
        except (TypeError, ValueError):
            value = None
        if not isinstance(value, kind):
            shown = repr(text)
            raise InputError(
                f"{path}, column {column}, row {row}",
                f"a JSON {kind.__name__}",
                shown if len(shown) < 80 else f"{shown[:77]}...",
            )
        values.append(value)
    return values
