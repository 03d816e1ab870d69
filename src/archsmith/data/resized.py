"""Images of a split in another size."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .splits import Batch, Split


class ResizedSplit(Split):
    """The same examples with images (n, channels, height, width) of another size, made batch by
    batch, where the batch is: bytes stay bytes.

    Args:
        split: with images as its inputs, or as ``images`` among them.
        sides: height and width.
        masks: whether the targets are masks (n, height, width), whose nearest pixels are taken.
    """

    def __init__(self, split: Split, sides: Sequence[int], masks: bool = False) -> None:
        self.split, self.sides, self.masks = split, tuple(sides), masks

    def __len__(self) -> int:
        return len(self.split)

    @property
    def labels(self) -> Tensor | None:
        return self.split.labels

    def batches(self, order: Iterable[Tensor]) -> Iterator[Batch]:
        for batch in self.split.batches(order):
            targets = thinned(batch.targets, self.sides) if self.masks else batch.targets
            yield Batch(_inputs(batch.inputs, self.sides), targets)

    def update(self, digest: hashlib._Hash) -> None:
        self.split.update(digest)
        digest.update(str(self.sides).encode())

    def to(self, device: str | torch.device) -> ResizedSplit:
        return ResizedSplit(self.split.to(device), self.sides, self.masks)


def resized(images: Tensor, sides: Sequence[int]) -> Tensor:
    """Images (n, channels, height, width) with other sides, of the same type."""
    # Only the CPU resizes bytes as they are.
    plain = images if images.device.type == "cpu" or images.is_floating_point() else images.float()
    made = nn.functional.interpolate(plain, size=tuple(sides), mode="bilinear", antialias=True)
    return made if made.dtype == images.dtype else made.round().to(images.dtype)


def _inputs(inputs: Any, sides: Sequence[int]) -> Any:
    if isinstance(inputs, Mapping):
        return {**inputs, "images": resized(inputs["images"], sides)}
    return resized(inputs, sides)


def thinned(masks: Tensor, sides: Sequence[int]) -> Tensor:
    """Masks (n, height, width) with other sides: of each pixel the nearest one."""
    rows, columns = (
        ((torch.arange(side, device=masks.device) + 0.5) * whole / side).long()
        for side, whole in zip(sides, masks.shape[1:], strict=True)
    )
    return masks[:, rows][:, :, columns]
