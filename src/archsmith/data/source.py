"""From what a user names (a registered name, a folder, a file) to the reader that opens it."""

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
    """A registered name as it is, or the absolute path of what exists.

    Raises:
        UnknownNameError: it reads as a name and is none; the nearest is offered.
        DataError: it reads as a path and nothing is there.
    """
    if source in datasets.names():
        return source
    path = Path(source).expanduser()
    if source and path.exists():
        return path.resolve()
    if path.suffix or len(path.parts) > 1 or source.startswith((".", "~")) or not source:
        raise DataError(source or "data", "a file or a folder that exists", "nothing there")
    raise unknown("data", source, datasets.names())


def kind_of(source: str, target: str | None = None, decimal: Decimal | None = None) -> Kind | None:
    """What a source holds, without reading it whole; ``None`` where no reader knows it."""
    from . import arrays, folder, idx, tables

    place = locate(source)
    if isinstance(place, str):
        dataset: Dataset = datasets.get(place)
        return dataset.kind
    if place.is_dir():
        images = idx.find_files(place) is not None or folder.is_image_folder(place)
        return "images" if images else None
    if place.suffix.lower() == ".npz":
        return arrays.kind_of(place)
    return (
        tables.kind_of(place, target, decimal) if place.suffix.lower() in tables.SUFFIXES else None
    )


def image_options(source: str) -> frozenset[str]:
    """Names of the options that :func:`read_images` has a use for with such a source."""
    from . import idx

    place = locate(source)
    own = {"target", "image_size"}
    if not isinstance(place, str) and place.is_dir() and idx.find_files(place) is None:
        own.add("unreadable")
    elif not isinstance(place, str) and place.suffix.lower() == ".npz":
        own.add("channels")
    return frozenset(own)


def table_options(source: str) -> frozenset[str]:
    """Names of the options that :func:`read_table` has a use for with such a source."""
    place = locate(source)
    if isinstance(place, str):
        return frozenset({"target"})
    text = place.suffix.lower() != ".npz"
    return frozenset(
        {"target", "unreadable", "decimal", "group", "order"} if text else {"target", "unreadable"}
    )


def _only_target(read: Anything, target: str | None) -> Anything:
    """What was read. Raises UnknownNameError where its one target is not the one asked for."""
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
) -> Images:
    """Images from a name, a folder or an ``.npz`` file.

    Args:
        size: height and width to bring them to.
        classes: in a folder, as :func:`archsmith.data.folder.read_images`.
        channels: of an array, where they stand if its sizes do not tell.

    Raises:
        DataError: the source holds no labelled images, or they cannot be read.
        UnknownNameError: a name that is not registered, or a target other than the labels.
    """
    read = _images(locate(source), source, size, unreadable, classes, channels)
    return _only_target(resized(read, size), target)


def _images(
    place: str | Path,
    source: str,
    size: int | None,
    unreadable: Unreadable,
    classes: ClassesBy,
    channels: Layout | None,
) -> Images:
    from . import arrays, folder, idx

    if isinstance(place, str):
        read = datasets.get(place).read()
        if not isinstance(read, Images):
            raise DataError(source, "labelled images", "a table", "choose a tabular task")
        return read
    if place.is_dir():
        if idx.find_files(place) is not None:
            return idx.read_folder(place)
        return folder.read_images(place, size, unreadable, classes)
    if place.suffix.lower() == ".npz":
        return arrays.read_images(place, channels)
    raise DataError(source, "a folder or an .npz file of images", place.suffix or "a file")


def read_table(
    source: str,
    target: str | None = None,
    unreadable: Unreadable = "refuse",
    decimal: Decimal | None = None,
    group: str | None = None,
    order: str | None = None,
) -> RawTable:
    """A table from a name, an ``.npz``, a CSV or a Parquet file.

    Raises:
        DataError: the source holds no table, or it cannot be read.
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
        return tables.read_table(place, target, unreadable, decimal, group, order)
    raise DataError(source, "an .npz, CSV or Parquet file", place.suffix or "a folder")
