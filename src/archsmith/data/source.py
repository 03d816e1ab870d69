"""Choosing the reader for a source: a registered name, a folder or a file."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from .._support.errors import DataError, unknown
from . import datasets
from .numerals import Decimal
from .pixels import Layout
from .raw import ClassesBy, Dataset, Images, Kind, RawTable, Unreadable
from .reclass import resized

Anything = TypeVar("Anything", Images, RawTable)


def locate(source: str) -> str | Path:
    """A registered name unchanged, or the absolute path of an existing file or folder.

    Raises:
        UnknownNameError: it looks like a name but is not registered; suggests the nearest.
        DataError: it looks like a path but does not exist.
    """
    if source in datasets.names():
        return source
    path = Path(source).expanduser()
    if source and path.exists():
        return path.resolve()
    if path.suffix or len(path.parts) > 1 or source.startswith((".", "~")) or not source:
        raise DataError(source or "data", "a file or a folder that exists", "nothing there")
    raise unknown("data", source, datasets.names())


def kind_of(
    source: str,
    target: str | None = None,
    decimal: Decimal | None = None,
    where: str | None = None,
) -> Kind | None:
    """The kind of data in a source, without reading all of it; ``None`` if unknown."""
    from . import arrays, folder, idx, tables

    place = locate(source)
    if isinstance(place, str):
        dataset: Dataset = datasets.get(place)
        return dataset.kind
    if place.is_dir():
        images = idx.find_files(place) is not None or folder.holds_class_folders(place)
        return "images" if images else None
    if place.suffix.lower() == ".npz":
        return arrays.kind_of(place)
    if place.suffix.lower() not in tables.SUFFIXES:
        return None
    return tables.kind_of(place, target, decimal, where)


def image_options(source: str) -> frozenset[str]:
    """Names of the options of :func:`read_images` that apply to a source."""
    from . import idx

    place = locate(source)
    own = {"target", "image_size"}
    if not isinstance(place, str) and place.is_dir() and idx.find_files(place) is None:
        own.add("unreadable")
    elif not isinstance(place, str) and place.suffix.lower() == ".npz":
        own.add("channels")
    return frozenset(own)


def table_options(source: str) -> frozenset[str]:
    """Names of the options of :func:`read_table` that apply to a source."""
    place = locate(source)
    if isinstance(place, str):
        return frozenset({"target"})
    text = place.suffix.lower() != ".npz"
    both = {"target", "unreadable"}
    own = {"decimal", "group", "order", "where", "columns"} if text else set()
    return frozenset(both | own)


def _only_target(read: Anything, target: str | None) -> Anything:
    """The data unchanged. Raises UnknownNameError if its only target is not ``target``."""
    if target is not None and target != read.target_name:
        raise unknown("column", target, [read.target_name])
    return read


def read_images(
    source: str,
    size: int | None = None,
    unreadable: Unreadable = "refuse",
    target: str | None = None,
    classes: ClassesBy = "folders",
    channels: Layout | None = None,
    on_disk: bool = False,
) -> Images:
    """Images from a name, a folder or an ``.npz`` file.

    Args:
        size: height and width to resize them to.
        classes: for a folder, as in :func:`archsmith.data.folder.read_images`.
        channels: position of the channels of an array, if its shape is ambiguous.
        on_disk: for a folder, likewise.

    Raises:
        DataError: the source has no labelled images, or they cannot be read.
        UnknownNameError: a name that is not registered, or a target other than the labels.
    """
    read = _images(locate(source), source, size, unreadable, classes, channels, on_disk)
    return _only_target(resized(read, size), target)


def _images(
    place: str | Path,
    source: str,
    size: int | None,
    unreadable: Unreadable,
    classes: ClassesBy,
    channels: Layout | None,
    on_disk: bool,
) -> Images:
    from . import arrays, folder, idx

    if isinstance(place, str):
        read = datasets.get(place).read()
        if not isinstance(read, Images):
            raise DataError(source, "labelled images", "a table", "choose a tabular task")
        if classes == "rows":
            hint = "choose image-classification"
            raise DataError(source, "several labels an image", "one label each", hint)
        return read
    if place.is_dir():
        if classes != "rows" and idx.find_files(place) is not None:
            return idx.read_folder(place)
        return folder.read_images(place, size, unreadable, classes, on_disk)
    if place.suffix.lower() == ".npz":
        return arrays.read_images(place, channels, several=classes == "rows")
    raise DataError(source, "a folder or an .npz file of images", place.suffix or "a file")


def read_table(
    source: str,
    target: str | None = None,
    unreadable: Unreadable = "refuse",
    decimal: Decimal | None = None,
    group: str | None = None,
    order: str | None = None,
    where: str | None = None,
    kinds: str | None = None,
) -> RawTable:
    """A table from a name, an ``.npz``, a CSV or a Parquet file.

    Raises:
        DataError: the source is not a table, or it cannot be read.
        UnknownNameError: a name that is not registered, or no such target column.
    """
    from . import arrays, tables

    place = locate(source)
    if isinstance(place, str):
        read = datasets.get(place).read()
        if not isinstance(read, RawTable):
            raise DataError(source, "a table", "images", "choose an image task")
        return _only_target(read, target)
    if place.suffix.lower() == ".npz":
        return _only_target(arrays.read_table(place, unreadable), target)
    if place.suffix.lower() in tables.SUFFIXES:
        return tables.read_table(place, target, unreadable, decimal, group, order, where, kinds)
    raise DataError(source, "an .npz, CSV or Parquet file", place.suffix or "a folder")
