"""Labelled time series: ``.ts`` files, ``.npz`` arrays, and tables in long form."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .._support.errors import DataError
from . import arrays
from .clock import clock_of
from .longform import SERIES, TIMES, LongTable, filled, open_long
from .names import shown
from .raw import TEST, TRAIN, labelled
from .tables import TARGETS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .numerals import Decimal

_PART = re.compile(r"(.+)_(train|test)\.ts", re.IGNORECASE)
HINT = "repair them, or fill them by lines between their neighbours: series-classification:fill=yes"


@dataclass(frozen=True)
class LabelledSeries:
    """Series with a class each.

    Attributes:
        values: of each series (channels, length); lengths may differ.
        labels: int64 (n,), indices into ``class_names``.
        parts: as in :class:`~archsmith.data.raw.Images`.
    """

    name: str
    values: list[NDArray[np.float64]]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    parts: NDArray[np.int8]
    channels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TsFile:
    """The series of a ``.ts`` file, where each is, their classes, and those that it declares."""

    values: list[NDArray[np.float64]]
    places: list[str]
    labels: list[str]
    classes: tuple[str, ...]


def is_ts(place: Path) -> bool:
    """Whether a path is a ``.ts`` file, or a folder with such a file of a training part."""
    if place.is_dir():
        return any(_PART.fullmatch(path.name) for path in place.glob("*_TRAIN.ts"))
    return place.suffix.lower() == ".ts"


def read_series(
    place: Path, fill: bool, names: tuple[str, str, str], decimal: Decimal | None = None
) -> LabelledSeries:
    """Read a source.

    Args:
        place: a ``.ts`` file (with ``_TRAIN`` in its name also the ``_TEST`` file beside it), a
            folder of these two, an ``.npz`` file, or a CSV or Parquet file.
        fill: whether missing values are filled; otherwise they are refused.
        names: of the columns of the series, the times and the label of a table; empty for usual
            names.

    Raises:
        DataError: what is wrong, and where.
    """
    if is_ts(place):
        return _read_ts(place, fill)
    if place.suffix.lower() == ".npz":
        return _read_arrays(place, fill)
    return _read_long(open_long(place, decimal), fill, names)


def _checked(values: NDArray[np.float64], where: str, fill: bool) -> NDArray[np.float64]:
    """A series without missing values."""
    bad = ~np.isfinite(values)
    if not bad.any():
        return values
    channel, step = np.argwhere(bad)[0]
    got = f"{values[channel, step]} ({int(bad.sum())} of {bad.size} values)"
    at = f"{where}, channel {channel + 1}, step {step + 1}"
    if not fill or np.isinf(values).any() or bad.all(axis=1).any():
        raise DataError(at, "finite values", got, HINT)
    return filled(values)


def _read_ts(place: Path, fill: bool) -> LabelledSeries:
    path = place
    if place.is_dir():
        found = sorted(p for p in place.glob("*_TRAIN.ts") if _PART.fullmatch(p.name))
        if len(found) > 1:
            listed = ", ".join(shown(p.name) for p in found)
            raise DataError(str(place), "one *_TRAIN.ts file", listed, "name the file itself")
        path = found[0]
    whole = [(path, TRAIN)]
    matched = _PART.fullmatch(path.name)
    if matched and matched[2].lower() == "train":
        word = "TEST" if matched[2].isupper() else "test"
        test = path.with_name(f"{matched[1]}_{word}.ts")
        whole += [(test, TEST)] if test.exists() else []
    files = [(parse_ts(one), part) for one, part in whole]
    names = files[0][0].classes
    for (file, _), (one, _) in zip(files, whole, strict=True):
        new = sorted(set(file.labels) - set(names))
        if new:
            raise DataError(f"{one}", f"the classes {', '.join(names)}", repr(new[0]))
    values = [
        _checked(one, where, fill)
        for file, _ in files
        for one, where in zip(file.values, file.places, strict=True)
    ]
    widths = {len(one) for one in values}
    if len(widths) > 1:
        raise DataError(str(place), "series of equally many channels", f"{sorted(widths)}")
    labels = np.array([names.index(label) for file, _ in files for label in file.labels])
    parts = np.repeat([part for _, part in files], [len(file.labels) for file, _ in files])
    name = matched[1] if matched else path.stem
    return LabelledSeries(shown(name), values, labels, names, parts.astype(np.int8))


def parse_ts(path: Path) -> TsFile:
    """The series of a file in the text format of the UEA and UCR archives.

    A series is a line: channels separated by colons, then its class; values separated by commas,
    missing ones as ``?``, which become NaN.

    Raises:
        DataError: another format, or a line that does not fit the header.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(str(path), "a .ts file in UTF-8", str(error)) from error
    header: dict[str, list[str]] = {}
    start = None
    for number, line in enumerate(lines):
        words = line.strip().split()
        if not words or words[0][0] in "#%":
            continue
        if words[0][0] != "@":
            raise DataError(
                f"{path} line {number + 1}", "a line that begins with @ or #", line[:40]
            )
        if words[0].lower() == "@data":
            start = number + 1
            break
        header[words[0].lower()] = words[1:]
    classes = header.get("@classlabel", [])
    if start is None or not classes or classes[0].lower() != "true":
        raise DataError(str(path), "a header with @classLabel true and @data", "none")
    if [word.lower() for word in header.get("@timestamps", ["false"])] == ["true"]:
        raise DataError(str(path), "values without time stamps", "@timeStamps true")
    found = TsFile([], [], [], tuple(classes[1:]))
    for number, line in enumerate(lines[start:], start=start + 1):
        if line.strip() and line.lstrip()[0] not in "#%":
            where = f"{path} line {number}"
            *channels, label = line.strip().split(":")
            if label not in found.classes:
                raise DataError(where, f"a class of {', '.join(found.classes)}", repr(label[:40]))
            found.values.append(_channels(channels, where))
            found.places.append(where)
            found.labels.append(label)
    if not found.labels:
        raise DataError(str(path), "series below @data", "none")
    return found


