"""Classes of images rearranged: parts without a class in common, turned images as new classes."""

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
#: The end of the name of a class that was made here.
_CHANGED = rf"({_TURNED}\d+)?({_MIRRORED})?$"
_PARTS = {TRAIN: "training", VALIDATION: "validation", TEST: "test"}


def resized(raw: Images, size: int | None) -> Images:
    """Images of another source than a folder at ``size`` x ``size``, by area; as they are if not
    given or already so."""
    height, width = raw.images.shape[2:]
    if size is None or (height, width) == (size, size):
        return raw
    import torch
    from torch.nn import functional as F

    count, channels = raw.images.shape[:2]
    expect_room(f"{raw.name} at {size} x {size} pixels", 4 * count * channels * size**2)
    pixels = torch.from_numpy(raw.images)
    if pixels.is_floating_point() and raw.clipped:
        pixels = pixels.clamp(raw.low, raw.high)  # else one hot pixel spreads over its neighbours
    smaller = []
    for chunk in torch.split(pixels, 512):
        wide = chunk if chunk.is_floating_point() else chunk.float()
        fitted = F.interpolate(wide, (size, size), mode="bilinear", antialias=True)
        whole = not pixels.is_floating_point()
        smaller.append(fitted.round_().clamp_(0, 255).byte() if whole else fitted)
    note = f"{height} x {width} pixels, brought to {size} x {size}"
    return replace(raw, images=torch.cat(smaller).numpy(), notes=(*raw.notes, note))


def turned(raw: Images) -> Images:
    """Each class four times: upright and turned by 90, 180 and 270 degrees, as classes of their own
    (Santoro et al. 2016, arXiv:1605.06065).

    Raises:
        DataError: images that are not square.
    """
    height, width = raw.images.shape[2:]
    if height != width:
        hint = "bring them to one size (--image-size), or leave them upright"
        raise DataError(raw.name, "square images to turn", f"{height} x {width}", hint)
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
        notes=(*raw.notes, "turned by 90, 180 and 270 degrees: further classes"),
    )


def mirrored(raw: Images) -> Images:
    """Classes of the training part once more, mirrored, as classes of their own."""
    own = raw.parts == TRAIN
    kept = np.unique(raw.labels[own])
    count = len(raw.class_names)
    place = np.full(count, -1, dtype=np.int64)
    place[kept] = count + np.arange(len(kept))
    return replace(
        raw,
        images=np.concatenate([raw.images, raw.images[own, :, :, ::-1]]),
        labels=np.concatenate([raw.labels, place[raw.labels[own]]]),
        class_names=(*raw.class_names, *(f"{raw.class_names[c]}{_MIRRORED}" for c in kept)),
        parts=np.concatenate([raw.parts, raw.parts[own]]),
        notes=(*raw.notes, "mirrored classes of the training part: further classes"),
    )


def group_of(
    class_names: Sequence[str], changed: bool = False
) -> tuple[NDArray[np.int64], list[str]]:
    """Group of each class, by what stands before the last ``/`` of its name; and their names.

    Args:
        changed: whether what :func:`turned` and :func:`mirrored` made is apart by that too.
    """
    heads = [name.rpartition("/")[0] for name in class_names]
    if changed:
        marks = [re.search(_CHANGED, name) for name in class_names]
        heads = [h + (mark[0] if mark else "") for h, mark in zip(heads, marks, strict=True)]
    names = sorted(set(heads))
    return np.array([names.index(head) for head in heads], dtype=np.int64), names


def disjoint(raw: Images, validation: float, test: float, seed: int) -> Images:
    """Every class in one part alone.

    Parts that the source brings are kept. Others are drawn, whole groups at a time (such as
    alphabets) where the names of classes tell three groups or more.

    Args:
        validation, test: shares of the classes, or of the groups.

    Raises:
        DataError: a class in two parts, or too few classes.
    """
    parts = raw.parts.copy()
    wanted = [
        (part, share)
        for part, share in ((TEST, test), (VALIDATION, validation))
        if not (parts == part).any()
    ]
    training = parts == TRAIN
    drawn = _drawn(raw, np.unique(raw.labels[training]), wanted, seed)
    parts[training] = drawn[raw.labels[training]]
    _check_disjoint(raw, parts)
    return replace(raw, parts=parts)


def numbered(raw: Images) -> Images:
    """Classes numbered from those of the training part on; parts have no class in common."""
    order = [c for part in _PARTS for c in np.unique(raw.labels[raw.parts == part]).tolist()]
    place = np.empty(len(raw.class_names), dtype=np.int64)
    place[order] = np.arange(len(order))
    names = tuple(raw.class_names[c] for c in order)
    return replace(raw, labels=place[raw.labels], class_names=names)


def _check_disjoint(raw: Images, parts: NDArray[np.int8]) -> None:
    seen: dict[int, int] = {}
    for part in _PARTS:
        for label in np.unique(raw.labels[parts == part]).tolist():
            if label in seen:
                raise DataError(
                    raw.name,
                    "no class in two parts",
                    f"{raw.class_names[label]!r} in the {_PARTS[seen[label]]} and the "
                    f"{_PARTS[part]} part",
                    "few-shot learning is judged on classes that training has not seen",
                )
            seen[label] = part


def _drawn(
    raw: Images, pool: NDArray[np.int64], wanted: Sequence[tuple[int, float]], seed: int
) -> NDArray[np.int8]:
    """A part for each class, (classes,): drawn for those of the pool, training for others."""
    group, names = group_of([raw.class_names[c] for c in pool])
    by_group = len(names) >= 3
    units = group if by_group else np.arange(len(pool))
    # RandomState's streams are frozen by numpy's promise; those of default_rng are not.
    order = np.random.RandomState(seed).permutation(int(units.max(initial=-1)) + 1)
    if len(order) <= len(wanted):
        what = "groups of classes" if by_group else "classes"
        raise DataError(raw.name, f"{len(wanted) + 1} {what} or more, one a part", str(len(order)))
    chosen = np.full(len(raw.class_names), TRAIN, dtype=np.int8)
    start = 0
    for part, share in wanted:
        take = max(1, round(len(order) * share))
        chosen[pool[np.isin(units, order[start : start + take])]] = part
        start += take
    return chosen
