"""Images with boxes in a folder of Pascal VOC (Everingham et al. 2010,
doi:10.1007/s11263-009-0275-4): ``Annotations/*.xml`` and ``JPEGImages/``, and optionally lists of
the parts, ``ImageSets/Main/train.txt``, ``val.txt``, ``trainval.txt`` and ``test.txt``."""

from __future__ import annotations

import glob
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np

from .._support.errors import DataError
from . import folder
from .annotated import SKIP, Annotated
from .names import shown
from .raw import TEST, TRAIN, VALIDATION, Unreadable

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

#: Lists of parts; what is in ``trainval`` alone is drawn from.
_LISTS = {"train": TRAIN, "val": VALIDATION, "test": TEST, "trainval": TRAIN}
#: Larger annotation files are refused.
_LARGEST = 16 * 2**20
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class _Image:
    """An annotation file: its image, the declared size (0 if it is not), and the objects as name
    and corners, those that are difficult being only counted."""

    file: Path
    size: tuple[int, int]
    objects: list[tuple[str, list[float]]]
    difficult: int


def holds(place: Path) -> bool:
    """Whether a folder has annotations in XML files."""
    found = place / "Annotations"
    return found.is_dir() and next(found.glob("*.xml"), None) is not None


def read(root: Path, unreadable: Unreadable = "refuse") -> Annotated:
    """The images and boxes of such a folder.

    Pixels of VOC are counted from 1, and the last one belongs to the box; if a corner is 0
    somewhere, they are taken to be counted from 0 in the whole folder, and this is noted. Objects
    that are marked as difficult are left out and noted.

    Args:
        unreadable: whether annotation files that cannot be read are refused, or left out and noted.

    Raises:
        DataError: a file with another content, one with a document type (which may declare
            entities), a list that names no file, or an image outside ``JPEGImages``.
    """
    parts, notes = _parts(root), []
    images, failed = {}, []
    for stem in parts:
        try:
            images[stem] = _image(root, stem)
        except DataError as error:
            if unreadable == "refuse":
                raise
            failed.append(error)
    if failed:
        found = failed[0]
        notes.append(f"{len(failed)} annotation files left out ({found.where}: {found.got})")
    rows = [
        (n, name, corners, f"object {place + 1} of {stem}.xml")
        for n, (stem, image) in enumerate(images.items())
        for place, (name, corners) in enumerate(image.objects)
    ]
    names = sorted({name for _, name, _, _ in rows})
    boxes = np.array([row[2] for row in rows], dtype=np.float64).reshape(-1, 4)
    if len(boxes) and boxes[:, :2].min() <= 0:
        notes.append("pixels are counted from 0, as a corner of 0 shows")
    else:
        boxes[:, :2] -= 1
    if difficult := sum(image.difficult for image in images.values()):
        notes.append(f"{difficult} difficult objects left out")
    unlisted = len({path.stem for path in (root / "Annotations").glob("*.xml")} - {*parts})
    if unlisted:
        notes.append(f"{unlisted} annotation files that no list names left out")
    return Annotated(
        str(root),
        shown(root.name),
        [image.file for image in images.values()],
        np.array([row[0] for row in rows], dtype=np.int64),
        np.array([names.index(row[1]) for row in rows], dtype=np.int64),
        boxes,
        tuple(names),
        np.array([parts[stem] for stem in images], dtype=np.int8),
        np.array([image.size for image in images.values()], dtype=np.int64).reshape(-1, 2),
        [row[3] for row in rows],
        [image.file.name for image in images.values()],
        notes=tuple(notes),
    )


def _parts(root: Path) -> dict[str, int]:
    """The part of each annotation file, by its stem, ascending."""
    there = {path.stem for path in (root / "Annotations").glob("*.xml")}
    found: dict[str, int] = {}
    for name, part in _LISTS.items():
        path = root / "ImageSets" / "Main" / f"{name}.txt"
        if not path.is_file():
            continue
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except ValueError as error:
            raise DataError(
                str(path), "names of images, one a line, in UTF-8", str(error)
            ) from error
        for stem in (line.split()[0] for line in lines if line.strip()):
            if stem not in there:
                raise DataError(str(path), "names of files in Annotations", shown(stem))
            if name != "trainval" and found.get(stem, part) != part:
                raise DataError(str(path), "each image in one part", f"{shown(stem)} in two")
            found.setdefault(stem, part)
    return dict(sorted((found or dict.fromkeys(there, TRAIN)).items()))


def _image(root: Path, stem: str) -> _Image:
    path = root / "Annotations" / f"{stem}.xml"
    tree = _tree(path)
    named = (tree.findtext("filename") or "").strip()
    try:
        size = [int(float(tree.findtext(f"size/{side}") or 0)) for side in ("width", "height")]
        objects, difficult = [], 0
        for element in tree.findall("object"):
            if (element.findtext("difficult") or "0").strip() == "1":
                difficult += 1
                continue
            name = (element.findtext("name") or "").strip()
            if not name:
                raise ValueError("an object without a name")
            corners = [float(element.findtext(f"bndbox/{end}") or "nothing") for end in _CORNERS]
            objects.append((name, corners))
    except (ValueError, OverflowError) as error:
        expected = "objects with a name and a bndbox of four numbers"
        raise DataError(str(path), expected, str(error), SKIP) from error
    return _Image(_picture(root, path, named), (size[0], size[1]), objects, difficult)


def _tree(path: Path) -> Element:
    expected = "an annotation of Pascal VOC, XML in UTF-8"
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError(f"more than {_LARGEST // 2**20} MiB")
        # As text, so that no other encoding hides what is looked for.
        text = path.read_text(encoding="utf-8-sig")
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise ValueError("a document type, which may declare entities")
        tree = ElementTree.fromstring(text)
        if tree.tag != "annotation":
            raise ValueError(f"<{tree.tag}>")
    except (OSError, ValueError, ElementTree.ParseError) as error:
        raise DataError(str(path), expected, str(error), SKIP) from error
    return tree


def _picture(root: Path, path: Path, named: str) -> Path:
    """The image of an annotation file: as it says, or else with its own name."""
    pictures = root / "JPEGImages"
    if named and (Path(named).name != named or "\\" in named or named == ".."):
        raise DataError(str(path), "the name of a file in JPEGImages", shown(named), SKIP)
    if named and (pictures / named).is_file():
        return pictures / named
    pattern = f"{glob.escape(path.stem)}.*"
    same = (file for file in sorted(pictures.glob(pattern)) if folder.is_picture(file))
    return next(same, pictures / (named or f"{path.stem}.jpg"))
