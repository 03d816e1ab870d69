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

#: Value of pixels without a label, in :attr:`MaskedImages.masks` and in every file.
UNLABELLED = 255
#: Words in keys, and names of folders, for masks.
MASKS = {"mask", "masks", "segmentation", "segmentations"}
IMAGES = {"image", "images", "img", "imgs"}
#: Lower-case names of classes whose pixels have no label.
VOID = {"unlabelled", "unlabeled", "void", "ignore", "ignored"}
#: A file with one class name per line, in the order of the class numbers.
CLASS_FILE = "classes.txt"
#: The longest side that is chosen by default if images differ in size or are large.
LARGEST = 160
KEPT = 256
SPELLINGS = "image and mask, each alone or with train, val, test"
#: Pillow modes whose pixels are numbers, not colours.
_NUMBERS = ("1", "L", "P", "I", "I;16")


@dataclass(frozen=True)
class MaskedImages:
    """Images of one size, with a class for each pixel.

    Attributes:
        images: the images; their labels are zeros.
        masks: uint8, (n, height, width), indices into ``images.class_names``, 255 without a label.
    """

    images: Images
    masks: NDArray[np.uint8]


def has_masks(place: Path) -> bool:
    """Whether a source has images and masks, judging only by its keys or folders."""
    if place.is_dir():
        return bool(_folder_pairs(place))
    if place.suffix.lower() != ".npz":
        return False
    with arrays.open_archive(place) as archive:
        words = {word for key in archive.files for word in _words(key)}
    # Together with labels, a mask has another meaning, such as which rows are valid.
    return bool(words & MASKS and words & arrays.INPUTS) and not words & arrays.TARGETS


def read(
    place: Path,
    size: int | None = None,
    channels: Layout | None = None,
    ignore: int | None = None,
    largest: int = LARGEST,
) -> MaskedImages:
    """Images and masks of an ``.npz`` file or a folder.

    An ``.npz`` has ``image`` (n, height, width[, channels]) and ``mask`` (n, height, width), each
    alone or with ``train``, ``val`` and ``test`` in its name, and optionally names: ``classes``.
    A folder has ``images/`` and ``masks/`` with files of equal names, and optionally ``train/``,
    ``val/`` and ``test/`` above or below these; a mask is an image of class numbers, grey or with
    a palette; ``classes.txt`` has their names. Pixels with value 255, or of a class named
    unlabelled or void, have no label.

    Args:
        size: height and width to resize images of a folder to. By default images of one size (at
            most 256 pixels) are kept, others are resized to their median shape, at most ``largest``
            on the longer side.
        channels: position of the channels of an array, if its shape is ambiguous.
        ignore: another value of pixels without a label.

    Raises:
        DataError: a part without masks, a mask and image of different sizes, or a number that is
            not a class.
    """
    source = _read_folder(place, size, largest) if place.is_dir() else _read_arrays(place, channels)
    return _map_classes(source, ignore)


@dataclass(frozen=True)
class _Source:
    """The content of a source, before numbers in masks are checked against the class names.

    Attributes:
        places: name of each image's mask, for messages.
    """

    images: Images
    masks: NDArray[Any]
    names: tuple[str, ...] | None
    places: Sequence[str]


def _words(key: str) -> list[str]:
    return [word for word in key.lower().replace("-", "_").split("_") if word]


def _keys(path: Path, keys: Sequence[str]) -> tuple[dict[int, tuple[str, str]], str | None]:
    """The keys of images and masks of each part, and the key of the class names.

    Raises:
        DataError: images without masks or the reverse, duplicate keys, or no training part.
    """
    kinds = (IMAGES | arrays.INPUTS, MASKS)
    by_kind: tuple[dict[int, str], dict[int, str]] = ({}, {})
    for key in keys:
        words = _words(key)
        parts = [arrays.PARTS[word] for word in words if word in arrays.PARTS]
        rest = [word for word in words if word not in arrays.PARTS]
        if len(parts) > 1 or len(rest) != 1:
            continue
        part = parts[0] if parts else TRAIN
        for kind, keys_of_kind in zip(kinds, by_kind, strict=True):
            if rest[0] in kind and part in keys_of_kind:
                got = f"{keys_of_kind[part]} and {key}"
                raise DataError(str(path), "one array of a kind for each part", got)
            if rest[0] in kind:
                keys_of_kind[part] = key
    images, masks = by_kind
    if TRAIN not in images or images.keys() != masks.keys():
        raise DataError(str(path), SPELLINGS, "keys " + ", ".join(keys))
    names = next((key for key in keys if key.lower() in arrays.NAMES), None)
    return {part: (images[part], masks[part]) for part in images}, names


