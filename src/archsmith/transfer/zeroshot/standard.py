"""The files of the usual benchmarks: ``res101.mat`` and ``att_splits.mat`` (arXiv:1707.00600)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..._support.errors import DataError
from ...data.arrays import load, open_archive
from .checks import Indices
from .data import ZeroShotData
from .matfile import load_mat

FILES = ("res101.mat", "att_splits.mat")
#: Required keys, and what each holds.
KEYS = {
    "features": "numbers (d, n), one example per column",
    "labels": "whole numbers (n,), counted from 1",
    "att": "numbers (attributes, classes), one class per column",
    "trainval_loc": "whole numbers (k,), counted from 1",
    "test_unseen_loc": "whole numbers (k,), counted from 1",
}
#: Optional keys.
OTHER = {
    "test_seen_loc": KEYS["trainval_loc"],
    "allclasses_names": "texts (classes,)",
}

#: By key: the file where it was found, and its value.
Entries = dict[str, tuple[Path, Any]]


def read_zero_shot(path: str | Path) -> ZeroShotData:
    """Read features, attributes and the split of a zero-shot benchmark.

    A folder holds ``res101.mat`` (``features`` (d, n), ``labels`` from 1) and ``att_splits.mat``
    (``att`` (attributes, classes), ``trainval_loc``, ``test_seen_loc``, ``test_unseen_loc`` from 1,
    ``allclasses_names``), as Xian et al. (2017, arXiv:1707.00600) publish them for CUB, AwA2, SUN
    and others. One ``.mat`` or ``.npz`` file with all of these keys works as well.

    Raises:
        DataError: with the file, the key, what was expected and what was found; also for MATLAB
            files of version 7.3, which are another format (HDF5).
    """
    place = Path(path).expanduser()
    if place.is_dir():
        missing = [name for name in FILES if not (place / name).is_file()]
        if missing:
            content = ", ".join(sorted(p.name for p in place.iterdir())[:8]) or "nothing"
            raise DataError(str(place), " and ".join(FILES), f"a folder that holds {content}")
        files = [place / name for name in FILES]
    elif place.is_file():
        files = [place]
    else:
        raise DataError(str(place), f"a folder with {' and '.join(FILES)}, or a file", "nothing")
    entries: Entries = {}
    for file in files:
        for key, value in _open(file).items():
            entries.setdefault(key, (file, value))
    for key, meaning in KEYS.items():
        if key not in entries:
            keys = ", ".join(sorted(entries)) or "none"
            raise DataError(str(files[-1]), f"the key {key!r}: {meaning}", f"keys {keys}")
    return _problem(entries, place)


def _problem(entries: Entries, place: Path) -> ZeroShotData:
    features, att = (_matrix(entries, key) for key in ("features", "att"))
    labels = _numbers(entries, "labels")
    if features.shape[1] != len(labels):
        hint = "transpose it" if features.shape[0] == len(labels) else None
        got = f"{features.shape} with {len(labels)} labels"
        raise DataError(_place_of(entries, "features"), KEYS["features"], got, hint)
    parts = {
        key: _numbers(entries, key) if key in entries else np.zeros(0, dtype=np.int64)
        for key in ("trainval_loc", "test_seen_loc", "test_unseen_loc")
    }
    _within(entries, "labels", labels, att.shape[1], "classes")
    for key, part in parts.items():
        _within(entries, key, part, len(labels), "examples")
    try:
        return ZeroShotData(
            features.T,
            labels - 1,
            att.T,
            _names(entries, att.shape[1]),
            *(part - 1 for part in parts.values()),
        )
    except DataError as error:
        where = f"{place} {error.where}"
        raise DataError(where, error.expected, error.got, error.hint) from None


def _place_of(entries: Entries, key: str) -> str:
    return f"{entries[key][0]} {key}"


def _matrix(entries: Entries, key: str) -> np.ndarray[Any, Any]:
    array = np.asarray(entries[key][1])
    if array.ndim != 2 or array.dtype.kind not in "biuf":
        raise DataError(_place_of(entries, key), KEYS[key], f"{array.shape} {array.dtype}")
    return array


def _numbers(entries: Entries, key: str) -> Indices:
    """Whole numbers (k,): MATLAB writes them as doubles in a column or a row."""
    array = np.asarray(entries[key][1])
    flat = array.reshape(-1) if max(array.shape, default=0) == array.size else array
    whole = flat.ndim == 1 and flat.dtype.kind in "iuf" and bool(np.isfinite(flat).all())
    if not whole or (flat != np.round(flat)).any():
        expected = {**KEYS, **OTHER}[key]
        raise DataError(_place_of(entries, key), expected, f"{array.shape} {array.dtype}")
    return flat.astype(np.int64)


def _within(entries: Entries, key: str, values: Indices, most: int, what: str) -> None:
    wrong = values[(values < 1) | (values > most)]
    if len(wrong):
        hint = "count from 1, as MATLAB does" if (wrong == 0).all() else None
        expected = f"numbers from 1 to {most}, one of the {what}"
        raise DataError(_place_of(entries, key), expected, str(int(wrong[0])), hint)


def _names(entries: Entries, classes: int) -> tuple[str, ...]:
    if "allclasses_names" not in entries:
        return tuple(str(i) for i in range(1, classes + 1))
    names = tuple(_text(cell) for cell in np.asarray(entries["allclasses_names"][1]).reshape(-1))
    if len(names) != classes or not all(names):
        expected = f"{classes} texts, one per class"
        got = f"{len(names)}" if len(names) != classes else "one that is empty or no text"
        raise DataError(_place_of(entries, "allclasses_names"), expected, got)
    return names


def _text(value: Any) -> str:
    """The text in a cell of a cell array, which is an array around one text."""
    while isinstance(value, np.ndarray):
        if value.size != 1:
            return ""
        value = value.reshape(-1)[0]
    return value.strip() if isinstance(value, str) else ""


def _open(path: Path) -> Mapping[str, Any]:
    """The wanted arrays of a ``.mat`` or ``.npz`` file."""
    keys = [*KEYS, *OTHER]
    if path.suffix == ".npz":
        return _open_npz(path, keys)
    if path.suffix != ".mat":
        raise DataError(str(path), "a .mat or an .npz file", f"the ending {path.suffix!r}")
    return load_mat(path, keys)


def _open_npz(path: Path, keys: list[str]) -> Mapping[str, Any]:
    with open_archive(path) as archive:
        return {key: load(path, archive, key) for key in keys if key in archive.files}
