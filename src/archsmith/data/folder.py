"""Folders of class folders of images, optionally within train, validation and test folders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._support.errors import DataError
from .levels import DEEP, deep_white, open_image
from .marks import read_list
from .names import shown
from .pixels import Stored, stored
from .raw import TEST, TRAIN, VALIDATION, ClassesBy, Images, Unreadable

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUFFIXES = {
    ".png",
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".bmp",
    ".gif",
    ".webp",
    ".tif",
    ".tiff",
    ".ppm",
    ".pgm",
    ".pbm",
    ".pnm",
}
PARTS = {
    "train": TRAIN,
    "training": TRAIN,
    "val": VALIDATION,
    "valid": VALIDATION,
    "validation": VALIDATION,
    "test": TEST,
    "testing": TEST,
}
#: The longest side chosen by default: a search trains many models, and cost grows with area.
LARGEST = 64
KEPT = 128


@dataclass(frozen=True)
class _File:
    path: Path
    label: int | tuple[int, ...]
    part: int


def _folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _pictures(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).parts[:-1]
        if is_picture(path) and not any(part.startswith(".") for part in inside):
            yield path


def is_picture(path: Path) -> bool:
    """Whether the path is an image file that is not hidden."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()


def is_image_folder(folder: Path) -> bool:
    """Whether a folder has subfolders and an image somewhere in one of them."""
    return any(next(_pictures(sub), None) is not None for sub in _folders(folder))


def _class_folders(root: Path) -> dict[int, list[Path]]:
    """Class folders by part.

    Folders named train, val or test are parts if all folders have such names. Otherwise they are
    classes (``train`` next to ``car``), unless they contain the same folders.
    """
    folders = _folders(root)
    named = [f for f in folders if f.name.lower() in PARTS]
    training = any(PARTS[f.name.lower()] == TRAIN for f in named)
    if len(named) < len(folders):
        others = ", ".join(sorted(shown(f.name) for f in folders if f not in named))
        inside = [{sub.name for sub in _folders(f)} for f in named]
        if training and len(named) > 1 and set.intersection(*inside):
            hint = "move the other folders elsewhere"
            raise DataError(str(root), "only part folders (train, val, test)", others, hint)
        return {TRAIN: folders}
    if not named:
        return {TRAIN: folders}
    if not training:
        got = ", ".join(f.name for f in named)
        raise DataError(str(root), "a train folder in addition to the other parts", got)
    parts: dict[int, list[Path]] = {}
    for folder in named:
        inner = _folders(folder)
        if not inner and next(_pictures(folder), None) is not None:
            raise DataError(str(folder), "class folders inside a part", "images")
        parts.setdefault(PARTS[folder.name.lower()], []).extend(inner)
    return parts


def _ignored_files(root: Path) -> tuple[str, ...]:
    """A note about files that are not readable images, by suffix."""
    kinds = Counter(
        path.suffix.lower() or "without a suffix"
        for folder in _folders(root)
        for path in sorted(folder.rglob("*"))
        if not is_picture(path) and path.is_file() and not path.name.startswith(".")
    )
    if not kinds:
        return ()
    listed = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(5))
    return (f"files ignored: {shown(listed)}{', ...' if len(kinds) > 5 else ''}",)


def _leaf_classes(root: Path) -> tuple[list[_File], tuple[str, ...]]:
    """Files of a folder whose classes are the parent folders of the images, at any depth."""
    entries: list[tuple[Path, str, int]] = []
    for part, folders in _class_folders(root).items():
        for folder in folders:
            entries += [
                (path, path.parent.relative_to(folder.parent).as_posix(), part)
                for path in _pictures(folder)
            ]
    names = tuple(sorted({name for _, name, _ in entries}))
    if len(names) < 2:
        got = f"only {names[0]!r}" if names else "none"
        raise DataError(str(root), "a folder for each of at least two classes", got)
    return [_File(path, names.index(name), part) for path, name, part in entries], names


def _without_classes(root: Path) -> tuple[list[_File], tuple[str, ...]]:
    """Images of a folder without class folders: all of one class."""
    files = [_File(path, 0, TRAIN) for path in _pictures(root)]
    if not files:
        raise DataError(str(root), "images, or class folders of images", "none")
    return files, ("image",)


def _folder_classes(root: Path) -> tuple[list[_File], tuple[str, ...]]:
    parts = _class_folders(root)
    names = tuple(sorted({folder.name for folder in parts[TRAIN]}))
    if len(names) < 2:
        got = f"only {names[0]!r}" if names else "none"
        raise DataError(str(root), "a folder for each of at least two classes", got)
    files = []
    for part, folders in parts.items():
        for folder in folders:
            if folder.name not in names:
                hint = "add training images of it, or remove this folder"
                raise DataError(str(folder), "a class that has training images", folder.name, hint)
            class_files = [
                _File(path, names.index(folder.name), part) for path in _pictures(folder)
            ]
            if not class_files and part == TRAIN:
                aside = ", ".join(_ignored_files(folder.parent)) if any(folder.iterdir()) else ""
                raise DataError(
                    str(folder),
                    "images of this class",
                    f"none ({aside})" if aside else "none",
                    "fill or remove the folder",
                )
            files += class_files
    return files, names


