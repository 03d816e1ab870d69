"""The parts of detection: targets, their augmentation, a meter, and the deployed module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..data.boxes import Boxed
from ..data.splits import Batch
from ..metric.boxes import area, detection_loss
from ..metric.precision import OVERLAPS, Seen, average_precision
from ..metric.suppression import decode_boxes
from .cutmix import patched
from .values import Meter

#: An object that augmentation moves across the image border stays a target if at least this share
#: of it is still visible.
_MIN_VISIBLE = 0.3
#: How far augmentation enlarges or reduces an image at most, and shifts it, as a share of its side.
_ZOOM, _SHIFT = 4 / 3, 1 / 8


class Deployed(nn.Module):
    """Raw images and their sizes to boxes in pixels, scores and classes."""

    def __init__(self, normalise: nn.Module, model: nn.Module, most: int) -> None:
        super().__init__()
        self.normalise, self.model, self.most = normalise, model, most

    def forward(self, images: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        boxes, scores, classes = decode_boxes(self.model(self.normalise(images)), self.most)
        return boxes * sizes.repeat(1, 2)[:, None].float(), scores, classes


class DetectionMeter(Meter):
    """``map``, COCO's average precision at 101 recalls, averaged over classes and over overlaps
    (intersection over union) from 0.5 to 0.95; ``map50``, the same at an overlap of 0.5; the
    average precision of each class, over the overlaps; and the mean loss.

    Args:
        classes: number of classes; a class that no image contains is left out.
        most: highest number of detections per image; 100 of a class are evaluated.
        names: of the classes whose own precision is given, as ``ap_car``.
    """

    def __init__(self, classes: int, most: int, names: Sequence[str] = ()) -> None:
        self.classes, self.most, self.names = classes, most, names
        self.images: list[Seen] = []
        self.loss = 0.0

    def update(self, outputs: Any, targets: Any) -> None:
        self.loss += float(detection_loss(outputs, targets)) * len(targets["count"])
        predictions = [tensor.cpu().numpy() for tensor in decode_boxes(outputs, self.most)]
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
        own = {
            f"ap_{name.replace(' ', '_')}": float(precisions[:, number].mean())
            for number, name in enumerate(self.names)
            if present[number]
        }
        return {
            "map": float(by_overlap.mean()),
            "map50": float(by_overlap[0]),
            "loss": self.loss / max(1, len(self.images)),
            **own,
        }


def augmented(
    images: Tensor,
    targets: Mapping[str, Tensor],
    noise: torch.Generator,
    mirror: bool,
    turn: bool,
) -> Batch:
    """Images enlarged or reduced by up to a third, shifted by up to an eighth (border pixels
    repeated), mirrored and turned upside down, together with their boxes. An object that is moved
    out of the image is no longer a target."""
    count, device = len(images), images.device
    drawn = torch.rand(5, count, generator=noise, device=device)
    zoom = _ZOOM ** (2 * drawn[0] - 1)
    flip = torch.stack([(drawn[3] < 0.5) & mirror, (drawn[4] < 0.5) & turn], dim=1)
    # A place p of the result, as a share of each side, shows the place factor * p + start.
    factor = torch.where(flip, -1.0, 1.0) * zoom[:, None]
    shift = (2 * drawn[1:3].T - 1) * _SHIFT
    start = 0.5 + shift - factor / 2
    # The grid has -1 and 1 for the ends of a side.
    theta = torch.zeros(count, 2, 3, device=device)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = factor[:, 0], factor[:, 1], 2 * shift
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    corners = targets["boxes"].view(count, -1, 2, 2)
    corners = (corners - start[:, None, None]) / factor[:, None, None]
    whole = torch.cat([corners.amin(-2), corners.amax(-2)], dim=-1)
    cut = whole.clamp(0, 1)
    visible = _present(targets) & (area(cut) > _MIN_VISIBLE * area(whole))
    return Batch(moved, _kept(cut, targets["classes"], visible))


def pasted(batch: Batch, noise: torch.Generator) -> Batch:
    """Images with the same rectangle of another image of the batch in each (CutMix; Yun et al.
    2019, arXiv:1905.04899), with what is visible of the boxes of both."""
    images, targets = batch.inputs, batch.targets
    patch, others = patched(images, noise)
    sides = [_span(patch.any(1 - axis)) for axis in (1, 0)]
    first, last = (torch.stack(ends) for ends in zip(*sides, strict=True))
    own, new = targets["boxes"], targets["boxes"][others]
    inside = [
        torch.cat([boxes[..., :2].clamp(first, last), boxes[..., 2:].clamp(first, last)], -1)
        for boxes in (own, new)
    ]
    present = _present(targets)
    other = (others != torch.arange(len(others), device=others.device))[:, None]
    left = area(own) - area(inside[0]) * other
    stays = present & (left > _MIN_VISIBLE * area(own))
    comes = present[others] & other & (area(inside[1]) > _MIN_VISIBLE * area(new))
    kept = _kept(
        torch.cat([own, inside[1]], 1),
        torch.cat([targets["classes"], targets["classes"][others]], 1),
        torch.cat([stays, comes], 1),
    )
    return Batch(torch.where(patch, images[others], images), kept)


def _span(marks: Tensor) -> tuple[Tensor, Tensor]:
    """Beginning and end of what is marked (size,), as shares of the size; 0 and 0 for nothing."""
    places = torch.arange(len(marks), device=marks.device)
    end = torch.where(marks, places + 1, 0).amax()
    return torch.where(marks, places, end).amin() / len(marks), end / len(marks)


def _present(targets: Mapping[str, Tensor]) -> Tensor:
    """Which boxes (n, m) are no padding."""
    places = torch.arange(targets["boxes"].shape[1], device=targets["count"].device)
    return places < targets["count"][:, None]


def _kept(boxes: Tensor, classes: Tensor, present: Tensor) -> dict[str, Tensor]:
    """Targets with the present boxes first."""
    order = (~present).to(torch.int8).argsort(dim=1, stable=True)
    return {
        "boxes": boxes.gather(1, order[..., None].expand_as(boxes)),
        "classes": classes.gather(1, order),
        "count": present.sum(1),
    }


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
