"""``.npz`` files of arrays: images or rows, with their targets. Nothing is ever unpickled."""

from __future__ import annotations

import struct
import tokenize
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._support.errors import DataError
from . import pixels
from .names import shown
from .pixels import channels_first, stored
from .raw import (
    TEST,
    TRAIN,
    VALIDATION,
    Column,
    Images,
    Kind,
    RawTable,
    expect_room,
    labelled,
    looks_like_classes,
)
from .tables import drop_bad_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .raw import Unreadable

INPUTS = {"x", "image", "images", "img", "imgs", "data", "input", "inputs", "features", "arr"}
TARGETS = {"y", "label", "labels", "target", "targets"}
NAMES = {"classes", "class_names", "label_names", "target_names"}
COLUMNS = {"columns", "column_names", "feature_names"}
PARTS = {"train": TRAIN, "val": VALIDATION, "valid": VALIDATION, "validation": VALIDATION}
PARTS |= {"test": TEST}
#: Exceptions of numpy and zipfile for damaged, encrypted or other files.
DAMAGE = (
    OSError,
    ValueError,
    EOFError,
    RuntimeError,
    LookupError,
    TypeError,
    ArithmeticError,
    MemoryError,
    SyntaxError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
SPELLINGS = "x and y, images and labels, data and target, each alone or with train, val, test"


@dataclass(frozen=True)
class Layout:
    """The meaning of the keys of a file, by part."""

    inputs: dict[int, str]
    targets: dict[int, str]
    class_names: str | None
    columns: str | None


def layout(path: Path, keys: list[str]) -> Layout:
    """Interpret the keys of an ``.npz`` file.

    Raises:
        DataError: no pair of inputs and targets among them, or one without the other.
    """
    inputs: dict[int, str] = {}
    targets: dict[int, str] = {}
    class_names = columns = None
    for key in keys:
        lower = key.lower()
        if lower in NAMES:
            class_names = key
        elif lower in COLUMNS:
            columns = key
        else:
            words = [word for word in lower.replace("-", "_").split("_") if word]
            parts = [PARTS[word] for word in words if word in PARTS]
            rest = [word for word in words if word not in PARTS]
            if len(parts) > 1 or len(rest) != 1:
                continue
            part = parts[0] if parts else TRAIN
            for keys_of_kind, spellings in ((inputs, INPUTS), (targets, TARGETS)):
                if rest[0] not in spellings:
                    continue
                if part in keys_of_kind:
                    got = f"{keys_of_kind[part]} and {key}"
                    raise DataError(str(path), "one array of a kind for each part", got)
                keys_of_kind[part] = key
    if TRAIN not in inputs or inputs.keys() != targets.keys():
        raise DataError(str(path), SPELLINGS, "keys " + ", ".join(keys))
    return Layout(inputs, targets, class_names, columns)


def _load(path: Path) -> Any:
    try:
        return np.load(path, allow_pickle=False)
    except DAMAGE as error:
        # numpy reports unknown bytes as a pickle.
        message = "bytes of another format" if "pickle" in str(error) else str(error)
        raise DataError(str(path), "an .npz file of arrays", message) from error


def open_archive(path: Path) -> Any:
    """An open ``.npz`` archive. Raises DataError if it is damaged or a single array."""
    archive = _load(path)
    if isinstance(archive, np.ndarray):
        raise DataError(str(path), "an .npz file of arrays", "a single array, as in an .npy file")
    expect_room(str(path), sum(entry.file_size for entry in archive.zip.infolist()))
    return archive


def load(path: Path, archive: Any, key: str) -> NDArray[Any]:
    """One array of an open ``.npz``. Raises DataError for pickled objects and damage."""
    try:
        array: NDArray[Any] = archive[key]
    except DAMAGE as error:
        hint = "save plain numbers or texts; pickled objects are never opened"
        raise DataError(f"{path} {key}", "a plain array", str(error), hint) from error
    return array


def _shape(path: Path, archive: Any, key: str) -> tuple[int, ...]:
    """Shape of an array, only from its header if that has the usual version."""
    try:
        with zipfile.ZipFile(path) as names, names.open(key + ".npy") as file:
            if np.lib.format.read_magic(file) == (1, 0):
                return np.lib.format.read_array_header_1_0(file)[0]
    except DAMAGE:
        pass  # Reading the whole array reports the problem.
    return load(path, archive, key).shape


def kind_of(path: Path) -> Kind | None:
    """The kind of data in an ``.npz`` file, by headers and targets; ``None`` if unknown."""
    with open_archive(path) as archive:
        try:
            keys = layout(path, list(archive.files))
        except DataError:
            return None
        shape = _shape(path, archive, keys.inputs[TRAIN])
        if len(shape) in (3, 4):
            return "images"
        if len(shape) != 2:
            return None
        values = np.ravel(load(path, archive, keys.targets[TRAIN]))
        return "classes" if looks_like_classes(values) else "values"


def _targets(
    path: Path, key: str, target: NDArray[Any], count: int, several: bool = False
) -> NDArray[Any]:
    """Targets (n,) from (n,), (n, 1) or one-hot (n, classes); or marks (n, classes)."""
    where = f"{path} {key}"
    if several:
        if target.shape != (count, target.shape[-1]) or not np.isin(target, (0, 1)).all():
            expected, got = f"rows ({count}, labels) of 0 and 1", f"{target.dtype} {target.shape}"
            raise DataError(where, expected, got)
        return target.astype(np.uint8)
    if target.ndim == 2 and target.shape[1] == 1:
        target = target[:, 0]
    if target.ndim == 2 and target.dtype.kind in "biuf":
        if not (np.isin(target, (0, 1)).all() and (target.sum(axis=1) == 1).all()):
            raise DataError(where, "one target an example", f"shape {target.shape}, not one-hot")
        target = target.argmax(axis=1)
    if target.ndim != 1 or target.dtype.kind not in "biufUS":
        raise DataError(where, "one target an example", f"shape {target.shape}, {target.dtype}")
    if len(target) != count:
        raise DataError(where, f"{count} targets, one per example", str(len(target)))
    return texts(where, target) if target.dtype.kind == "S" else target


def texts(where: str, array: NDArray[Any]) -> NDArray[np.str_]:
    """An array as texts, decoding bytes as UTF-8. Raises DataError if that fails."""
    if array.dtype.kind != "S":
        return array.astype(str)
    try:
        return np.char.decode(array, "utf-8")
    except UnicodeDecodeError as error:
        raise DataError(where, "texts in UTF-8", str(error)) from error


def _names(path: Path, key: str | None, arrays: dict[str, NDArray[Any]]) -> tuple[str, ...] | None:
    return None if key is None else tuple(texts(f"{path} {key}", arrays[key]).ravel().tolist())


def _read(path: Path) -> tuple[Layout, dict[str, NDArray[Any]]]:
    with open_archive(path) as archive:
        keys = layout(path, list(archive.files))
        needed = [*keys.inputs.values(), *keys.targets.values(), keys.class_names, keys.columns]
        return keys, {key: load(path, archive, key) for key in needed if key is not None}


def _join_parts(
    path: Path, keys: Layout, arrays: dict[str, NDArray[Any]], several: bool = False
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.int8]]:
    """Concatenated inputs, targets and part numbers of all parts."""
    for key in (*keys.inputs.values(), *keys.targets.values()):
        if arrays[key].ndim == 0:
            raise DataError(f"{path} {key}", "an array with one entry per example", "one value")
    inputs = [arrays[key] for key in keys.inputs.values()]
    if len({(a.shape[1:], a.dtype) for a in inputs}) > 1:
        got = ", ".join(f"{key} {arrays[key].shape}" for key in keys.inputs.values())
        raise DataError(str(path), "parts of the same shape and dtype", got)
    targets = [
        _targets(path, keys.targets[part], arrays[keys.targets[part]], len(arrays[key]), several)
        for part, key in keys.inputs.items()
    ]
    order = np.array(list(keys.inputs), dtype=np.int8)
    parts = np.repeat(order, [len(a) for a in inputs])
    return np.concatenate(inputs), np.concatenate(targets), parts