@dataclass(frozen=True)
class _Properties:
    """Properties of an image, needed before all images are resized."""

    size: tuple[int, int]
    grey: bool
    kind: str
    brightest: float
    frames: int
    shallow: bool


def _inspect(path: Path) -> _Properties | str:
    """Properties of an image, or the reason why it cannot be read."""
    try:
        opened = open_image(path)
    except Exception as error:
        # Pillow raises nearly anything for damaged files (SyntaxError, struct.error, ...).
        return str(error) or type(error).__name__
    image = opened.image
    return _Properties(
        (image.height, image.width),
        image.mode != "RGB",
        opened.kind,
        opened.brightest,
        opened.frames,
        opened.shallow,
    )


def _white_levels(root: Path, glances: Sequence[_Properties]) -> tuple[float, float | None]:
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


def _notes(glances: Sequence[_Properties], levels: float | None) -> list[str]:
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


def read_images(
    root: Path,
    size: int | None = None,
    unreadable: Unreadable = "refuse",
    classes: ClassesBy = "folders",
) -> Images:
    """Read a folder of class folders.

    Args:
        root: holds class folders, or ``train`` (and ``val``, ``test``) folders of class folders.
        size: height and width to resize all images to. By default images of one size (at most 128
            pixels) are kept, others are resized to the median of their shorter sides, at most 64.
        unreadable: whether a file that cannot be read is an error, or skipped with a note.
        classes: ``"leaves"`` uses the parent folder of an image as its class,
            ``alphabet/letter``, and allows parts with different classes; ``"folders or none"``
            accepts images directly in the root, without classes; ``"rows"`` reads the classes of
            each image from ``labels.csv``, see :func:`~archsmith.data.marks.read_list`.

    Returns:
        Images (n, channels, size, size) with their classes and parts.

    Raises:
        DataError: fewer than two classes, an empty class, or unreadable files with ``"refuse"``.
    """
    if classes == "rows":
        rows, names = read_list(root, PARTS)
        files = [_File(*row) for row in rows]
    elif classes == "folders or none" and not is_image_folder(root):
        files, names = _without_classes(root)
    else:
        files, names = _leaf_classes(root) if classes == "leaves" else _folder_classes(root)
    with ThreadPoolExecutor() as pool:
        glances = list(pool.map(_inspect, [file.path for file in files]))
        failed = [(f, g) for f, g in zip(files, glances, strict=True) if isinstance(g, str)]
        notes = _unreadable_note(root, failed, len(files), unreadable)
        readable = [(f, g) for f, g in zip(files, glances, strict=True) if not isinstance(g, str)]
        remaining = {f.label for f, _ in readable if f.part == TRAIN or classes == "leaves"}
        for label, name in enumerate(names):
            if label not in remaining and (classes != "rows" or not readable):
                raise DataError(str(root / name), "readable images of this class", "none")
        properties = [g for _, g in readable]
        (height, width), sentence = _size([g.size for g in properties], size)
        channels = 1 if all(g.grey for g in properties) else 3
        white, levels = _white_levels(root, properties)
        shape = (height, width, channels, white, levels or DEEP)
        pixels = list(
            pool.map(lambda f: open_image(f.path).fitted(*shape), [f for f, _ in readable])
        )
    pixel_data = _stack(root, pixels, white)
    if len(set(map(shown, names))) < len(names):
        raise DataError(str(root), "distinct class names", "two that are displayed in the same way")
    return Images(
        shown(root.name),
        pixel_data.images,
        np.array([f.label for f, _ in readable], np.uint8 if classes == "rows" else np.int64),
        tuple(map(shown, names)),
        np.array([f.part for f, _ in readable], dtype=np.int8),
        high=pixel_data.high,
        notes=(
            *notes,
            *_ignored_files(root),
            sentence,
            *_notes(properties, levels),
            *pixel_data.notes,
        ),
        deep_white=levels,
    )


def _stack(root: Path, pixels: Sequence[NDArray[Any]], white: float) -> Stored:
    if all(image.dtype == np.uint8 for image in pixels):
        return Stored(np.stack(pixels), 0.0, 255.0)
    return stored(str(root), np.stack([p.astype(np.float32) for p in pixels]), (0.0, white))


def _unreadable_note(
    root: Path, bad: Sequence[tuple[_File, object]], total: int, unreadable: Unreadable
) -> tuple[str, ...]:
    """A note about unreadable files. Raises DataError if they are to be refused."""
    if not bad:
        return ()
    listed = ", ".join(shown(str(file.path.relative_to(root))) for file, _ in bad[:5])
    more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
    if unreadable == "refuse":
        raise DataError(
            str(root),
            "images that can be read",
            f"{len(bad)} of {total} unreadable: {listed}{more} ({bad[0][1]})",
            "repair or remove them, or skip them: --unreadable skip",
        )
    return (f"{len(bad)} of {total} images unreadable and skipped: {listed}{more}",)