def _channels(texts: Sequence[str], where: str) -> NDArray[np.float64]:
    rows = []
    for text in texts:
        try:
            rows.append([float("nan") if v.strip() == "?" else float(v) for v in text.split(",")])
        except ValueError as error:
            raise DataError(where, "numbers separated by commas", str(error)) from error
    if not rows or len({len(row) for row in rows}) > 1:
        got = ", ".join(str(len(row)) for row in rows[:5]) or "none"
        raise DataError(where, "channels of equal length", got)
    return np.array(rows)


def _read_arrays(path: Path, fill: bool) -> LabelledSeries:
    where, inputs, targets, parts, names = arrays.read_plain(path)
    if inputs.ndim not in (2, 3) or inputs.dtype.kind not in "biuf" or not inputs.size:
        expected = "numbers (n, channels, length)"
        raise DataError(where, expected, f"{inputs.shape} {inputs.dtype}")
    whole = inputs.reshape(len(inputs), -1, inputs.shape[-1]).astype(np.float64)
    values = [_checked(one, f"{where} series {i}", fill) for i, one in enumerate(whole)]
    labels, classes = labelled(targets, str(path), names)
    return LabelledSeries(shown(path.stem), values, labels, classes, parts)


def _read_long(table: LongTable, fill: bool, asked: tuple[str, str, str]) -> LabelledSeries:
    series, time, label = (
        table.column(name, usual)
        for name, usual in zip(asked, (SERIES, TIMES, TARGETS), strict=True)
    )
    for what, found in (("series", series), ("label", label)):
        if found is None:
            option = "--target COLUMN" if what == "label" else "series-classification:series=COLUMN"
            hint = f"name it: {option}"
            raise DataError(
                str(table.path), f"a column of the {what}", ", ".join(table.rows.header), hint
            )
    assert series is not None
    assert label is not None
    kept, notes = table.features({series, label} | ({time} if time else set()))
    if not kept:
        raise DataError(str(table.path), "a column of values", "; ".join(notes) or "none")
    matrix, cells = np.stack([table.numbers(name) for name in kept]), table.cells(label)
    values, texts = [], []
    for name, rows in rows_in_order(table, series, time).items():
        other = next((row for row in rows if cells[row] != cells[rows[0]]), None)
        if other is not None:
            expected = f"one label for series {name!r}"
            got = f"{cells[rows[0]]!r} and {cells[other]!r}"
            raise DataError(table.place(int(other), label), expected, got)
        values.append(_checked(matrix[:, rows], f"{table.path} series {name!r}", fill))
        texts.append(cells[rows[0]])
    labels, classes = labelled(np.array(texts), f"{table.path} column {label!r}")
    parts = np.zeros(len(labels), dtype=np.int8)
    return LabelledSeries(
        shown(table.path.stem),
        values,
        labels,
        classes,
        parts,
        tuple(kept),
        (*table.rows.notes, *notes),
    )


def rows_in_order(
    table: LongTable, series: str | None, time: str | None
) -> dict[str, NDArray[np.int64]]:
    """The rows of each series in the order of their times; without times as they are.

    Raises:
        DataError: times that repeat, or that leave a gap.
    """
    groups = table.groups(series)
    if time is None:
        return groups
    stamps = table.cells(time)
    places = [table.place(row, time) for row in range(len(stamps))]
    positions = clock_of(stamps, list(groups.values()), places).positions
    for name, rows in groups.items():
        ordered = rows[np.argsort(positions[rows], kind="stable")]
        steps = np.diff(positions[ordered])
        if (steps != 1).any():
            at = int(ordered[1 + int(np.flatnonzero(steps != 1)[0])])
            expected = f"the next time of series {name!r}"
            hint = "repair repeated times and gaps"
            raise DataError(table.place(at, time), expected, repr(stamps[at]), hint)
        groups[name] = ordered
    return groups
