"""Images with a class for each pixel: an ``.npz`` of images and masks, or a folder of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._support.errors import DataError
from . import arrays, folder
from .levels import PIXELS, open_image
from .names import shown
from .pixels import Layout, channels_first, stored
from .raw import TRAIN, Images, expect_room

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: What a pixel without a label has in :attr:`MaskedImages.masks`; in any file it is one as well.
UNLABELLED = 255
#: Words of a key, and names of a folder, that hold masks.
MASKS = {"mask", "masks", "segmentation", "segmentations"}
IMAGES = {"image", "images", "img", "imgs"}
#: Names of a class, in lower case, whose pixels have no label.
VOID = {"unlabelled", "unlabeled", "void", "ignore", "ignored"}
#: One name of a class a line, in the order of their numbers.
CLASS_FILE = "classes.txt"
#: The longest side that is chosen unasked where images differ in size or are large.
LARGEST = 160
KEPT = 256
SPELLINGS = "image and mask, each alone or with train, val, test"
#: Modes of pillow whose pixels are numbers and not colours.
_NUMBERS = ("1", "L", "P", "I", "I;16")


@dataclass(frozen=True)
class MaskedImages:
    """Images of one size, with a class for each pixel.

    Attributes:
        images: all that is known of them; their labels are zeros.
        masks: uint8, (n, height, width), indices into ``images.class_names``, 255 without a label.
    """

    images: Images
    masks: NDArray[np.uint8]


def has_masks(place: Path) -> bool:
    """Whether a source brings images and masks, by its keys or folders alone."""
    if place.is_dir():
        return bool(_pairs_of_folders(place))
    if place.suffix.lower() != ".npz":
        return False
    with arrays.open_archive(place) as archive:
        words = {word for key in archive.files for word in _words(key)}
    # Beside labels a mask says which rows count, or the like.
    return bool(words & MASKS and words & arrays.INPUTS) and not words & arrays.TARGETS


def read(
    place: Path,
    size: int | None = None,
    channels: Layout | None = None,
    ignore: int | None = None,
) -> MaskedImages:
    """Images and masks of an ``.npz`` file or a folder.

    An ``.npz`` holds ``image`` (n, height, width[, channels]) and ``mask`` (n, height, width), each
    alone or with ``train``, ``val`` and ``test`` in its name, and perhaps ``classes``, the names.
    A folder holds ``images/`` and ``masks/`` with files of equal names, each in ``train/``,
    ``val/`` and ``test/`` where there are such parts, outside or inside; a mask is a picture of
    class numbers, grey or with a palette; ``classes.txt`` has their names. Pixels of 255, and of a
    class that is called unlabelled or void, have no label.

    Args:
        size: height and width that images of a folder are brought to. Without it images of one
            size (at most 256 pixels) are kept as they are, others brought to their median shape,
            at most 160 on its longer side.
        channels: of an array, where they stand if its sizes do not tell.
        ignore: another number of pixels without a label.

    Raises:
        DataError: a part without its masks, a mask of another size than its image, or a number
            that is no class.
    """
    found = _read_folder(place, size) if place.is_dir() else _read_arrays(place, channels)
    return _labelled(found, ignore)


@dataclass(frozen=True)
class _Found:
    """What a source holds, before numbers in masks are held against the names.

    Attributes:
        places: what to call the mask of each image in messages.
    """

    images: Images
    masks: NDArray[Any]
    names: tuple[str, ...] | None
    places: Sequence[str]


def _words(key: str) -> list[str]:
    return [word for word in key.lower().replace("-", "_").split("_") if word]


def _keys(path: Path, keys: Sequence[str]) -> tuple[dict[int, tuple[str, str]], str | None]:
    """The keys of images and masks of each part, and that of the names.

    Raises:
        DataError: one without the other, two of a kind, or no training part.
    """
    kinds = (IMAGES | arrays.INPUTS, MASKS)
    found: tuple[dict[int, str], dict[int, str]] = ({}, {})
    for key in keys:
        words = _words(key)
        parts = [arrays.PARTS[word] for word in words if word in arrays.PARTS]
        rest = [word for word in words if word not in arrays.PARTS]
        if len(parts) > 1 or len(rest) != 1:
            continue
        part = parts[0] if parts else TRAIN
        for kind, known in zip(kinds, found, strict=True):
            if rest[0] in kind and part in known:
                got = f"{known[part]} and {key}"
                raise DataError(str(path), "one array of a kind for each part", got)
            if rest[0] in kind:
                known[part] = key
    images, masks = found
    if TRAIN not in images or images.keys() != masks.keys():
        raise DataError(str(path), SPELLINGS, "keys " + ", ".join(keys))
    names = next((key for key in keys if key.lower() in arrays.NAMES), None)
    return {part: (images[part], masks[part]) for part in images}, names


def _read_arrays(path: Path, channels: Layout | None) -> _Found:
    with arrays.open_archive(path) as archive:
        keys, named = _keys(path, list(archive.files))
        loaded = {key: arrays.load(path, archive, key) for pair in keys.values() for key in pair}
        names = None
        if named is not None:
            texts = arrays.texts(f"{path} {named}", arrays.load(path, archive, named))
            names = tuple(texts.ravel().tolist())
    images, masks, places = [], [], list[str]()
    for image_key, mask_key in keys.values():
        image, mask = loaded[image_key], loaded[mask_key]
        where = f"{path} {mask_key}"
        image, stood = channels_first(f"{path} {image_key}", image, channels)
        mask = mask[..., 0] if mask.ndim == 4 and mask.shape[-1] == 1 else mask
        wanted = (len(image), *image.shape[2:])
        if mask.shape != wanted:
            hint = "a mask has one number for each pixel of its image"
            raise DataError(where, f"masks of shape {wanted}", f"{mask.shape}", hint)
        if mask.dtype.kind not in "biu":
            raise DataError(where, "masks of whole numbers", str(mask.dtype))
        images.append(image)
        masks.append(mask.astype(np.int64, copy=False) if mask.dtype.itemsize > 1 else mask)
        places += [f"{where}, mask {number}" for number in range(len(mask))]
    if len({(each.shape[1:], each.dtype) for each in images}) > 1:
        got = ", ".join(f"{key} {loaded[key].shape}" for key, _ in keys.values())
        raise DataError(str(path), "parts of one shape and type", got)
    kept = stored(str(path), np.concatenate(images))
    parts = np.repeat(np.array(list(keys), dtype=np.int8), [len(each) for each in images])
    raw = Images(
        shown(path.stem),
        kept.images,
        np.zeros(len(parts), dtype=np.int64),
        (),
        parts,
        kept.low,
        kept.high,
        kept.notes,
        "mask",
        kept.clipped,
        stood,
    )
    return _Found(raw, np.concatenate(masks), names, places)


def _named(place: Path, names: set[str]) -> Path | None:
    return next(
        (p for p in sorted(place.iterdir()) if p.name.lower() in names and p.is_dir()), None
    )


def _pairs_of_folders(root: Path) -> list[tuple[Path, Path, int]]:
    """Folders of images and of masks, with the part that they are."""
    images, masks = _named(root, IMAGES), _named(root, MASKS)
    inner = [p for p in sorted((images or root).iterdir()) if p.name.lower() in folder.PARTS]
    inner = [p for p in inner if p.is_dir()]
    if images is not None and masks is not None:
        if not inner:
            return [(images, masks, TRAIN)]
        return [(p, masks / p.name, folder.PARTS[p.name.lower()]) for p in inner]
    pairs = [(_named(p, IMAGES), _named(p, MASKS), folder.PARTS[p.name.lower()]) for p in inner]
    return [(image, mask, part) for image, mask, part in pairs if image and mask]


def _read_folder(root: Path, size: int | None) -> _Found:
    pairs = _pairs_of_folders(root)
    if not any(part == TRAIN for _, _, part in pairs):
        wanted = "images/ and masks/, or train/ with both in it"
        got = ", ".join(sorted(shown(p.name) for p in root.iterdir())[:5]) or "nothing"
        raise DataError(str(root), wanted, got)
    files, parts = list[tuple[Path, Path]](), list[int]()
    for images, masks, part in pairs:
        matched = _matched(images, masks)
        files += matched
        parts += [part] * len(matched)
    opened = [_opened(*pair) for pair in files]
    height, width = _size([(image.height, image.width) for image, _ in opened], size)
    grey = all(image.mode == "L" for image, _ in opened)
    channels = 1 if grey else 3
    expect_room(str(root), len(opened) * height * width * (channels + 1))
    raw = Images(
        shown(root.name),
        np.stack([_fitted(image, height, width, channels) for image, _ in opened]),
        np.zeros(len(opened), dtype=np.int64),
        (),
        np.array(parts, dtype=np.int8),
        target_name="mask",
    )
    masks_ = np.stack([_fitted(mask, height, width, 0) for _, mask in opened])
    return _Found(raw, masks_, _class_file(root), [str(mask) for _, mask in files])


def _matched(images: Path, masks: Path) -> list[tuple[Path, Path]]:
    """Files of images with those of their masks. Raises DataError where one lacks the other."""
    one, other = (
        {p.stem: p for p in sorted(place.iterdir()) if folder.is_picture(p)}
        if place.is_dir()
        else {}
        for place in (images, masks)
    )
    alone = sorted(one.keys() ^ other.keys())
    if alone or not one:
        listed = ", ".join(shown(name) for name in alone[:3]) + (", ..." if len(alone) > 3 else "")
        got = f"{len(alone)} without the other: {listed}" if alone else "no images"
        raise DataError(str(images), f"images, and a mask of the same name in {masks}", got)
    return [(path, other[stem]) for stem, path in one.items()]


def _opened(image_path: Path, mask_path: Path) -> tuple[Any, Any]:
    """An image (mode L or RGB) and its mask (class numbers, mode I), of one size."""
    try:
        image = open_image(image_path)
    except Exception as error:  # damaged files make pillow raise nearly anything
        raise DataError(str(image_path), "an image that can be read", str(error)) from error
    if image.kind != "bytes":
        raise DataError(str(image_path), "an image of 8 bits a colour", "more", "use an .npz file")
    mask = _open_mask(mask_path)
    if mask.size != image.image.size:
        wanted = "a mask of its image's size, {} x {} pixels".format(*image.image.size)
        raise DataError(str(mask_path), wanted, "{} x {}".format(*mask.size))
    return image.image, mask


def _open_mask(path: Path) -> Any:
    from PIL import Image

    try:
        with Image.open(path) as file:
            if file.width * file.height > PIXELS:
                raise ValueError(f"more than {PIXELS:,} pixels, which are refused")
            mode = file.mode
            # Of a palette the numbers count, not the colours.
            values = np.asarray(file).astype(np.int32) if mode in _NUMBERS else None
    except Exception as error:
        raise DataError(str(path), "a mask that can be read", str(error)) from error
    if values is None:
        hint = "save the number of the class as the grey value or palette index of a PNG"
        raise DataError(str(path), "one class number a pixel", f"colours ({mode})", hint)
    return Image.fromarray(values)


def _size(sizes: Sequence[tuple[int, int]], asked: int | None) -> tuple[int, int]:
    if asked is not None:
        return asked, asked
    if len(set(sizes)) == 1 and max(sizes[0]) <= KEPT:
        return sizes[0]
    height, width = (float(side) for side in np.median(np.array(sizes), axis=0))
    scale = min(1.0, LARGEST / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _fitted(image: Any, height: int, width: int, channels: int) -> NDArray[Any]:
    """Scaled to cover the size and cropped to its middle: (channels, height, width), or the
    numbers of a mask (height, width) without channels. Images and masks are cut alike."""
    from PIL import Image, ImageOps

    image = image.convert("L" if channels == 1 else "RGB") if channels else image
    if image.size != (width, height):
        # Between two classes there is no third one.
        way = Image.Resampling.BILINEAR if channels else Image.Resampling.NEAREST
        image = ImageOps.fit(image, (width, height), way)
    pixels: NDArray[Any] = np.asarray(image)
    if not channels:
        return pixels
    return pixels[None] if channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _class_file(root: Path) -> tuple[str, ...] | None:
    path = root / CLASS_FILE
    if not path.is_file():
        return None
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(str(path), "a name of a class a line, in UTF-8", str(error)) from error
    return tuple(line.strip() for line in lines if line.strip())


def _labelled(found: _Found, ignore: int | None) -> MaskedImages:
    """Masks as indices into the names of the classes that count."""
    masks, names = found.masks, found.names
    void = {UNLABELLED} | ({ignore} if ignore is not None else set())
    known = [int(value) for value in np.unique(masks) if int(value) not in void]
    if names is None:
        names = tuple(f"class {number}" for number in range(max(known, default=-1) + 1))
    elif len(set(names)) < len(names):
        raise DataError(found.images.name, "class names that differ", ", ".join(names))
    beyond = [value for value in known if not 0 <= value < min(len(names), UNLABELLED)]
    if beyond:
        first = int(np.argmax((masks == beyond[0]).reshape(len(masks), -1).any(1)))
        wanted = f"labels from 0 to {min(len(names), UNLABELLED) - 1}, or 255 for no label"
        raise DataError(found.places[first], wanted, str(beyond[0]))
    kept = [n for n, name in enumerate(names) if name.lower() not in VOID and n not in void]
    if len(kept) < 2:
        got = ", ".join(names[n] for n in kept) or "none"
        hint = "if 255 is a class, save it as 1: pixels of 255 have no label"
        raise DataError(found.images.name, "masks of at least two classes", got, hint)
    table = np.full(256, UNLABELLED, dtype=np.uint8)
    table[kept] = np.arange(len(kept))
    # What is ignored may lie beyond a byte.
    small = np.where((masks < 0) | (masks > UNLABELLED), UNLABELLED, masks).astype(np.uint8)
    if ignore is not None and 0 <= ignore <= UNLABELLED:
        table[ignore] = UNLABELLED
    images = replace(found.images, class_names=tuple(shown(names[n]) for n in kept))
    return MaskedImages(images, table[small])
