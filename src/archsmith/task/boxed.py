"""What detection works with: targets, their augmentation, a meter, and the deployed module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..data.boxes import Boxed
from ..data.splits import Batch
from ..metric.boxes import area, detection_loss, found
from ..metric.precision import OVERLAPS, Seen, average_precision
from .values import Meter

#: Of an object that augmentation moves across the rim, the share that must still be seen.
_SEEN = 0.3


class Deployed(nn.Module):
    """Raw images and their sizes to boxes in pixels, scores and classes."""

    def __init__(self, normalise: nn.Module, model: nn.Module, most: int) -> None:
        super().__init__()
        self.normalise, self.model, self.most = normalise, model, most

    def forward(self, images: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        outputs = self.model(self.normalise(images))
        boxes, scores, classes = found(outputs["heat"], outputs["sides"], self.most)
        return boxes * sizes.repeat(1, 2)[:, None].float(), scores, classes


class DetectionMeter(Meter):
    """``map``, the mean over classes and over overlaps from 0.5 to 0.95 of COCO's average precision
    at 101 recalls; ``map50``, that at an overlap of 0.5; the mean loss.

    Args:
        classes: how many there are; one that no image has does not count.
        most: objects that are looked at in an image.
    """

    def __init__(self, classes: int, most: int) -> None:
        self.classes, self.most = classes, most
        self.images: list[Seen] = []
        self.loss = 0.0

    def update(self, outputs: Any, targets: Any) -> None:
        heat, sides = outputs["heat"], outputs["sides"]
        self.loss += float(detection_loss(heat, sides, targets)) * len(heat)
        given = [tensor.cpu().numpy() for tensor in found(heat, sides, self.most)]
        true = [targets[name].cpu().numpy() for name in ("boxes", "classes", "count")]
        for boxes, scores, classes, true_boxes, true_classes, n in zip(*given, *true, strict=True):
            kept = scores > 0
            self.images.append(
                Seen(
                    boxes[kept].astype(np.float64),
                    scores[kept].astype(np.float64),
                    classes[kept],
                    true_boxes[:n].astype(np.float64),
                    true_classes[:n],
                )
            )

    def result(self) -> dict[str, float]:
        given = average_precision(self.images, self.classes)
        present = ~np.isnan(given[0])
        by_overlap = given[:, present].mean(1) if present.any() else np.zeros(len(OVERLAPS))
        return {
            "map": float(by_overlap.mean()),
            "map50": float(by_overlap[0]),
            "loss": self.loss / max(1, len(self.images)),
        }


def augmented(
    images: Tensor,
    targets: Mapping[str, Tensor],
    noise: torch.Generator,
    mirror: bool,
    turn: bool,
) -> Batch:
    """Images shifted by up to an eighth (the rim repeated), mirrored and turned upside down, and
    their boxes with them. What is moved out of the image is no target any more."""
    count, _, height, width = images.shape
    boxes, device = targets["boxes"], images.device
    places, moved = [], []
    for axis, size, flips in ((0, width, mirror), (1, height, turn)):
        most = size // 8
        by = torch.randint(-most, most + 1, (count, 1), generator=noise, device=device)
        flip = (torch.rand(count, 1, generator=noise, device=device) < 0.5) & flips
        place = (torch.arange(size, device=device) + by).clamp(0, size - 1)
        places.append(torch.where(flip, place.flip(1), place))
        low, high = (boxes[..., n] - by / size for n in (axis, axis + 2))
        moved += [torch.where(flip, 1 - high, low), torch.where(flip, 1 - low, high)]
    row = torch.arange(count, device=device)[:, None, None]
    shifted = images.permute(0, 2, 3, 1)[row, places[1][:, :, None], places[0][:, None, :]]
    whole = torch.stack([moved[0], moved[2], moved[1], moved[3]], dim=-1)
    cut = whole.clamp(0, 1)
    present = torch.arange(boxes.shape[1], device=device) < targets["count"][:, None]
    present &= area(cut) > _SEEN * area(whole)
    order = (~present).to(torch.int8).argsort(dim=1, stable=True)
    left = {
        "boxes": cut.gather(1, order[..., None].expand_as(cut)),
        "classes": targets["classes"].gather(1, order),
        "count": present.sum(1),
    }
    return Batch(shifted.permute(0, 3, 1, 2), left)


def padded(read: Boxed) -> dict[str, Tensor]:
    """Boxes as shares, those of each image side by side, filled up with zeros."""
    count = np.bincount(read.owners, minlength=len(read.images))
    most = max(1, int(count.max()))
    order = np.argsort(read.owners, kind="stable")
    owners = read.owners[order]
    place = np.arange(len(owners)) - (np.cumsum(count) - count)[owners]
    boxes = np.zeros((len(count), most, 4), dtype=np.float32)
    classes = np.zeros((len(count), most), dtype=np.int64)
    boxes[owners, place] = (read.boxes / np.tile(read.sizes, 2)[read.owners])[order]
    classes[owners, place] = read.labels[order]
    named = {"boxes": boxes, "classes": classes, "count": count.astype(np.int64)}
    return {name: torch.from_numpy(array) for name, array in named.items()}
