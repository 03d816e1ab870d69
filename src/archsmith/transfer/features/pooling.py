"""From a layer's tensor to one vector per example."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..._support.errors import InputError, unknown
from .outputs import Axes

#: How positions of images and sequences are pooled; docs/features.md describes each.
POOLS = ("auto", "mean", "max", "mean+max", "first", "last", "hidden", "flatten", "none")
#: Pools that do not use positions one by one; a mask would have no effect.
_BLIND = ("flatten", "none", "hidden")


def check_pool(name: str) -> str:
    """The name itself, checked.

    Raises:
        UnknownNameError: not one of :data:`POOLS`.
    """
    if name not in POOLS:
        raise unknown("pool", name, POOLS)
    return name


def pooled(value: Tensor, axes: Axes, how: str, mask: Tensor | None = None) -> Tensor:
    """One vector per example, float32 (n, d); with ``"none"`` the whole tensor, (n, ...).

    Args:
        value: (n, d), an image (n, c, h, w), a volume, or a sequence (n, t, d) or (t, n, d).
        axes: of ``value``.
        how: one of :data:`POOLS` except ``"hidden"``; ``"auto"`` is the mean.
        mask: bool (n, t), true where a place of a sequence is real. Without one all are.

    Raises:
        InputError: the mask does not fit, or leaves an example without a place; an image has no
            first or last place.
    """
    value = value.detach().float()
    if axes.batch:
        value = value.transpose(0, 1)
    if value.dim() <= 2 or how in _BLIND:
        return value.reshape(len(value), -1) if how == "flatten" or value.dim() < 2 else value
    sequence = value.dim() == 3
    if how in ("first", "last") and not sequence:
        raise InputError(
            f"pool {how}",
            "a layer of sequences",
            f"one with outputs {tuple(value.shape)}",
            "use mean, max or flatten",
        )
    places = value if axes.last else value.flatten(2).transpose(1, 2)  # (n, places, channels)
    if mask is None or not sequence:
        return _POOLED[how](places, None)
    count = places.shape[1]
    if mask.shape[1] > count and not mask[:, count:].any():
        # Encoders cut a batch at its longest sequence.
        mask = mask[:, :count]
    check_mask(mask, places)
    return _POOLED[how](places, mask.to(places.device))


def check_mask(mask: Tensor, places: Tensor) -> None:
    """Refuse a mask that does not fit sequences (n, t, d), or masks out a whole example."""
    if mask.shape != places.shape[:2]:
        expected = "one value for each place, " + str(tuple(places.shape[:2]))
        raise InputError("mask", expected, str(tuple(mask.shape)), "true where a place is real")
    empty = (~mask).all(dim=1).nonzero()
    if len(empty):
        raise InputError(
            f"mask of example {int(empty[0])} of a batch",
            "at least one real place",
            "none",
            "true marks a real place, false padding",
        )


def _mean(places: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return places.mean(dim=1)
    # Not a product with the mask: values at padded places may be NaN.
    kept = places.masked_fill(~mask[:, :, None], 0.0)
    return kept.sum(dim=1) / mask.sum(dim=1, keepdim=True)


def _max(places: Tensor, mask: Tensor | None) -> Tensor:
    if mask is not None:
        places = places.masked_fill(~mask[:, :, None], -torch.inf)
    return places.amax(dim=1)


def _mean_and_max(places: Tensor, mask: Tensor | None) -> Tensor:
    return torch.cat([_mean(places, mask), _max(places, mask)], dim=1)


def _first(places: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return places[:, 0]
    # Padding may be on the left.
    return _select(places, mask.int().argmax(dim=1))


def _last(places: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return places[:, -1]
    return _select(places, mask.shape[1] - 1 - mask.int().flip(1).argmax(dim=1))


def _select(places: Tensor, index: Tensor) -> Tensor:
    return places[torch.arange(len(places), device=places.device), index]


_POOLED: dict[str, Callable[[Tensor, Tensor | None], Tensor]] = {
    "auto": _mean,
    "mean": _mean,
    "max": _max,
    "mean+max": _mean_and_max,
    "first": _first,
    "last": _last,
}
