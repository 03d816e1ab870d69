"""The parts of detection: targets, their augmentation, a meter, and the deployed module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..data.boxes import Boxed
from ..data.splits import Batch
from ..metric.boxes import area, decode_boxes, detection_loss
from ..metric.precision import OVERLAPS, Seen, average_precision
from .image import in_usual_layout
from .values import Meter

#: An object that augmentation moves across the image border stays a target if at least this share
#: of it is still visible.
_MIN_VISIBLE = 0.3


class Deployed(nn.Module):
    """Raw images and their sizes to boxes in pixels, scores and classes."""

    def __init__(self, normalise: nn.Module, model: nn.Module, most: int) -> None:
        super().__init__()
        self.normalise, self.model, self.most = normalise, model, most

    def forward(self, images: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        outputs = self.model(self.normalise(images))
        boxes, scores, classes = decode_boxes(outputs["heat"], outputs["sides"], self.most)
        return boxes * sizes.repeat(1, 2)[:, None].float(), scores, classes


class DetectionMeter(Meter):
    """``map``, COCO's average precision at 101 recalls, averaged over classes and over overlaps
    (intersection over union) from 0.5 to 0.95; ``map50``, the same at an overlap of 0.5; and the
    mean loss.

    Args:
        classes: number of classes; a class that no image contains is left out of the mean.
        most: highest number of detections that are evaluated per image.
    """

    def __init__(self, classes: int, most: int) -> None:
        self.classes, self.most = classes, most
        self.images: list[Seen] = []
        self.loss = 0.0

    def update(self, outputs: Any, targets: Any) -> None:
        heat, sides = outputs["heat"], outputs["sides"]
        self.loss += float(detection_loss(heat, sides, targets)) * len(heat)
        predictions = [tensor.cpu().numpy() for tensor in decode_boxes(heat, sides, self.most)]
        true = [targets[name].cpu().numpy() for name in ("boxes", "classes", "count")]
        for boxes, scores, classes, true_boxes, true_classes, n in zip(
            *predictions, *true, strict=True
        ):
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
        precisions = average_precision(self.images, self.classes)
        present = ~np.isnan(precisions[0])
        by_overlap = precisions[:, present].mean(1) if present.any() else np.zeros(len(OVERLAPS))
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
    """Images shifted by up to an eighth (border pixels repeated), mirrored and turned upside down,
    together with their boxes. An object that is moved out of the image is no longer a target."""
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
    present &= area(cut) > _MIN_VISIBLE * area(whole)
    order = (~present).to(torch.int8).argsort(dim=1, stable=True)
    remaining = {
        "boxes": cut.gather(1, order[..., None].expand_as(cut)),
        "classes": targets["classes"].gather(1, order),
        "count": present.sum(1),
    }
    return Batch(in_usual_layout(shifted.permute(0, 3, 1, 2)), remaining)


def padded(read: Boxed) -> dict[str, Tensor]:
    """Boxes as shares of width and height, grouped by image and padded with zeros: ``boxes``
    float32 (n, m, 4), ``classes`` int64 (n, m) and ``count`` int64 (n,)."""
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
