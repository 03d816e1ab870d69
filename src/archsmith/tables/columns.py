"""Columns of benchmark files (npz, Parquet and CSV), checked before use."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._support.errors import InputError, MissingExtraError, unknown

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Columns = dict[str, NDArray[Any]]


def read_columns(path: Path) -> Columns:
    """All columns of a file by name. Arrays that need unpickling are refused.

    Raises:
        InputError: the file does not exist or cannot be read.
        MissingExtraError: pandas or pyarrow is needed and not installed.
    """
    if path.is_dir():
        raise InputError(str(path), "a benchmark file", "a folder", "name the file in it")
    if not path.is_file():
        raise InputError(
            str(path),
            "a benchmark file",
            "nothing there",
            "give its path, or set ARCHSMITH_DATA to the folder that holds it",
        )
    try:
        if path.suffix == ".npz":
            return _read_npz(path)
        if path.suffix == ".parquet":
            frame = _pandas().read_parquet(path)
        elif path.suffix == ".csv":
            frame = _pandas().read_csv(path)
        else:
            raise InputError(str(path), "a .npz, .parquet or .csv file", path.suffix or "no suffix")
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(str(path), f"a readable {path.suffix} file", str(error)) from None
    return {str(name): frame[name].to_numpy() for name in frame.columns}


def need(path: Path, columns: Columns, names: Iterable[str]) -> None:
    """Raise :class:`InputError` unless all these columns exist."""
    missing = [name for name in names if name not in columns]
    if missing:
        raise InputError(
            str(path),
            f"the columns {', '.join(missing)}",
            f"only {', '.join(sorted(columns)[:40])}",
        )


def numbers(path: Path, columns: Columns, name: str) -> NDArray[np.float64]:
    """A column as float64 (rows,).

    Raises:
        InputError: the column is missing, not numeric, or has NaN or infinity; with the first row.
    """
    need(path, columns, [name])
    try:
        column = np.asarray(columns[name], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}, column {name}", "numbers", str(error)) from None
    if column.ndim != 1:
        raise InputError(f"{path}, column {name}", "one number per row", f"shape {column.shape}")
    invalid = np.flatnonzero(~np.isfinite(column))
    if invalid.size:
        raise InputError(
            f"{path}, column {name}, row {invalid[0]}",
            "a finite number",
            str(column[invalid[0]]),
            f"{invalid.size} of {len(column)} rows are not finite: remove them from the file",
        )
    return column


def texts(path: Path, columns: Columns, name: str) -> list[str]:
    """A column of texts.

    Raises:
        InputError: the column is missing, empty, or does not have one value per row.
    """
    need(path, columns, [name])
    column = columns[name]
    if column.ndim != 1 or not column.size:
        raise InputError(f"{path}, column {name}", "one text per row", f"shape {column.shape}")
    if column.dtype.kind == "S":
        column = np.char.decode(column, "utf-8", "replace")
    return [str(text) for text in column]


def refuse_twice(path: Path, column: str, values: Sequence[Hashable]) -> None:
    """Raise :class:`InputError` if a row repeats an earlier one."""
    first: dict[Hashable, int] = {}
    for row, value in enumerate(values):
        if value in first:
            raise InputError(
                f"{path}, column {column}, row {row}",
                "each architecture once",
                f"{value!r} again, as in row {first[value]}",
            )
        first[value] = row


def pick(kind: str, name: str, known: Sequence[str]) -> str:
    """``name`` if it is known.

    Raises:
        UnknownNameError: it is not; the message suggests the nearest one.
    """
    if name not in known:
        raise unknown(kind, name, known)
    return name


def identifier(text: str) -> str:
    """The text as a name that objectives and limits can use."""
    plain = re.sub(r"\W+", "_", text).strip("_")
    return plain if plain and not plain[0].isdigit() else f"_{plain}"


def _read_npz(path: Path) -> Columns:
    try:
        archive = np.load(path, allow_pickle=False)
    except ValueError:  # numpy's message mentions pickles for any unknown bytes
        raise ValueError("bytes that are not an npz archive") from None
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise ValueError("a single array without a name")
    columns = {}
    with archive:
        for name in archive.files:
            try:
                columns[name] = archive[name]
            except ValueError as error:
                message = str(error)
                if "allow_pickle" in message:
                    message = "Python objects; save texts as a string array, such as astype(str)"
                raise ValueError(f"column {name}: {message}") from None
    return columns


def _pandas() -> Any:
    try:
        import pandas
        import pyarrow  # noqa: F401
    except ImportError:
        raise MissingExtraError(
            "reading tables", "pandas and pyarrow", None, "pip install 'archsmith[data]'"
        ) from None
    return pandas
