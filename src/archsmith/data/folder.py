"""Folders of class folders of images, optionally within train, validation and test folders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .._support.errors import DataError
from . import decoded
from .decoding import Properties, decode, inspect_all
from .marks import read_list
from .names import shown
from .pixels import Stored
from .raw import TEST, TRAIN, VALIDATION, ClassesBy, Images, Unreadable

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


@dataclass(frozen=True)
class Kind:
    """A kind of files: their suffixes, and what they are called."""

    suffixes: Collection[str]
    plural: str


IMAGES = Kind(SUFFIXES, "images")


@dataclass(frozen=True)
class File:
    path: Path
    label: int | tuple[int, ...]
    part: int


def _folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def files_in(folder: Path, kind: Kind) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).parts[:-1]
        if is_of(path, kind) and not any(part.startswith(".") for part in inside):
            yield path


def is_picture(path: Path) -> bool:
    """Whether the path is an image file that is not hidden."""
    return is_of(path, IMAGES)


def is_of(path: Path, kind: Kind) -> bool:
    """Whether the path is a file of this kind that is not hidden."""
    return path.suffix.lower() in kind.suffixes and path.name[0] != "." and path.is_file()


def holds_class_folders(folder: Path, kind: Kind = IMAGES) -> bool:
    """Whether a folder has subfolders and an image, or a file of another kind, in one of them."""
    return any(next(files_in(sub, kind), None) is not None for sub in _folders(folder))


def _class_folders(root: Path, kind: Kind = IMAGES) -> dict[int, list[Path]]:
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
        if not inner and next(files_in(folder, kind), None) is not None:
            raise DataError(str(folder), "class folders inside a part", kind.plural)
        parts.setdefault(PARTS[folder.name.lower()], []).extend(inner)
    return parts


def _ignored_files(root: Path, kind: Kind = IMAGES) -> tuple[str, ...]:
    """A note about files that are not readable images, by suffix."""
    kinds = Counter(
        path.suffix.lower() or "without a suffix"
        for folder in _folders(root)
        for path in sorted(folder.rglob("*"))
        if not is_of(path, kind) and path.is_file() and not path.name.startswith(".")
    )
    if not kinds:
        return ()
    listed = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(5))
    return (f"files ignored: {shown(listed)}{', ...' if len(kinds) > 5 else ''}",)


def _leaf_classes(root: Path) -> tuple[list[File], tuple[str, ...]]:
    """Files of a folder whose classes are the parent folders of the images, at any depth."""
    entries: list[tuple[Path, str, int]] = []
    for part, folders in _class_folders(root).items():
        for folder in folders:
            entries += [
                (path, path.parent.relative_to(folder.parent).as_posix(), part)
                for path in files_in(folder, IMAGES)
            ]
    names = tuple(sorted({name for _, name, _ in entries}))
    if len(names) < 2:
        got = f"only {names[0]!r}" if names else "none"
        raise DataError(str(root), "a folder for each of at least two classes", got)
    return [File(path, names.index(name), part) for path, name, part in entries], names


def _without_classes(root: Path) -> tuple[list[File], tuple[str, ...]]:
    """Images of a folder without class folders: all of one class."""
    files = [File(path, 0, TRAIN) for path in files_in(root, IMAGES)]
    if not files:
        raise DataError(str(root), "images, or class folders of images", "none")
    return files, ("image",)


def folder_classes(root: Path, kind: Kind = IMAGES) -> tuple[list[File], tuple[str, ...]]:
    """Files of class folders, and the names of the classes.

    Raises:
        DataError: fewer than two classes, or one without training files.
    """
    parts = _class_folders(root, kind)
    names = tuple(sorted({folder.name for folder in parts[TRAIN]}))
    if len(names) < 2:
        got = f"only {names[0]!r}" if names else "none"
        raise DataError(str(root), "a folder for each of at least two classes", got)
    files = []
    for part, folders in parts.items():
        for folder in folders:
            if folder.name not in names:
                hint = f"add training {kind.plural} of it, or remove this folder"
                raise DataError(
                    str(folder), f"a class that has training {kind.plural}", folder.name, hint
                )
            class_files = [
                File(path, names.index(folder.name), part) for path in files_in(folder, kind)
            ]
            if not class_files and part == TRAIN:
                aside = (
                    ", ".join(_ignored_files(folder.parent, kind)) if any(folder.iterdir()) else ""
                )
                raise DataError(
                    str(folder),
                    f"{kind.plural} of this class",
                    f"none ({aside})" if aside else "none",
                    "fill or remove the folder",
                )
            files += class_files
    return files, names


def read_images(
    root: Path,
    size: int | None = None,
    unreadable: Unreadable = "refuse",
    classes: ClassesBy = "folders",
    on_disk: bool = False,
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

        on_disk: whether bytes that are large for the memory may be a map of a file in the user's
            cache, which is made when it is missing.

    Returns:
        Images (n, channels, size, size) with their classes and parts.

    Raises:
        DataError: fewer than two classes, an empty class, unreadable files with ``"refuse"``, or
            too little room in memory or on disk.
    """
    files, names = _files(root, classes)
    if len(set(map(shown, names))) < len(names):
        raise DataError(str(root), "distinct class names", "two that are displayed in the same way")
    paths = [file.path for file in files]
    place = decoded.place_for(paths, (size, unreadable, classes))
    about, levels = decoded.find(place) if place else None, None
    if place and about:
        pixels = Stored(decoded.load(place, on_disk, str(root)), 0.0, 255.0)
    else:
        glances = inspect_all(paths)
        notes = _unreadable_note(root, files, glances, unreadable)
        _expect_classes(root, files, glances, names, classes)
        kept_at = place if on_disk else None
        about, pixels, levels = decode(root, paths, glances, size, notes, kept_at)
    skipped = set(about.skipped)
    readable = [file for n, file in enumerate(files) if n not in skipped]
    return Images(
        shown(root.name),
        pixels.images,
        np.array([f.label for f in readable], np.uint8 if classes == "rows" else np.int64),
        tuple(map(shown, names)),
        np.array([f.part for f in readable], dtype=np.int8),
        high=pixels.high,
        notes=(
            *_ignored_files(root),
            *about.notes,
            *pixels.notes,
            *decoded.lines_about(pixels.images),
        ),
        deep_white=levels,
    )


