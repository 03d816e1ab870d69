"""Decoding image files to arrays of one size and kind, in memory or on disk."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._support.errors import DataError
from . import decoded
from .decoded import Decoded
from .levels import DEEP, deep_white, open_image
from .pixels import Stored, stored
from .raw import expect_room, is_large

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: The longest side chosen by default: a search trains many models, and cost grows with area.
LARGEST = 64
KEPT = 128
#: Images that are decoded ahead.
_BLOCK = 256


@dataclass(frozen=True)
class Properties:
    """Properties of an image, needed before all images are resized."""

    size: tuple[int, int]
    grey: bool
    kind: str
    brightest: float
    frames: int
    shallow: bool


def _inspect(path: Path) -> Properties | str:
    """Properties of an image, or the reason why it cannot be read."""
    try:
        opened = open_image(path)
    except Exception as error:
        # Pillow raises nearly anything for damaged files (SyntaxError, struct.error, ...).
        return str(error) or type(error).__name__
    image = opened.image
    return Properties(
        (image.height, image.width),
        image.mode != "RGB",
        opened.kind,
        opened.brightest,
        opened.frames,
        opened.shallow,
    )


def _white_levels(root: Path, glances: Sequence[Properties]) -> tuple[float, float | None]:
    """The white level of the data set, and that of its 16-bit grey images if it has any.

    Raises:
        DataError: float images with different ranges.
    """
    floats = [glance.brightest for glance in glances if glance.kind == "float"]
    ranges = {1.0 if high <= 1 else 255.0 for high in floats if high > 0}
    if len(ranges) > 1:
        hint = "bring all to one of these ranges"
        raise DataError(str(root), "float images all of 0 to 1, or of 0 to 255", "both", hint)
    deep = [glance.brightest for glance in glances if glance.kind == "deep"]
    levels = deep_white(deep) if deep else None
    return (ranges.pop() if ranges else 255.0) if floats else levels or 255.0, levels


def _notes(glances: Sequence[Properties], levels: float | None) -> list[str]:
    """Notes on how unusual kinds of images were read."""
    notes = []
    if levels is not None:
        bits = int(levels + 1).bit_length() - 1
        notes.append(f"16-bit grey images that use {bits} bits: white is {levels:g}")
    several = sum(glance.frames > 1 for glance in glances)
    if several:
        notes.append(f"{several} images with several frames: the first frame is used")
    shallow = sum(glance.shallow for glance in glances)
    if shallow:
        notes.append(
            f"{shallow} images with 16 bits per colour: the upper 8 are read (an .npz keeps all)"
        )
    return notes


def _size(sizes: Sequence[tuple[int, int]], asked: int | None) -> tuple[tuple[int, int], str]:
    low, high = min(sizes), max(sizes)
    if asked is not None:
        size = (asked, asked)
    elif low == high and max(low) <= KEPT:
        size = low
    else:
        side = min(LARGEST, int(np.median([min(s) for s in sizes])))
        size = (side, side)
    if low == high == size:
        return size, f"all of {size[0]} x {size[1]} pixels"
    spread = f"{low[0]} x {low[1]}" + ("" if low == high else f" to {high[0]} x {high[1]}")
    shapes = np.array([s[0] * size[1] / (s[1] * size[0]) for s in sizes])
    cut = 1 - float(np.minimum(shapes, 1 / shapes).mean())
    shape = f", {cut:.0%} of which is cut off at the borders" if cut >= 0.01 else ""
    return size, f"{spread} pixels, resized to {size[0]} x {size[1]}{shape}"


def inspect_all(paths: Sequence[Path]) -> list[Properties | str]:
    """Properties of each image, or the reason why it cannot be read."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(_inspect, paths))


def decode(
    root: Path,
    paths: Sequence[Path],
    glances: Sequence[Properties | str],
    size: int | None,
    notes: tuple[str, ...],
    place: Path | None,
) -> tuple[Decoded, Stored, float | None]:
    """Decode the readable files, to ``place`` if they are bytes and large for the memory.

    Returns:
        What is known about them, their pixels, and the white level of 16-bit grey images.
    """
    properties = [glance for glance in glances if not isinstance(glance, str)]
    (height, width), sentence = _size([g.size for g in properties], size)
    channels = 1 if all(g.grey for g in properties) else 3
    white, levels = _white_levels(root, properties)
    about = Decoded(
        (len(properties), channels, height, width),
        tuple(n for n, glance in enumerate(glances) if isinstance(glance, str)),
        (*notes, sentence, *_notes(properties, levels)),
    )
    readable = [p for p, g in zip(paths, glances, strict=True) if not isinstance(g, str)]

    def fitted(path: Path) -> NDArray[Any]:
        return open_image(path).fitted(height, width, channels, white, levels or DEEP)

    plain = all(g.kind == "bytes" for g in properties)
    needed = math.prod(about.shape) * (1 if plain else 4)
    with ThreadPoolExecutor() as pool:
        # The pool would decode without end ahead of a slow disk.
        blocks = (readable[at : at + _BLOCK] for at in range(0, len(readable), _BLOCK))
        images = itertools.chain.from_iterable(pool.map(fitted, block) for block in blocks)
        if place is not None and plain and is_large(needed):
            decoded.write(place, images, about)
            return about, Stored(decoded.open_map(place), 0.0, 255.0), levels
        expect_room(str(root), needed)
        return about, _stack(root, list(images), white), levels


def _stack(root: Path, pixels: Sequence[NDArray[Any]], white: float) -> Stored:
    if all(image.dtype == np.uint8 for image in pixels):
        return Stored(np.stack(pixels), 0.0, 255.0)
    return stored(str(root), np.stack([p.astype(np.float32) for p in pixels]), (0.0, white))
