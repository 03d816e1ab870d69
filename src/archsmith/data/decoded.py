"""Decoded images in a file of the user's cache, for those that do not fit in memory."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._support.cache import cache_folder
from .._support.errors import DataError
from .._support.files import replacing, write_text
from .raw import expect_room, is_large

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Incremented when the same files would be decoded differently.
_FORMAT = "1"
#: Errors of a disk that is full or cannot be written to.
_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)
#: Seconds without a change after which a file that is being written belongs to nobody.
_ABANDONED = 3600
_HINT = "make room, choose a smaller image size, or set XDG_CACHE_HOME to a folder on another disk"


@dataclass(frozen=True)
class Decoded:
    """What is known about decoded images without reading them.

    Attributes:
        shape: (n, channels, height, width).
        skipped: positions of files that could not be read, among all files.
        notes: how the files were read, as lines for people.
    """

    shape: tuple[int, ...]
    skipped: tuple[int, ...]
    notes: tuple[str, ...]


def place_for(files: Sequence[Path], options: Sequence[object]) -> Path | None:
    """Where these files are kept if they are decoded with these options; ``None`` without a cache.

    Files count as the same if their paths, sizes and times of modification are.
    """
    import PIL

    folder = cache_folder()
    if folder is None:
        return None
    # Decoders of other versions may give other pixels.
    key = hashlib.sha256(repr((_FORMAT, PIL.__version__, *options)).encode())
    for file in files:
        known = file.stat()
        key.update(os.fsencode(file.absolute()))
        key.update(f"\0{known.st_size} {known.st_mtime_ns}\n".encode())
    return folder / "images" / f"{key.hexdigest()[:32]}.npy"


def find(place: Path) -> Decoded | None:
    """What is kept at a place; ``None`` if it is missing or damaged."""
    try:
        values = json.loads(place.with_suffix(".json").read_text(encoding="utf-8"))
        found = Decoded(*(tuple(values[name]) for name in ("shape", "skipped", "notes")))
        return found if open_map(place).shape == found.shape else None
    except (OSError, ValueError, TypeError, KeyError, DataError):
        return None


def write(place: Path, images: Iterable[NDArray[np.uint8]], about: Decoded) -> None:
    """Keep images as they are decoded, completely or not at all.

    Raises:
        DataError: the disk is too small, or cannot be written to.
    """
    size = int(np.prod(about.shape))
    with _unwritable(place.parent):
        place.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(place.parent)
        free = shutil.disk_usage(place.parent).free
        if size > free:
            raise _too_small(place.parent, size, free)
        # Written rather than mapped: a map on a disk that fills up ends the process.
        with replacing(place) as half, half.open("wb") as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": about.shape}
            np.lib.format.write_array_header_1_0(file, header)
            for image in images:
                file.write(np.ascontiguousarray(image).data)
            file.flush()
            os.fsync(file.fileno())
        write_text(place.with_suffix(".json"), json.dumps(asdict(about)))


def open_map(place: Path) -> np.memmap[Any, np.dtype[np.uint8]]:
    """The images (n, channels, height, width), read when they are accessed.

    Raises:
        DataError: they are not there any more, or incomplete.
    """
    try:
        return np.lib.format.open_memmap(place, mode="r")
    except (OSError, ValueError) as error:
        expected, hint = "decoded images", "start again: they are decoded anew"
        raise DataError(str(place), expected, str(error), hint) from error


def load(place: Path, on_disk: bool, where: str) -> NDArray[np.uint8]:
    """The images of a place, as a map if they are large for the memory and may be one.

    Args:
        where: their source, for messages.

    Raises:
        DataError: they may not, and do not fit in memory.
    """
    images = open_map(place)
    if on_disk and is_large(images.nbytes):
        return images
    expect_room(where, images.nbytes)
    return np.array(images)


def lines_about(images: NDArray[Any]) -> tuple[str, ...]:
    """For people: that images are read from disk, and where they are, if it is so."""
    if not isinstance(images, np.memmap):
        return ()
    place = Path(str(images.filename))
    # Exports pass this on, and the name of a home folder is nobody else's business.
    with contextlib.suppress(ValueError, RuntimeError):
        place = "~" / place.relative_to(Path.home())
    return (f"read from disk, decoded once to {images.nbytes / 2**30:,.1f} GiB: {place}",)


def _remove_abandoned(folder: Path) -> None:
    """Remove what killed processes left: it may be large."""
    # The folder may be shared with other machines, so that the number of a process says nothing.
    for half in folder.glob("*.npy.*.tmp"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - half.stat().st_mtime > _ABANDONED:
                half.unlink()


def _too_small(folder: Path, size: int, free: int) -> DataError:
    expected = f"{size / 2**30:,.1f} GiB of disk for decoded images, which do not fit in memory"
    return DataError(str(folder), expected, f"{free / 2**30:,.1f} GiB free", _HINT)


@contextlib.contextmanager
def _unwritable(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        raise DataError(str(folder), "room for decoded images", str(error), _HINT) from error