def _read_arrays(path: Path, channels: Layout | None) -> _Source:
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
        image, layout = channels_first(f"{path} {image_key}", image, channels)
        mask = mask[..., 0] if mask.ndim == 4 and mask.shape[-1] == 1 else mask
        expected = (len(image), *image.shape[2:])
        if mask.shape != expected:
            hint = "a mask has one number for each pixel of its image"
            raise DataError(where, f"masks of shape {expected}", f"{mask.shape}", hint)
        if mask.dtype.kind not in "biu":
            raise DataError(where, "masks of whole numbers", str(mask.dtype))
        images.append(image)
        masks.append(mask.astype(np.int64, copy=False) if mask.dtype.itemsize > 1 else mask)
        places += [f"{where}, mask {number}" for number in range(len(mask))]
    if len({(array.shape[1:], array.dtype) for array in images}) > 1:
        got = ", ".join(f"{key} {loaded[key].shape}" for key, _ in keys.values())
        raise DataError(str(path), "parts of the same shape and dtype", got)
    pixels = stored(str(path), np.concatenate(images))
    parts = np.repeat(np.array(list(keys), dtype=np.int8), [len(array) for array in images])
    raw = Images(
        shown(path.stem),
        pixels.images,
        np.zeros(len(parts), dtype=np.int64),
        (),
        parts,
        pixels.low,
        pixels.high,
        pixels.notes,
        "mask",
        pixels.clipped,
        layout,
    )
    return _Source(raw, np.concatenate(masks), names, places)


def _find_folder(place: Path, names: set[str]) -> Path | None:
    return next(
        (p for p in sorted(place.iterdir()) if p.name.lower() in names and p.is_dir()), None
    )


def _folder_pairs(root: Path) -> list[tuple[Path, Path, int]]:
    """Folders of images and of masks, with the part that each pair belongs to."""
    images, masks = _find_folder(root, IMAGES), _find_folder(root, MASKS)
    inner = [p for p in sorted((images or root).iterdir()) if p.name.lower() in folder.PARTS]
    inner = [p for p in inner if p.is_dir()]
    if images is not None and masks is not None:
        if not inner:
            return [(images, masks, TRAIN)]
        return [(p, masks / p.name, folder.PARTS[p.name.lower()]) for p in inner]
    pairs = [
        (_find_folder(p, IMAGES), _find_folder(p, MASKS), folder.PARTS[p.name.lower()])
        for p in inner
    ]
    return [(image, mask, part) for image, mask, part in pairs if image and mask]


def _read_folder(root: Path, size: int | None, largest: int) -> _Source:
    pairs = _folder_pairs(root)
    if not any(part == TRAIN for _, _, part in pairs):
        expected = "images/ and masks/, or train/ with both in it"
        got = ", ".join(sorted(shown(p.name) for p in root.iterdir())[:5]) or "nothing"
        raise DataError(str(root), expected, got)
    files, parts = list[tuple[Path, Path]](), list[int]()
    for images, masks, part in pairs:
        matched = _match_files(images, masks)
        files += matched
        parts += [part] * len(matched)
    opened = [_open_pair(*pair) for pair in files]
    height, width = _size([(image.height, image.width) for image, _ in opened], size, largest)
    grey = all(image.mode == "L" for image, _ in opened)
    channels = 1 if grey else 3
    expect_room(str(root), len(opened) * height * width * (channels + 1))
    raw = Images(
        shown(root.name),
        np.stack([_resize_and_crop(image, height, width, channels) for image, _ in opened]),
        np.zeros(len(opened), dtype=np.int64),
        (),
        np.array(parts, dtype=np.int8),
        target_name="mask",
    )
    mask_pixels = np.stack([_resize_and_crop(mask, height, width, 0) for _, mask in opened])
    return _Source(raw, mask_pixels, _class_file(root), [str(mask) for _, mask in files])


def _match_files(images: Path, masks: Path) -> list[tuple[Path, Path]]:
    """Image files with their mask files. Raises DataError if one has no partner."""
    image_files, mask_files = (
        {p.stem: p for p in sorted(place.iterdir()) if folder.is_picture(p)}
        if place.is_dir()
        else {}
        for place in (images, masks)
    )
    unmatched = sorted(image_files.keys() ^ mask_files.keys())
    if unmatched or not image_files:
        listed = ", ".join(shown(name) for name in unmatched[:3]) + (
            ", ..." if len(unmatched) > 3 else ""
        )
        got = f"{len(unmatched)} without the other: {listed}" if unmatched else "no images"
        raise DataError(str(images), f"images, and a mask of the same name in {masks}", got)
    return [(path, mask_files[stem]) for stem, path in image_files.items()]


