"""Images with object boxes: an ``.npz`` file of JPEGs, or a COCO file with its images (Lin et al.
2014, arXiv:1405.0312)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._support.errors import MISFITS, DataError
from . import arrays
from .levels import open_image
from .names import shown
from .raw import TRAIN, Unreadable, expect_room

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Keys of an ``.npz`` file: concatenated encoded images, the offset of each (and of the end), and a
#: row for each box: image, class, xmin, ymin, xmax, ymax.
KEYS = ("jpeg", "offsets", "boxes", "classes")
#: Keys near the beginning of a COCO file.
_COCO = ('"images"', '"annotations"', '"categories"', '"file_name"')
_HEAD = 65_536
#: Pixels by which rounding may extend a box beyond its image.
_ROUNDING = 0.5
_SKIP = "repair them, or leave them out: --unreadable skip"


@dataclass(frozen=True)
class Boxed:
    """Images of one size and the boxes of their objects.

    Attributes:
        images: uint8 (n, 3, size, size), each stretched to the square.
        sizes: int64 (n, 2), width and height of the originals in pixels.
        owners: int64 (m,), the image of each box.
        labels: int64 (m,), indices into ``class_names``.
        boxes: float64 (m, 4), xmin, ymin, xmax, ymax in pixels of the original.
        parts: int8 (n,): ``TRAIN``, ``VALIDATION`` or ``TEST`` as given by the source.
        notes: what was left out, as lines for people.
    """

    name: str
    images: NDArray[np.uint8]
    sizes: NDArray[np.int64]
    owners: NDArray[np.int64]
    labels: NDArray[np.int64]
    boxes: NDArray[np.float64]
    class_names: tuple[str, ...]
    parts: NDArray[np.int8]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Contents:
    """The contents of a file before its images are opened; ``sizes`` if it has them."""

    where: str
    name: str
    files: Sequence[Path | bytes]
    owners: NDArray[np.int64]
    labels: NDArray[np.int64]
    boxes: NDArray[np.float64]
    class_names: tuple[str, ...]
    parts: NDArray[np.int8]
    sizes: NDArray[np.int64] | None = None
    notes: list[str] = field(default_factory=list)


def holds_boxes(place: Path) -> bool:
    """Whether a file reads as images with boxes, without reading it whole."""
    if not place.is_file():
        return False
    if place.suffix.lower() == ".npz":
        with arrays.open_archive(place) as archive:
            return len({"jpeg", "offsets", "boxes"} & set(archive.files)) >= 2
    if place.suffix.lower() == ".json":
        with place.open("rb") as file:
            head = file.read(_HEAD).decode("utf-8", "replace")
        return sum(word in head for word in _COCO) >= 2
    return False


def read_boxes(place: Path, size: int, unreadable: Unreadable = "refuse") -> Boxed:
    """Images and boxes of an ``.npz`` or a COCO file.

    Args:
        size: height and width to resize images to.
        unreadable: whether images that cannot be read, and boxes without an area or beyond their
            image, are refused, or left out and noted.

    Raises:
        DataError: a key is missing, values do not fit each other, or what may not be left out.
    """
    suffix = place.suffix.lower()
    if suffix not in (".npz", ".json") or place.is_dir():
        got = "a folder" if place.is_dir() else suffix or "a file"
        raise DataError(str(place), "an .npz file of images and boxes, or a COCO .json file", got)
    listed = _from_arrays(place) if suffix == ".npz" else _from_coco(place)
    if not len(listed.files):
        raise DataError(listed.where, "at least one image", "none")
    twice = [name for name, count in Counter(listed.class_names).items() if count > 1]
    if twice or not listed.class_names:
        got = f"{twice[0]!r} twice" if twice else "none"
        raise DataError(listed.where, "distinct class names", got)
    _check_numbers(listed)
    if listed.sizes is not None:  # report errors before opening the images
        _valid_boxes(listed.where, listed.boxes, listed.owners, listed.sizes, unreadable)
    return _clip_boxes(_decode_all(listed, size, unreadable), listed.where, unreadable)


def _from_arrays(path: Path) -> _Contents:
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
    return _Contents(
        str(path),
        shown(path.stem),
        [encoded[a:b].tobytes() for a, b in pairwise(ends.tolist())],
        whole[:, 0],
        whole[:, 1],
        rows[:, 2:].astype(np.float64),
        tuple(arrays.texts(f"{path} classes", loaded["classes"]).ravel().tolist()),
        _parts(path, loaded.get("split"), count),
        None if sizes is None else sizes.astype(np.int64),
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


def _from_coco(path: Path) -> _Contents:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        classes = {item["id"]: str(item["name"]) for item in document["categories"]}
        places = {item["id"]: n for n, item in enumerate(document["images"])}
        files = [_image_path(path, str(item["file_name"])) for item in document["images"]]
        sized = [(item.get("width"), item.get("height")) for item in document["images"]]
        single = [item for item in document["annotations"] if not item.get("iscrowd")]
        numbers = {item: n for n, item in enumerate(sorted(classes))}
        # Unknown ids become -1, which the checks of both kinds of file refuse.
        owners = [places.get(item["image_id"], -1) for item in single]
        labels = [numbers.get(item["category_id"], -1) for item in single]
        corners = np.array([item["bbox"] for item in single], dtype=np.float64).reshape(-1, 4)
        sizes = None if None in np.ravel(sized) else np.array(sized, dtype=np.int64).reshape(-1, 2)
    except DataError:
        raise
    except (OSError, RecursionError, *MISFITS) as error:
        expected = "a COCO file: images, annotations with a bbox, and categories"
        raise DataError(str(path), expected, f"{type(error).__name__}: {error}") from error
    crowds = len(document["annotations"]) - len(single)
    corners[:, 2:] += corners[:, :2]
    return _Contents(
        str(path),
        shown(path.stem),
        files,
        np.array(owners, dtype=np.int64),
        np.array(labels, dtype=np.int64),
        corners,
        tuple(classes[item] for item in sorted(classes)),
        np.full(len(files), TRAIN, dtype=np.int8),
        sizes,
        [f"{crowds} boxes of crowds left out"] if crowds else [],
    )


def _image_path(path: Path, name: str) -> Path:
    """The path of an image that a COCO file names: in its folder, or in ``images`` there."""
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise DataError(str(path), "image names inside its own folder", shown(name))
    direct = path.parent / name
    return direct if direct.exists() else path.parent / "images" / name


def _check_numbers(listed: _Contents) -> None:
    """Raises DataError if a box refers to an unknown image or class."""
    for what, numbers, count in (
        ("image", listed.owners, len(listed.files)),
        ("class", listed.labels, len(listed.class_names)),
    ):
        beyond = np.flatnonzero((numbers < 0) | (numbers >= count))
        if len(beyond):
            got = f"{numbers[beyond[0]]} in box {beyond[0]}"
            if numbers[beyond[0]] == -1:
                got = f"another in box {beyond[0]}"
            raise DataError(listed.where, f"a {what} from 0 to {count - 1} for each box", got)


def _decode_all(listed: _Contents, size: int, unreadable: Unreadable) -> Boxed:
    """The decoded and stretched images, with the boxes of those that could be read."""
    count = len(listed.files)
    expect_room(listed.where, count * 3 * size * size)
    pixels = np.zeros((count, 3, size, size), dtype=np.uint8)
    sizes, failed = np.zeros((count, 2), dtype=np.int64), {}
    for n, file in enumerate(listed.files):
        try:
            pixels[n], sizes[n] = load_image(
                BytesIO(file) if isinstance(file, bytes) else file, size
            )
            if listed.sizes is not None and (sizes[n] != listed.sizes[n]).any():
                message = " by ".join(map(str, listed.sizes[n]))
                raise ValueError(
                    f"{sizes[n][0]} by {sizes[n][1]} pixels, but declared as {message}"
                )
        except Exception as error:  # damaged files make pillow raise nearly anything
            # Pillow refers to files in memory by their address.
            message = "no known format" if "cannot identify" in str(error) else str(error)
            failed[n] = f"image {n}: {message}" if isinstance(file, bytes) else f"{file}: {message}"
    first = next(iter(failed.values()), "")
    if failed and (unreadable == "refuse" or len(failed) == count):
        got = f"{len(failed)} of {count} unreadable ({first})"
        raise DataError(listed.where, "images that can be read", got, _SKIP)
    readable = np.array([n not in failed for n in range(count)])
    of_readable, places = readable[listed.owners], np.cumsum(readable) - 1
    notes = [
        *listed.notes,
        *([f"{len(failed)} of {count} images left out ({first})"] if failed else []),
    ]
    return Boxed(
        listed.name,
        pixels[readable],
        sizes[readable],
        places[listed.owners[of_readable]],
        listed.labels[of_readable],
        listed.boxes[of_readable],
        listed.class_names,
        listed.parts[readable],
        tuple(notes),
    )


def load_image(file: Path | BytesIO, size: int) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """An image as uint8 (3, size, size), stretched to a square, and its original width and height.

    Stretching each axis by its own factor changes neither relative box coordinates nor overlaps.

    Raises:
        Exception: whatever pillow raises, and ValueError for more than eight bits per colour.
    """
    from PIL import Image

    opened = open_image(file)
    if opened.kind != "bytes":
        raise ValueError("pixels with more than eight bits")
    image = opened.image.convert("RGB")
    small = image.resize((size, size), Image.Resampling.BILINEAR)
    return np.ascontiguousarray(np.asarray(small).transpose(2, 0, 1)), image.size


def _clip_boxes(read: Boxed, where: str, unreadable: Unreadable) -> Boxed:
    """Remove boxes without an area or outside their image, and clip the others to it."""
    good = _valid_boxes(where, read.boxes, read.owners, read.sizes, unreadable)
    out, ends = int((~good).sum()), read.sizes[read.owners]
    note = f"{out} of {len(good)} boxes left out, without an area or outside"
    clipped = [np.maximum(read.boxes[:, :2], 0), np.minimum(read.boxes[:, 2:], ends)]
    return replace(
        read,
        owners=read.owners[good],
        labels=read.labels[good],
        boxes=np.concatenate(clipped, axis=1)[good],
        notes=(*read.notes, *([note] if out else [])),
    )


def _valid_boxes(
    where: str,
    boxes: NDArray[np.float64],
    owners: NDArray[np.int64],
    sizes: NDArray[np.int64],
    unreadable: Unreadable,
) -> NDArray[np.bool_]:
    """Which boxes have an area and are inside their image. Raises DataError if all must be."""
    low, high, ends = boxes[:, :2], boxes[:, 2:], sizes[owners]
    inside = (low >= -_ROUNDING) & (high <= ends + _ROUNDING)
    # Comparisons with NaN are false, so such boxes are invalid.
    good: NDArray[np.bool_] = np.all((high > low) & inside, axis=1)
    if unreadable == "refuse" and not good.all():
        first = int(np.flatnonzero(~good)[0])
        box = ", ".join(f"{value:g}" for value in boxes[first])
        width, height = ends[first]
        raise DataError(
            f"{where} boxes",
            "boxes with xmin < xmax and ymin < ymax, inside their image",
            f"{(~good).sum()} of {len(good)} that are not, first box {first}: {box} in image "
            f"{owners[first]} of {width} by {height}",
            _SKIP,
        )
    return good
