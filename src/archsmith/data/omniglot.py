"""Omniglot (Lake et al. 2015): letters of many alphabets, each drawn by twenty people."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from .._support.errors import DataError
from .arrays import load, open_archive
from .raw import Dataset, Images, labelled
from .reclass import resized

FILE = "omniglot_small.npz"
#: Size of the drawings in papers on few-shot learning; originally 105 pixels.
SIDE = 28
_KEYS = ("images_packed", "image_shape", "character")


def read_packed(path: Path, size: int | None = SIDE) -> Images:
    """Drawings of an ``.npz`` file; the classes are ``alphabet/character``.

    Keys: ``images_packed``, uint8 (n, bytes), each row the bits of an image as
    :func:`numpy.packbits` gives them, ink being 1; ``image_shape``, its height and width;
    ``character``, texts (n,). Drawings of a character are in the order of their drawers.

    Args:
        size: side to resize them to; ``None`` keeps their size.

    Raises:
        DataError: missing keys, or arrays of other shapes.
    """
    with open_archive(path) as archive:
        missing = [key for key in _KEYS if key not in archive.files]
        if missing:
            got = "keys " + ", ".join(archive.files)
            raise DataError(str(path), "keys " + ", ".join(_KEYS), got)
        packed, shape, character = (load(path, archive, key) for key in _KEYS)
    height, width = (int(side) for side in np.ravel(shape)[:2])
    if packed.ndim != 2 or packed.dtype != np.uint8 or packed.shape[1] * 8 < height * width:
        expected = f"bytes (n, {-(-height * width // 8)})"
        raise DataError(f"{path} images_packed", expected, f"{packed.dtype} {packed.shape}")
    bits = np.unpackbits(packed, axis=1, count=height * width)
    labels, names = labelled(character, f"{path} character")
    raw = Images(
        "omniglot",
        (255 * bits).reshape(-1, 1, height, width),
        labels,
        names,
        np.zeros(len(labels), dtype=np.int8),
        high=1.0,
        target_name="character",
    )
    return resized(raw, size)


def _omniglot() -> Images:
    folder = os.environ.get("ARCHSMITH_DATA")
    path = Path(folder, FILE) if folder else None
    if path is None or not path.is_file():
        got = "no such variable" if path is None else f"nothing at {path}"
        hint = "set it, or name a folder of alphabet folders of character folders of images"
        raise DataError("omniglot", f"ARCHSMITH_DATA, a folder with {FILE}", got, hint)
    return read_packed(path)


OMNIGLOT = Dataset(
    "images", _omniglot, "handwritten letters by 20 people each, for learning from one example"
)