def _open_pair(image_path: Path, mask_path: Path) -> tuple[Any, Any]:
    """An image (mode L or RGB) and its mask (class numbers, mode I), of one size."""
    try:
        image = open_image(image_path)
    except Exception as error:  # pillow raises nearly anything for damaged files
        raise DataError(str(image_path), "an image that can be read", str(error)) from error
    if image.kind != "bytes":
        raise DataError(
            str(image_path), "an image with 8 bits per colour", "more bits", "use an .npz file"
        )
    mask = _open_mask(mask_path)
    if mask.size != image.image.size:
        expected = "a mask of its image's size, {} x {} pixels".format(*image.image.size)
        raise DataError(str(mask_path), expected, "{} x {}".format(*mask.size))
    return image.image, mask


def _open_mask(path: Path) -> Any:
    from PIL import Image

    try:
        with Image.open(path) as file:
            if file.width * file.height > PIXELS:
                raise ValueError(f"more than {PIXELS:,} pixels, which are refused")
            mode = file.mode
            # With a palette, the indices matter, not the colours.
            values = np.asarray(file).astype(np.int32) if mode in _NUMBERS else None
    except Exception as error:
        raise DataError(str(path), "a mask that can be read", str(error)) from error
    if values is None:
        hint = "save the class number as the grey value or palette index of a PNG"
        raise DataError(str(path), "one class number per pixel", f"colours ({mode})", hint)
    return Image.fromarray(values)


def _size(sizes: Sequence[tuple[int, int]], asked: int | None, largest: int) -> tuple[int, int]:
    if asked is not None:
        return asked, asked
    if len(set(sizes)) == 1 and max(sizes[0]) <= max(KEPT, largest):
        return sizes[0]
    height, width = (float(side) for side in np.median(np.array(sizes), axis=0))
    scale = min(1.0, largest / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _resize_and_crop(image: Any, height: int, width: int, channels: int) -> NDArray[Any]:
    """Scaled to cover the size and cropped to its centre: (channels, height, width), or the numbers
    of a mask (height, width) without channels. Images and masks are cropped in the same way."""
    from PIL import Image, ImageOps

    image = image.convert("L" if channels == 1 else "RGB") if channels else image
    if image.size != (width, height):
        # Class numbers must not be interpolated.
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
        raise DataError(str(path), "one class name per line, in UTF-8", str(error)) from error
    return tuple(line.strip() for line in lines if line.strip())


def _map_classes(source: _Source, ignore: int | None) -> MaskedImages:
    """Masks as indices into the names of the classes that have labels."""
    masks, names = source.masks, source.names
    void = {UNLABELLED} | ({ignore} if ignore is not None else set())
    used = [int(value) for value in np.unique(masks) if int(value) not in void]
    if names is None:
        names = tuple(f"class {number}" for number in range(max(used, default=-1) + 1))
    elif len(set(names)) < len(names):
        raise DataError(source.images.name, "distinct class names", ", ".join(names))
    invalid = [value for value in used if not 0 <= value < min(len(names), UNLABELLED)]
    if invalid:
        first = int(np.argmax((masks == invalid[0]).reshape(len(masks), -1).any(1)))
        expected = f"labels from 0 to {min(len(names), UNLABELLED) - 1}, or 255 for no label"
        raise DataError(source.places[first], expected, str(invalid[0]))
    selected = [n for n, name in enumerate(names) if name.lower() not in VOID and n not in void]
    if len(selected) < 2:
        got = ", ".join(names[n] for n in selected) or "none"
        hint = "if 255 is a class, save it as 1: pixels of 255 have no label"
        raise DataError(source.images.name, "masks of at least two classes", got, hint)
    table = np.full(256, UNLABELLED, dtype=np.uint8)
    table[selected] = np.arange(len(selected))
    # Ignored values may exceed a byte.
    byte_masks = np.where((masks < 0) | (masks > UNLABELLED), UNLABELLED, masks).astype(np.uint8)
    if ignore is not None and 0 <= ignore <= UNLABELLED:
        table[ignore] = UNLABELLED
    images = replace(source.images, class_names=tuple(shown(names[n]) for n in selected))
    return MaskedImages(images, table[byte_masks])