def _files(root: Path, classes: ClassesBy) -> tuple[list[File], tuple[str, ...]]:
    """The images of a folder with their labels and parts, and the names of the classes."""
    if classes == "rows":
        rows, names = read_list(root, PARTS)
        return [File(*row) for row in rows], names
    if classes == "folders or none" and not holds_class_folders(root):
        return _without_classes(root)
    return _leaf_classes(root) if classes == "leaves" else folder_classes(root)


def _expect_classes(
    root: Path,
    files: Sequence[File],
    glances: Sequence[Properties | str],
    names: Sequence[str],
    classes: ClassesBy,
) -> None:
    """Raises DataError if a class has no readable images to train on."""
    readable = [f for f, g in zip(files, glances, strict=True) if not isinstance(g, str)]
    remaining = {f.label for f in readable if f.part == TRAIN or classes == "leaves"}
    for label, name in enumerate(names):
        if label not in remaining and (classes != "rows" or not readable):
            raise DataError(str(root / name), "readable images of this class", "none")


def _unreadable_note(
    root: Path,
    files: Sequence[File],
    glances: Sequence[Properties | str],
    unreadable: Unreadable,
) -> tuple[str, ...]:
    """A note about unreadable files. Raises DataError if they are to be refused."""
    bad = [(f, g) for f, g in zip(files, glances, strict=True) if isinstance(g, str)]
    if not bad:
        return ()
    listed = ", ".join(shown(str(file.path.relative_to(root))) for file, _ in bad[:5])
    more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
    count = f"{len(bad)} of {len(files)}"
    if unreadable == "refuse":
        raise DataError(
            str(root),
            "images that can be read",
            f"{count} unreadable: {listed}{more} ({bad[0][1]})",
            "repair or remove them, or skip them: --unreadable skip",
        )
    return (f"{count} images unreadable and skipped: {listed}{more}",)
