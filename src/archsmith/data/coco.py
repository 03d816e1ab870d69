"""Images with boxes in a COCO file beside its images (Lin et al. 2014, arXiv:1405.0312)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._support.errors import MISFITS, DataError
from .annotated import Annotated
from .names import shown
from .raw import TRAIN

#: Keys near the beginning of a COCO file.
_KEYS = ('"images"', '"annotations"', '"categories"', '"file_name"')
_HEAD = 65_536


def holds(place: Path) -> bool:
    """Whether a file reads as a COCO file, judging by its beginning."""
    if place.suffix.lower() != ".json" or not place.is_file():
        return False
    with place.open("rb") as file:
        head = file.read(_HEAD).decode("utf-8", "replace")
    return sum(word in head for word in _KEYS) >= 2


def read(path: Path) -> Annotated:
    """The images and boxes of a COCO file; boxes of crowds are left out and noted.

    Raises:
        DataError: it does not have the form of a COCO file, two images or categories have one id,
            or an image is outside its folder.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return _contents(path, document)
    except DataError:
        raise
    except (OSError, RecursionError, *MISFITS) as error:
        expected = "a COCO file: images, annotations with a bbox, and categories"
        raise DataError(str(path), expected, f"{type(error).__name__}: {error}") from error


def _contents(path: Path, document: Mapping[str, Any]) -> Annotated:
    images, categories = document["images"], document["categories"]
    for what, items in (("image", images), ("category", categories)):
        _expect_once(path, what, [item["id"] for item in items])
    classes = {item["id"]: str(item["name"]) for item in categories}
    places = {item["id"]: n for n, item in enumerate(images)}
    numbers = {item: n for n, item in enumerate(sorted(classes))}
    single = [item for item in document["annotations"] if not item.get("iscrowd")]
    unknown = {}
    for n, item in enumerate(single):
        for key, known in (("image_id", places), ("category_id", numbers)):
            if item[key] not in known:
                unknown[n] = f"{key} {shown(str(item[key]))}"
    corners = np.array([item["bbox"] for item in single], dtype=np.float64).reshape(-1, 4)
    corners[:, 2:] += corners[:, :2]
    sizes = [(item.get("width") or 0, item.get("height") or 0) for item in images]
    crowds = len(document["annotations"]) - len(single)
    return Annotated(
        str(path),
        shown(path.stem),
        [_image_path(path, str(item["file_name"])) for item in images],
        np.array([places.get(item["image_id"], -1) for item in single], dtype=np.int64),
        np.array([numbers.get(item["category_id"], -1) for item in single], dtype=np.int64),
        corners,
        tuple(classes[item] for item in sorted(classes)),
        np.full(len(images), TRAIN, dtype=np.int8),
        np.array(sizes, dtype=np.int64).reshape(-1, 2),
        [f"annotation {item.get('id', f'number {n}')}" for n, item in enumerate(single)],
        [f"image {item['id']}" for item in images],
        unknown,
        (f"{crowds} boxes of crowds left out",) if crowds else (),
    )


def _expect_once(path: Path, what: str, ids: Sequence[Any]) -> None:
    twice = [item for item, count in Counter(ids).items() if count > 1]
    if twice:
        got = f"{what} id {shown(str(twice[0]))} {Counter(ids)[twice[0]]} times"
        raise DataError(str(path), f"an id of its own for each {what}", got)


def _image_path(path: Path, name: str) -> Path:
    """The path of an image that a COCO file names: in its folder, or in ``images`` there."""
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise DataError(str(path), "image names inside its own folder", shown(name))
    direct = path.parent / name
    return direct if direct.exists() else path.parent / "images" / name
