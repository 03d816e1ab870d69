"""Rearranging classes of images: parts with disjoint classes, and rotated images as classes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from .._support.errors import DataError
from .raw import TEST, TRAIN, VALIDATION, Images, expect_room

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TURNED, _MIRRORED = " turned ", " mirrored"
#: Suffix in the name of a class that was created here.
_SUFFIX = rf"({_TURNED}\d+)?({_MIRRORED})?$"
_PARTS = {TRAIN: "training", VALIDATION: "validation", TEST: "test"}


def resized(raw: Images, size: int | None) -> Images:
    """Images resized to ``size`` x ``size`` with antialiasing; unchanged without a size or if they
    already have it. Images of a folder are resized when they are read."""
    height, width = raw.images.shape[2:]
    if size is None or (height, width) == (size, size):
        return raw
    import torch
    from torch.nn import functional as F

    count, channels = raw.images.shape[:2]
    expect_room(f"{raw.name} at {size} x {size} pixels", 4 * count * channels * size**2)
    pixels = torch.from_numpy(raw.images)
    if pixels.is_floating_point() and raw.clipped:
        pixels = pixels.clamp(raw.low, raw.high)  # otherwise a hot pixel spreads to its neighbours
    smaller = []
    for chunk in torch.split(pixels, 512):
        wide = chunk if chunk.is_floating_point() else chunk.float()
        fitted = F.interpolate(wide, (size, size), mode="bilinear", antialias=True)
        whole = not pixels.is_floating_point()
        smaller.append(fitted.round_().clamp_(0, 255).byte() if whole else fitted)
    note = f"{height} x {width} pixels, resized to {size} x {size}"
    return replace(raw, images=torch.cat(smaller).numpy(), notes=(*raw.notes, note))


def turned(raw: Images) -> Images:
    """Each class four times: rotated by 0, 90, 180 and 270 degrees, as separate classes (Santoro et
    al. 2016, arXiv:1605.06065).

    Raises:
        DataError: images that are not square.
    """
    height, width = raw.images.shape[2:]
    if height != width:
        hint = "resize them (--image-size), or do not rotate them"
        raise DataError(raw.name, "square images to rotate", f"{height} x {width}", hint)
    count = len(raw.class_names)
    images = [np.rot90(raw.images, turn, axes=(2, 3)) for turn in range(4)]
    names = [
        name if turn == 0 else f"{name}{_TURNED}{90 * turn}"
        for turn in range(4)
        for name in raw.class_names
    ]
    return replace(
        raw,
        images=np.ascontiguousarray(np.concatenate(images)),
        labels=np.concatenate([raw.labels + turn * count for turn in range(4)]),
        class_names=tuple(names),
        parts=np.tile(raw.parts, 4),
        notes=(*raw.notes, "rotated by 90, 180 and 270 degrees as additional classes"),
    )


def mirrored(raw: Images) -> Images:
    """The classes of the training part again, mirrored, as separate classes."""
    training = raw.parts == TRAIN
    classes = np.unique(raw.labels[training])
    count = len(raw.class_names)
    new_label = np.full(count, -1, dtype=np.int64)
    new_label[classes] = count + np.arange(len(classes))
    return replace(
        raw,
        images=np.concatenate([raw.images, raw.images[training, :, :, ::-1]]),
        labels=np.concatenate([raw.labels, new_label[raw.labels[training]]]),
        class_names=(*raw.class_names, *(f"{raw.class_names[c]}{_MIRRORED}" for c in classes)),
        parts=np.concatenate([raw.parts, raw.parts[training]]),
        notes=(*raw.notes, "mirrored classes of the training part as additional classes"),
    )


def group_of(
    class_names: Sequence[str], changed: bool = False
) -> tuple[NDArray[np.int64], list[str]]:
    """The group of each class, by the part of its name before the last ``/``, and the group names.

    Args:
        changed: whether classes of :func:`turned` and :func:`mirrored` form separate groups.
    """
    heads = [name.rpartition("/")[0] for name in class_names]
    if changed:
        marks = [re.search(_SUFFIX, name) for name in class_names]
        heads = [h + (mark[0] if mark else "") for h, mark in zip(heads, marks, strict=True)]
    names = sorted(set(heads))
    return np.array([names.index(head) for head in heads], dtype=np.int64), names


def disjoint(raw: Images, validation: float, test: float, seed: int) -> Images:
    """Assign every class to exactly one part.

    Parts given by the source are kept. Others are drawn, by whole groups (such as alphabets) if the
    class names have at least three groups.

    Args:
        validation, test: shares of the classes, or of the groups.

    Raises:
        DataError: a class in two parts, or too few classes.
    """
    parts = raw.parts.copy()
    shares = [
        (part, share)
        for part, share in ((TEST, test), (VALIDATION, validation))
        if not (parts == part).any()
    ]
    training = parts == TRAIN
    part_of_class = _draw_parts(raw, np.unique(raw.labels[training]), shares, seed)
    parts[training] = part_of_class[raw.labels[training]]
    _check_disjoint(raw, parts)
    return replace(raw, parts=parts)


def numbered(raw: Images) -> Images:
    """Classes renumbered, training classes first; the parts have disjoint classes."""
    order = [c for part in _PARTS for c in np.unique(raw.labels[raw.parts == part]).tolist()]
    new_label = np.empty(len(raw.class_names), dtype=np.int64)
    new_label[order] = np.arange(len(order))
    names = tuple(raw.class_names[c] for c in order)
    return replace(raw, labels=new_label[raw.labels], class_names=names)


def _check_disjoint(raw: Images, parts: NDArray[np.int8]) -> None:
    part_of_label: dict[int, int] = {}
    for part in _PARTS:
        for label in np.unique(raw.labels[parts == part]).tolist():
            if label in part_of_label:
                raise DataError(
                    raw.name,
                    "no class in two parts",
                    f"{raw.class_names[label]!r} in the {_PARTS[part_of_label[label]]} and the "
                    f"{_PARTS[part]} part",
                    "few-shot learning is evaluated on classes that training has not seen",
                )
            part_of_label[label] = part


def _draw_parts(
    raw: Images, pool: NDArray[np.int64], shares: Sequence[tuple[int, float]], seed: int
) -> NDArray[np.int8]:
    """A part for each class, (classes,): drawn for classes of the pool, training for others."""
    group, names = group_of([raw.class_names[c] for c in pool])
    by_group = len(names) >= 3
    units = group if by_group else np.arange(len(pool))
    # RandomState's streams are frozen by numpy's promise; those of default_rng are not.
    order = np.random.RandomState(seed).permutation(int(units.max(initial=-1)) + 1)
    if len(order) <= len(shares):
        what = "groups of classes" if by_group else "classes"
        raise DataError(
            raw.name, f"at least {len(shares) + 1} {what}, one per part", str(len(order))
        )
    part_of_class = np.full(len(raw.class_names), TRAIN, dtype=np.int8)
    start = 0
    for part, share in shares:
        take = max(1, round(len(order) * share))
        part_of_class[pool[np.isin(units, order[start : start + take])]] = part
        start += take
    return part_of_class
