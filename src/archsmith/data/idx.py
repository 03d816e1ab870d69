"""IDX files: the format of MNIST and its successors (LeCun et al. 1998)."""

from __future__ import annotations

import gzip
import os
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._support.errors import DataError
from .raw import TEST, TRAIN, Dataset, Images, labelled

if TYPE_CHECKING:
    from numpy.typing import NDArray

FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
#: Where Debian's package ``dataset-fashion-mnist`` installs its files.
DEBIAN = Path("/usr/share/datasets/fashion-mnist")


def find_files(folder: Path) -> list[Path] | None:
    """The four IDX files of a folder, each plain or ``.gz``; ``None`` if one is missing."""
    paths = []
    for name in FILES:
        plain, packed = folder / name, folder / f"{name}.gz"
        if not plain.is_file() and not packed.is_file():
            return None
        paths.append(plain if plain.is_file() else packed)
    return paths


def read_idx(path: Path) -> NDArray[Any]:
    """The array of unsigned bytes in one IDX file, plain or ``.gz``.

    Raises:
        DataError: not an IDX file, or a truncated one.
    """
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(str(path), "a readable IDX file", str(error)) from error
    if len(data) < 4 or data[:3] != b"\x00\x00\x08" or len(data) < 4 + 4 * data[3]:
        raise DataError(str(path), "an IDX file of bytes (it starts 00 00 08)", data[:4].hex(" "))
    dimensions = data[3]
    shape = struct.unpack(f">{dimensions}I", data[4 : 4 + 4 * dimensions])
    body = np.frombuffer(data, dtype=np.uint8, offset=4 + 4 * dimensions)
    if body.size != int(np.prod(shape, dtype=np.int64)):
        raise DataError(str(path), f"{shape} bytes", f"{body.size}", "download the file again")
    return body.reshape(shape)


def read_folder(folder: Path) -> Images:
    """Images of a folder with the four IDX files; its official test set is the test part.

    Raises:
        DataError: a file is missing or damaged, or images and labels do not match.
    """
    files = find_files(folder)
    if files is None:
        raise DataError(str(folder), f"the files {', '.join(FILES)}, plain or .gz", "not all")
    train, train_labels, test, test_labels = (read_idx(path) for path in files)
    for images, labels, path in ((train, train_labels, files[0]), (test, test_labels, files[2])):
        if images.ndim != 3 or labels.shape != images.shape[:1]:
            raise DataError(
                str(path), "as many labels as images", f"{images.shape} and {labels.shape}"
            )
    if train.shape[1:] != test.shape[1:]:
        raise DataError(str(folder), "images of one size", f"{train.shape[1:]}, {test.shape[1:]}")
    fashion = folder == DEBIAN or "fashion" in folder.name.lower()
    labels, names = labelled(
        np.concatenate([train_labels, test_labels]),
        str(folder),
        FASHION_CLASSES if fashion else None,
    )
    parts = np.repeat(np.array([TRAIN, TEST], dtype=np.int8), [len(train), len(test)])
    images = np.concatenate([train, test])[:, None]
    return Images(folder.name, images, labels, names, parts)


def fashion_places() -> list[Path]:
    """Folders in which Fashion-MNIST is searched for, in order."""
    places = [DEBIAN]
    named = os.environ.get("ARCHSMITH_DATA")
    if named:
        places = [Path(named) / "fashion-mnist", Path(named), *places]
    return places


def _fashion() -> Images:
    """70,000 grey pictures of clothes, 28 x 28 (Xiao et al. 2017, arXiv:1708.07747)."""
    places = fashion_places()
    for folder in places:
        if find_files(folder) is not None:
            read = read_folder(folder)
            _, names = labelled(read.labels, str(folder), FASHION_CLASSES)
            return Images("fashion-mnist", read.images, read.labels, names, read.parts)
    raise DataError(
        "fashion-mnist",
        "its four IDX files in " + " or ".join(map(str, places)),
        "none",
        "install Debian's dataset-fashion-mnist, or pass a folder with the files as data",
    )


FASHION = Dataset("images", _fashion, "70,000 grey pictures of clothes, 28 x 28, 10 classes")
