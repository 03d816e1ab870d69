"""Images with boxes in an ``.npz`` file."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._support.errors import DataError
from . import arrays
from .annotated import Annotated
from .names import shown
from .raw import TRAIN

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Keys: concatenated encoded images, the offset of each (and of the end), a row for each box
#: (image, class, xmin, ymin, xmax, ymax), and the names of the classes. ``split`` (the part of each
#: image) and ``size_wh`` (its width and height) may be there as well.
KEYS = ("jpeg", "offsets", "boxes", "classes")


def holds(place: Path) -> bool:
    """Whether a file is an archive of these keys, or most of them."""
    if place.suffix.lower() != ".npz" or not place.is_file():
        return False
    with arrays.open_archive(place) as archive:
        return len({"jpeg", "offsets", "boxes"} & set(archive.files)) >= 2


def read(path: Path) -> Annotated:
    """The contents of such an archive.

    Raises:
        DataError: a key is missing, or values do not fit each other.
    """
    with arrays.open_archive(path) as archive:
        missing = [key for key in KEYS if key not in archive.files]
        if missing:
            got = f"no {', '.join(missing)} among {', '.join(archive.files)}"
            raise DataError(str(path), f"keys {', '.join(KEYS)}", got)
        keys = (key for key in (*KEYS, "split", "size_wh") if key in archive.files)
        loaded = {key: arrays.load(path, archive, key) for key in keys}
    encoded, ends, rows = loaded["jpeg"], loaded["offsets"], loaded["boxes"]
    if encoded.dtype != np.uint8 or encoded.ndim != 1:
        raise DataError(f"{path} jpeg", "bytes, uint8 (n,)", f"{encoded.dtype} {encoded.shape}")
    valid_offsets = ends.ndim == 1 and ends.dtype.kind in "iu" and len(ends) >= 2
    if not valid_offsets or ends[0] != 0 or ends[-1] != len(encoded) or (np.diff(ends) <= 0).any():
        expected = f"ascending integers from 0 to {len(encoded)}, the number of bytes of jpeg"
        raise DataError(f"{path} offsets", expected, f"{ends.dtype} {ends.shape}")
    if rows.ndim != 2 or rows.shape[1] != 6 or rows.dtype.kind not in "iuf":
        columns = "rows (n, 6) of image, class, xmin, ymin, xmax, ymax"
        raise DataError(f"{path} boxes", columns, f"{rows.dtype} {rows.shape}")
    count, sizes = len(ends) - 1, loaded.get("size_wh")
    if sizes is not None and (sizes.shape != (count, 2) or sizes.dtype.kind not in "iu"):
        got = f"{sizes.dtype} {sizes.shape}"
        raise DataError(f"{path} size_wh", f"whole numbers ({count}, 2)", got)
    whole = rows[:, :2].astype(np.int64)
    if (whole != rows[:, :2]).any():
        raise DataError(f"{path} boxes", "whole numbers for image and class", "fractions or NaN")
    return Annotated(
        str(path),
        shown(path.stem),
        [encoded[a:b].tobytes() for a, b in pairwise(ends.tolist())],
        whole[:, 0],
        whole[:, 1],
        rows[:, 2:].astype(np.float64),
        tuple(arrays.texts(f"{path} classes", loaded["classes"]).ravel().tolist()),
        _parts(path, loaded.get("split"), count),
        np.zeros((count, 2), dtype=np.int64) if sizes is None else sizes.astype(np.int64),
    )


def _parts(path: Path, split: NDArray[Any] | None, count: int) -> NDArray[np.int8]:
    if split is None:
        return np.full(count, TRAIN, dtype=np.int8)
    words = arrays.texts(f"{path} split", split)
    strange = [word for word in words.ravel().tolist() if word not in arrays.PARTS]
    if words.shape != (count,) or strange:
        got = repr(strange[0]) if strange else f"shape {words.shape}"
        expected = f"{count} of {', '.join(arrays.PARTS)}, one an image"
        raise DataError(f"{path} split", expected, got)
    return np.array([arrays.PARTS[word] for word in words.tolist()], dtype=np.int8)
