"""Folders of class folders of images, with train, validation and test folders where there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError
from .raw import TEST, TRAIN, VALIDATION, ClassesBy, Images, Unreadable

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
PARTS = {
    "train": TRAIN,
    "training": TRAIN,
    "val": VALIDATION,
    "valid": VALIDATION,
    "validation": VALIDATION,
    "test": TEST,
    "testing": TEST,
}
#: The longest side that is chosen unasked: a search trains many models, and cost goes by area.
LARGEST = 64
KEPT = 128


@dataclass(frozen=True)
class _File:
    path: Path
    label: int
    part: int


def _folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _pictures(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).parts[:-1]
        if is_picture(path) and not any(part.startswith(".") for part in inside):
            yield path


def is_picture(path: Path) -> bool:
    """Whether it is a file of an image, and not a hidden one."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()


def is_image_folder(folder: Path) -> bool:
    """Whether a folder has subfolders and an image somewhere in one of them."""
    return any(next(_pictures(sub), None) is not None for sub in _folders(folder))


def _class_folders(root: Path) -> dict[int, list[Path]]:
    """Class folders by part."""
    folders = _folders(root)
    named = [f for f in folders if f.name.lower() in PARTS]
    if not any(PARTS[f.name.lower()] == TRAIN for f in named):
        if named and len(named) == len(folders):
            got = ", ".join(f.name for f in named)
            raise DataError(str(root), "a train folder beside the other parts", got)
        return {TRAIN: folders}
    if len(named) < len(folders):
        others = ", ".join(sorted(f.name for f in folders if f not in named))
        raise DataError(str(root), "part folders (train, val, test) or class folders", others)
    parts: dict[int, list[Path]] = {}
    for folder in named:
        parts.setdefault(PARTS[folder.name.lower()], []).extend(_folders(folder))
    return parts


def _leaves(root: Path) -> tuple[list[_File], tuple[str, ...]]:
    """Files of a folder whose classes are the folders right above the images, at any depth."""
    found: list[tuple[Path, str, int]] = []
    for part, folders in _class_folders(root).items():
        for folder in folders:
            found += [
                (path, path.parent.relative_to(folder.parent).as_posix(), part)
                for path in _pictures(folder)
            ]
    names = tuple(sorted({name for _, name, _ in found}))
    if len(names) < 2:
        got = f"only {names[0]!r}" if names else "none"
        raise DataError(str(root), "a folder for each of at least two classes", got)
    return [_File(path, names.index(name), part) for path, name, part in found], names


def _unlabelled(root: Path) -> tuple[list[_File], tuple[str, ...]]:
    """Images of a folder that has no folders of images: all of one class."""
    files = [_File(path, 0, TRAIN) for path in _pictures(root)]
    if not files:
        raise DataError(str(root), "images, or class folders of images", "none")
    return files, ("image",)


def _gather(root: Path) -> tuple[list[_File], tuple[str, ...]]:
    parts = _class_folders(root)
    names = tuple(sorted({folder.name for folder in parts[TRAIN]}))
    if len(names) < 2:
        got = f"only {names[0]!r}" if names else "none"
        raise DataError(str(root), "a folder for each of at least two classes", got)
    files = []
    for part, folders in parts.items():
        for folder in folders:
            if folder.name not in names:
                raise DataError(str(folder), "a class that has training images", folder.name)
            found = [_File(path, names.index(folder.name), part) for path in _pictures(folder)]
            if not found and part == TRAIN:
                raise DataError(
                    str(folder), "images of this class", "none", "fill or remove the folder"
                )
            files += found
    return files, names


def open_image(path: Path, high: float = 255.0) -> Image.Image:
    """A decoded image, upright, on white where it is transparent, of mode ``L`` or ``RGB``.

    Args:
        high: what is white in an image of floats. 16-bit greys always reach to 65535.

    Raises what pillow raises, and ValueError for deep pixels beyond these ranges.
    """
    from PIL import Image, ImageOps

    with Image.open(path) as file:
        image = ImageOps.exif_transpose(file)
        if image.mode == "F" or image.mode.startswith("I"):
            # convert() would clip these at 255 instead of scaling.
            white = high if image.mode == "F" else 65535.0
            return Image.fromarray(_shallow(np.asarray(image).astype(np.float64), white))
        grey = image.mode in ("1", "L", "LA")
        if image.has_transparency_data:
            # What lies under transparent pixels is arbitrary, most often black.
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        return image.convert("L" if grey else "RGB")