def read_images(path: Path, channels: pixels.Layout | None = None, several: bool = False) -> Images:
    """Images and labels of an ``.npz`` file.

    Args:
        channels: position of the channels, if the shape is ambiguous.
        several: whether an image may have several labels, in rows (n, classes) of 0 and 1.

    Raises:
        DataError: keys, shapes or values that are not labelled images.
    """
    keys, arrays = _read(path)
    inputs, targets, parts = _join_parts(path, keys, arrays, several)
    where = f"{path} {keys.inputs[TRAIN]}"
    images, position = channels_first(where, inputs, channels)
    pixel_data = stored(where, images)
    names = _names(path, keys.class_names, arrays)
    if several:
        labels, classes = targets, names or tuple(map(str, range(targets.shape[1])))
        if not len(set(classes)) == len(classes) == targets.shape[1]:
            expected = f"{targets.shape[1]} distinct names"
            raise DataError(f"{path} {keys.class_names}", expected, ", ".join(classes))
    else:
        labels, classes = labelled(targets, f"{path} {keys.targets[TRAIN]}", names)
    count = images.shape[1]
    layout_note = (f"shape {inputs.shape}: {count} channels, which come {position}",)
    return Images(
        shown(path.stem),
        pixel_data.images,
        labels,
        classes,
        parts,
        pixel_data.low,
        pixel_data.high,
        (*(layout_note if position and count not in (1, 3) else ()), *pixel_data.notes),
        keys.targets[TRAIN],
        pixel_data.clipped,
        position,
    )


