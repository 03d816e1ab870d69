"""Images with object boxes: an ``.npz`` file of JPEGs, a COCO file with its images, or a folder of
Pascal VOC."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .._support.errors import DataError
from . import box_arrays, coco, voc
from .annotated import SKIP, Annotated
from .levels import open_image
from .raw import Unreadable, expect_room

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Pixels by which rounding may extend a box beyond its image.
_ROUNDING = 0.5


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

    def with_boxes(self, good: NDArray[np.bool_]) -> Boxed:
        """The same images with some of the boxes."""
        owners, labels = self.owners[good], self.labels[good]
        return replace(self, owners=owners, labels=labels, boxes=self.boxes[good])


def holds_boxes(place: Path) -> bool:
    """Whether a source reads as images with boxes, without reading it whole."""
    return any(kind.holds(place) for kind in (box_arrays, coco, voc))


def read_boxes(place: Path, size: int, unreadable: Unreadable = "refuse") -> Boxed:
    """Images and boxes of an ``.npz``, a COCO file, or a folder of Pascal VOC.

    Args:
        size: height and width to resize images to.
        unreadable: whether images that cannot be read, boxes without an area or beyond their image,
            and boxes of no image or class are refused, or left out and noted.

    Raises:
        DataError: a key is missing, values do not fit each other, or what may not be left out.
    """
    listed = _listed(place, unreadable)
    if not len(listed.files):
        raise DataError(listed.where, "at least one image", "none")
    twice = [name for name, count in Counter(listed.class_names).items() if count > 1]
    if twice or not listed.class_names:
        got = f"{twice[0]!r} twice" if twice else "none"
        raise DataError(listed.where, "distinct class names", got)
    listed = _with_owners(listed, unreadable)
    if unreadable == "refuse" and listed.sizes.all():  # before opening the images
        _valid_boxes(listed, listed.sizes, unreadable)
    return _decode_all(listed, size, unreadable)


def without_classes(read: Boxed, absent: NDArray[np.int64]) -> Boxed:
    """The same images without some classes and their boxes, which is noted."""
    if not len(absent):
        return read
    names = read.class_names
    left = [n for n in range(len(names)) if n not in absent]
    numbers = np.full(len(names), -1, dtype=np.int64)
    numbers[left] = np.arange(len(left))
    kept = read.with_boxes(~np.isin(read.labels, absent))
    listed = ", ".join(names[n] for n in absent)
    return replace(
        kept,
        labels=numbers[kept.labels],
        class_names=tuple(names[n] for n in left),
        notes=(*read.notes, f"classes without training examples left out: {listed}"),
    )


def _listed(place: Path, unreadable: Unreadable) -> Annotated:
    if place.is_file() and place.suffix.lower() == ".npz":
        return box_arrays.read(place)
    if place.is_file() and place.suffix.lower() == ".json":
        return coco.read(place)
    if voc.holds(place):
        return voc.read(place, unreadable)
    got = "a folder without" if place.is_dir() else place.suffix or "a file"
    expected = "an .npz of images and boxes, a COCO .json, or a folder with Annotations/*.xml"
    raise DataError(str(place), expected, got)


def _with_owners(listed: Annotated, unreadable: Unreadable) -> Annotated:
    """The boxes that are of a known image and class. Raises DataError if all must be."""
    bad = np.zeros(len(listed.owners), dtype=bool)
    for what, numbers, count in (
        ("image", listed.owners, len(listed.files)),
        ("class", listed.labels, len(listed.class_names)),
    ):
        beyond = (numbers < 0) | (numbers >= count)
        bad |= beyond
        if beyond.any() and unreadable == "refuse":
            first = int(np.flatnonzero(beyond)[0])
            got = f"{listed.unknown.get(first, numbers[first])} in {listed.box(first)}"
            expected = f"a known {what} for each box"
            if not listed.unknown:
                expected = f"a {what} from 0 to {count - 1} for each box"
            raise DataError(listed.where, expected, got, SKIP)
    if not bad.any():
        return listed
    note = f"{bad.sum()} of {len(bad)} boxes left out, of an unknown image or class"
    names = None if listed.box_names is None else np.array(listed.box_names)[~bad].tolist()
    return replace(
        listed,
        owners=listed.owners[~bad],
        labels=listed.labels[~bad],
        boxes=listed.boxes[~bad],
        box_names=names,
        notes=(*listed.notes, note),
    )


def _decode_all(listed: Annotated, size: int, unreadable: Unreadable) -> Boxed:
    """The decoded and stretched images that could be read, with their valid boxes."""
    count = len(listed.files)
    expect_room(listed.where, count * 3 * size * size)
    pixels = np.zeros((count, 3, size, size), dtype=np.uint8)
    sizes, failed = np.zeros((count, 2), dtype=np.int64), {}
    for n, file in enumerate(listed.files):
        try:
            pixels[n], sizes[n] = load_image(
                BytesIO(file) if isinstance(file, bytes) else file, size
            )
            if listed.sizes[n].all() and (sizes[n] != listed.sizes[n]).any():
                declared = " by ".join(map(str, listed.sizes[n]))
                raise ValueError(
                    f"{sizes[n][0]} by {sizes[n][1]} pixels, but declared as {declared}"
                )
        except FileNotFoundError as error:
            failed[n] = f"{error.filename}: no such file"
        except Exception as error:  # damaged files make pillow raise nearly anything
            # Pillow refers to files in memory by their address.
            message = "no known format" if "cannot identify" in str(error) else str(error)
            named = listed.image(n) if isinstance(file, bytes) else file
            failed[n] = f"{named}: {message}"
    first = next(iter(failed.values()), "")
    if failed and (unreadable == "refuse" or len(failed) == count):
        got = f"{len(failed)} of {count} unreadable ({first})"
        raise DataError(listed.where, "images that can be read", got, SKIP)
    readable = np.array([n not in failed for n in range(count)])
    good = _valid_boxes(listed, sizes, unreadable)
    out = int((~good).sum())
    notes = [
        *listed.notes,
        *([f"{len(failed)} of {count} images left out ({first})"] if failed else []),
        *([f"{out} of {len(good)} boxes left out, without an area or outside"] if out else []),
    ]
    good &= readable[listed.owners]
    owners, ends = listed.owners[good], sizes[listed.owners[good]]
    boxes = listed.boxes[good]
    return Boxed(
        listed.name,
        pixels[readable],
        sizes[readable],
        (np.cumsum(readable) - 1)[owners],
        listed.labels[good],
        np.concatenate([np.maximum(boxes[:, :2], 0), np.minimum(boxes[:, 2:], ends)], axis=1),
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


def _valid_boxes(
    listed: Annotated, sizes: NDArray[np.int64], unreadable: Unreadable
) -> NDArray[np.bool_]:
    """Which boxes have an area and are inside their image. Raises DataError if all must be.

    Args:
        sizes: (n, 2) of the images; 0 if it is not known.
    """
    low, high = listed.boxes[:, :2], listed.boxes[:, 2:]
    ends = np.where(sizes > 0, sizes, np.inf)[listed.owners]
    inside = (low >= -_ROUNDING) & (high <= ends + _ROUNDING)
    # Comparisons with NaN are false, so such boxes are invalid.
    good: NDArray[np.bool_] = np.all((high > low) & inside & np.isfinite(high), axis=1)
    if unreadable == "refuse" and not good.all():
        first = int(np.flatnonzero(~good)[0])
        box = ", ".join(f"{value:g}" for value in listed.boxes[first])
        image = listed.image(int(listed.owners[first]))
        size = " by ".join(f"{side:g}" for side in ends[first])
        of_size = f" of {size}" if np.isfinite(ends[first]).all() else ""
        raise DataError(
            f"{listed.where} boxes",
            "boxes with xmin < xmax and ymin < ymax, inside their image",
            f"{(~good).sum()} of {len(good)} that are not, first {listed.box(first)}: {box} in "
            f"{image}{of_size}",
            SKIP,
        )
    return good
