"""Average precision of detections, as COCO defines it (Lin et al. 2014, arXiv:1405.0312).

Precision at 101 recalls, averaged over classes, for objects of all sizes. Values are those of
COCO's own program (``pycocotools``), whose order decides between equal scores and overlaps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: Overlaps from which a detection counts as correct; the mean over them is the mAP.
OVERLAPS = np.linspace(0.5, 0.95, 10)
_RECALLS = np.linspace(0, 1, 101)
#: The best detections of a class in an image that are evaluated.
_MOST = 100


@dataclass(frozen=True)
class Seen:
    """Detections and true objects of one image.

    Attributes:
        boxes: (k, 4) of detections, with ``scores`` (k,) and ``classes`` (k,).
        true_boxes: (g, 4), with ``true_classes`` (g,).
    """

    boxes: Floats
    scores: Floats
    classes: NDArray[np.int64]
    true_boxes: Floats
    true_classes: NDArray[np.int64]


def average_precision(seen: Sequence[Seen], classes: int) -> Floats:
    """Average precision (overlaps, classes), from 0 to 1; NaN for classes that no image has."""
    precision = np.full((len(OVERLAPS), classes), np.nan)
    for number in range(classes):
        total, scores, right = 0, [], []
        for image in seen:
            mine, truth = image.classes == number, image.true_classes == number
            total += int(truth.sum())
            order = np.argsort(-image.scores[mine], kind="stable")[:_MOST]
            scores.append(image.scores[mine][order])
            right.append(_match(image.boxes[mine][order], image.true_boxes[truth]))
        if total:
            order = np.argsort(-np.concatenate(scores), kind="stable")
            hits = np.concatenate(right)[order]
            precision[:, number] = [_mean_precision(column, total) for column in hits.T]
    return precision


def overlaps(one: Floats, two: Floats) -> Floats:
    """Intersection over union (a, b) of boxes (a, 4) and (b, 4)."""
    low = np.maximum(one[:, None, :2], two[None, :, :2])
    high = np.minimum(one[:, None, 2:], two[None, :, 2:])
    shared = (high - low).clip(min=0).prod(-1)
    sizes = [(boxes[:, 2:] - boxes[:, :2]).prod(-1) for boxes in (one, two)]
    ratios: Floats = shared / np.maximum(sizes[0][:, None] + sizes[1][None] - shared, 1e-12)
    return ratios


def _match(boxes: Floats, truth: Floats) -> NDArray[np.bool_]:
    """Whether each box (k,), best first, is correct at each overlap: (k, overlaps).

    Each is matched to the object with the largest overlap among those not matched before, the last
    of several.
    """
    right = np.zeros((len(boxes), len(OVERLAPS)), dtype=bool)
    if not len(truth):
        return right
    free = np.ones((len(OVERLAPS), len(truth)), dtype=bool)
    levels, last = np.arange(len(OVERLAPS)), len(truth) - 1
    for place, covered in enumerate(overlaps(boxes, truth)):
        open_to = np.where(free & (covered >= OVERLAPS[:, None]), covered, -1.0)
        best = last - open_to[:, ::-1].argmax(1)
        right[place] = open_to[levels, best] >= 0
        free[levels, best] &= ~right[place]
    return right


def _mean_precision(right: NDArray[np.bool_], total: int) -> float:
    """The mean precision at 101 recalls, for detections in order of their scores."""
    hits = np.cumsum(right)
    precision = hits / np.arange(1, len(right) + 1)
    # At each recall, the best precision at that recall or a higher one.
    best = np.maximum.accumulate(precision[::-1])[::-1]
    place = np.searchsorted(hits / total, _RECALLS, side="left")
    return float(np.append(best, 0.0)[np.minimum(place, len(best))].mean())