def read_table(path: Path, unreadable: Unreadable = "refuse") -> RawTable:
    """Rows (n, columns) of numbers and their targets of an ``.npz`` file.

    Raises:
        DataError: keys or shapes that are not a table, a missing target, or missing values.
    """
    keys, arrays = _read(path)
    inputs, targets, parts = _join_parts(path, keys, arrays)
    where = f"{path} {keys.inputs[TRAIN]}"
    if inputs.ndim != 2 or inputs.dtype.kind not in "biuf":
        raise DataError(where, "rows (n, columns) of numbers", f"{inputs.shape} {inputs.dtype}")
    names = _names(path, keys.columns, arrays)
    if names is None:
        names = tuple(f"x{i}" for i in range(inputs.shape[1]))
    if len(set(names)) != inputs.shape[1] or len(names) != inputs.shape[1]:
        expected = f"{inputs.shape[1]} distinct names"
        raise DataError(f"{path} {keys.columns}", expected, ", ".join(names))
    if targets.dtype.kind in "biu":
        targets = targets.astype(np.float64)
    table = RawTable(
        shown(path.stem),
        tuple(Column(name) for name in names),
        inputs.astype(np.float64),
        keys.targets[TRAIN],
        targets,
        parts,
        _names(path, keys.class_names, arrays),
    )
    return drop_bad_rows(table, str(path), np.arange(len(parts)), "row", unreadable)


def read_plain(
    path: Path,
) -> tuple[str, NDArray[Any], NDArray[Any], NDArray[np.int8], tuple[str, ...] | None]:
    """Inputs of an ``.npz`` file as they are, with their place for messages before them; targets,
    parts and names of classes.

    Raises:
        DataError: keys or shapes that are not pairs of inputs and targets.
    """
    keys, arrays = _read(path)
    where, names = f"{path} {keys.inputs[TRAIN]}", _names(path, keys.class_names, arrays)
    return where, *_join_parts(path, keys, arrays), names


def load_one(path: Path) -> NDArray[Any]:
    """Inputs for prediction: the array of an ``.npy``, or the ``.npz`` array named like inputs.

    Raises:
        DataError: another kind of file, or no unique array of inputs.
    """
    archive = _load(path)
    if isinstance(archive, np.ndarray):
        return archive
    with archive:
        named = [key for key in archive.files if INPUTS & set(key.lower().split("_"))]
        keys = named or list(archive.files)
        if len(keys) != 1:
            raise DataError(str(path), "one array of inputs", "keys " + ", ".join(keys))
        return load(path, archive, keys[0])