def _shallow(deep: NDArray[np.float64], white: float) -> NDArray[np.uint8]:
    """Pixels from 0 to ``white`` as bytes."""
    low, high = float(deep.min()), float(deep.max())
    if not 0 <= low <= high <= white:
        raise ValueError(f"pixels from {low:g} to {high:g}, not within 0 to {white:g}")
    if white == 255 and 0 < high <= 1:
        raise ValueError(f"pixels from {low:g} to {high:g}, among data from 0 to 255")
    return np.round(deep * (255 / white)).astype(np.uint8)


def _float_white(path: Path) -> float | None:
    """What is white in an image of floats: 1 or 255, by its brightest pixel.

    ``None`` where it is black, and for any other kind of image.
    """
    from PIL import Image

    with Image.open(path) as file:
        if file.mode != "F":
            return None
        high = float(np.asarray(file).max())
    return None if high == 0 else 1.0 if high <= 1 else 255.0


def fitted(image: Image.Image, height: int, width: int, channels: int) -> NDArray[np.uint8]:
    """The image scaled to cover the size and cropped to its middle; (channels, height, width)."""
    from PIL import Image, ImageOps

    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != (width, height):
        image = ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels[None] if channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _glance(path: Path) -> tuple[tuple[int, int], bool, float | None] | str:
    """Size (height, width), whether grey, and what is white where that is a matter of the data
    set; the reason where the image cannot be read."""
    try:
        white = _float_white(path)
        image = open_image(path, white or 255.0)
    except Exception as error:
        # Damaged files make pillow raise nearly anything (SyntaxError, struct.error, ...).
        return str(error) or type(error).__name__
    return (image.height, image.width), image.mode == "L", white


def _white(root: Path, whites: set[float | None]) -> float:
    """What is white in the data set's images of floats. Raises DataError where they disagree."""
    if {1.0, 255.0} <= whites:
        mend = "bring all to one of these ranges"
        raise DataError(str(root), "float images all of 0 to 1, or of 0 to 255", "both", mend)
    return 1.0 if 1.0 in whites else 255.0


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
    return size, f"{spread} pixels, brought to {size[0]} x {size[1]}"


def read_images(
    root: Path,
    size: int | None = None,
    unreadable: Unreadable = "refuse",
    classes: ClassesBy = "folders",
) -> Images:
    """Read a folder of class folders.

    Args:
        root: holds class folders, or ``train`` (and ``val``, ``test``) folders of class folders.
        size: height and width to bring all images to. Without it images of one size (at most 128
            pixels) are kept as they are, others brought to their median shorter side, at most 64.
        unreadable: whether a file that cannot be read is refused, or skipped and noted.
        classes: ``"leaves"`` takes the folder right above an image for its class,
            ``alphabet/letter``, and lets a part have classes of its own; ``"folders or none"``
            takes images that lie in the root itself, without any class.

    Raises:
        DataError: fewer than two classes, an empty class, unreadable files that may not be skipped.
    """
    if classes == "folders or none" and not is_image_folder(root):
        files, names = _unlabelled(root)
    else:
        files, names = _leaves(root) if classes == "leaves" else _gather(root)
    with ThreadPoolExecutor() as pool:
        glances = list(pool.map(_glance, [file.path for file in files]))
        bad = [(f, g) for f, g in zip(files, glances, strict=True) if isinstance(g, str)]
        notes = _judge(root, bad, len(files), unreadable)
        good = [(f, g) for f, g in zip(files, glances, strict=True) if not isinstance(g, str)]
        left = {f.label for f, _ in good if f.part == TRAIN or classes == "leaves"}
        for label, name in enumerate(names):
            if label not in left:
                raise DataError(str(root / name), "readable images of this class", "none")
        (height, width), sentence = _size([g[0] for _, g in good], size)
        channels = 1 if all(g[1] for _, g in good) else 3
        high = _white(root, {g[2] for _, g in good})
        pixels = pool.map(
            lambda f: fitted(open_image(f.path, high), height, width, channels),
            [f for f, _ in good],
        )
        images = np.stack(list(pixels))
    return Images(
        root.name,
        images,
        np.array([f.label for f, _ in good], dtype=np.int64),
        names,
        np.array([f.part for f, _ in good], dtype=np.int8),
        high=high,
        notes=(*notes, sentence),
    )


def _judge(
    root: Path, bad: Sequence[tuple[_File, object]], total: int, unreadable: Unreadable
) -> tuple[str, ...]:
    """A note about unreadable files. Raises DataError where they are to be refused."""
    if not bad:
        return ()
    shown = ", ".join(str(file.path.relative_to(root)) for file, _ in bad[:5])
    more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
    if unreadable == "refuse":
        raise DataError(
            str(root),
            "images that can be read",
            f"{len(bad)} of {total} unreadable: {shown}{more} ({bad[0][1]})",
            "mend or remove them, or ask for unreadable files to be skipped",
        )
    return (f"{len(bad)} of {total} images unreadable and skipped: {shown}{more}",)
