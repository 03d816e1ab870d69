"""Boxes: their overlap, and the targets and loss of a detector.

The detector has no anchors, as in FCOS (Tian et al. 2019, arXiv:1904.01355). It gives a map, or a
sequence of maps, the finest first, (n, classes + 5, h, w) each. For each cell these are

- the logit of each class: whether the cell belongs to an object of it;
- the logit of the quality of its box: the overlap with the object's that is to be expected;
- four log distances, in cells, from the middle of the cell to the left, upper, right and lower side
  of the object's box.

Boxes are xmin, ymin, xmax, ymax as fractions of the image's width and height. Stretching an axis
changes neither these nor any overlap, so no image size is needed here, and no stride of a map.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

#: Outputs of a cell beside its classes: a quality and four distances.
EXTRA = 5
#: Objects belong to the finest map on which their longer side has at most so many cells.
_LONGEST = 8.0
#: Cells around the centre of an object that belong to it, along each axis.
_AROUND = 1.5
#: Of the focal loss: how much less certain cells count, and the weight of objects; as published.
_FOCUS, _BALANCE = 2.0, 0.25
#: Limit on log distances, in cells.
_FARTHEST = 6.0

#: What a detector gives.
Outputs = Tensor | Sequence[Tensor]


class Cells(NamedTuple):
    """The outputs of all cells of all maps: boxes (n, p, 4), logits of the classes (n, p, classes)
    and of the quality (n, p), as float32."""

    boxes: Tensor
    classes: Tensor
    quality: Tensor


def maps_of(outputs: Outputs) -> Sequence[Tensor]:
    """The maps of a detector, the finest first."""
    return [outputs] if isinstance(outputs, Tensor) else outputs


def cells_of(outputs: Outputs) -> Cells:
    """The cells of all maps, line by line, the finest map first."""
    maps = [each.float() for each in maps_of(outputs)]
    boxes = torch.cat([boxes_of(each[:, -4:]).flatten(1, 2) for each in maps], 1)
    rest = torch.cat([each[:, :-4].flatten(2) for each in maps], 2).transpose(1, 2)
    return Cells(boxes, rest[..., :-1], rest[..., -1])


def area(boxes: Tensor) -> Tensor:
    """Areas (...) of boxes (..., 4); 0 for inverted boxes."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1)


def overlap(one: Tensor, two: Tensor) -> Tensor:
    """Intersection over union of each box (..., a, 4) with each (..., b, 4): (..., a, b)."""
    return paired_overlap(one[..., :, None, :], two[..., None, :, :])


def paired_overlap(one: Tensor, two: Tensor) -> Tensor:
    """Intersection over union (...) of boxes (..., 4) in pairs."""
    shared = _shared(one, two)
    return shared / (area(one) + area(two) - shared).clamp(min=1e-9)


def generalised_overlap(one: Tensor, two: Tensor) -> Tensor:
    """GIoU, from -1 to 1, of boxes (..., 4) in pairs: (...) (Rezatofighi et al. 2019,
    arXiv:1902.09630). Unlike the overlap it has a gradient for disjoint boxes."""
    shared = _shared(one, two)
    union = (area(one) + area(two) - shared).clamp(min=1e-9)
    low, high = torch.minimum(one, two)[..., :2], torch.maximum(one, two)[..., 2:]
    around = (high - low).clamp(min=0).prod(-1).clamp(min=1e-9)
    return shared / union - (around - union) / around


def _shared(one: Tensor, two: Tensor) -> Tensor:
    low, high = torch.maximum(one, two)[..., :2], torch.minimum(one, two)[..., 2:]
    return (high - low).clamp(min=0).prod(-1)


def _middles(height: int, width: int, device: torch.device) -> Tensor:
    """The middles of a map's cells, (h, w, 2), as x and y in cells."""
    y, x = (torch.arange(side, device=device) + 0.5 for side in (height, width))
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)


def boxes_of(sides: Tensor) -> Tensor:
    """Boxes (n, h, w, 4) from log distances (n, 4, h, w), in cells, from the middle of each cell to
    the left, upper, right and lower side."""
    height, width = sides.shape[2:]
    far = sides.float().clamp(-_FARTHEST, _FARTHEST).exp().permute(0, 2, 3, 1)
    middle = _middles(height, width, sides.device)
    size = torch.tensor([width, height], dtype=torch.float32, device=sides.device)
    return torch.cat([(middle - far[..., :2]) / size, (middle + far[..., 2:]) / size], dim=-1)


def assigned(boxes: Tensor, count: Tensor, sizes: Sequence[tuple[int, int]]) -> Tensor:
    """The object that each cell belongs to: indices (n, p), -1 for none.

    An object belongs to the finest map on which its longer side has at most 8 cells, or else to the
    coarsest. There it has the cells inside its box whose middle is up to 1.5 cells from its centre,
    and always the one that the centre is in. Of several objects that claim a cell, one whose centre
    is in it goes first, then the smallest.

    Args:
        boxes: (n, m, 4), of which the first ``count`` (n,) of each image are objects.
        sizes: height and width of each map, the finest first.
    """
    ends = [torch.tensor([width, height], device=boxes.device) for height, width in sizes]
    low, high = boxes[..., None, :2], boxes[..., None, 2:]
    sides = [((high - low) * end).amax(-1) for end in ends[:-1]]
    level = torch.cat([*sides, torch.zeros_like(low[..., 0])], -1).gt(_LONGEST).sum(-1)
    level = level.where(torch.arange(boxes.shape[1], device=boxes.device) < count[:, None], -1)
    costs = []
    for number, (size, end) in enumerate(zip(sizes, ends, strict=True)):
        middle = _middles(*size, boxes.device).flatten(0, 1)
        centre = (low + high) / 2 * end
        # The centre of an object at the image border may be on it.
        home = (middle.floor() == torch.minimum(centre.floor(), end - 1.0).clamp(min=0)).all(-1)
        inside = ((middle > low * end) & (middle < high * end)).all(-1)
        near = inside & ((middle - centre).abs().amax(-1) < _AROUND)
        cost = area(boxes)[..., None] + 2.0 * ~home  # areas are at most 1
        costs.append(cost.where((home | near) & (level == number)[..., None], torch.inf))
    least, owner = torch.cat(costs, -1).min(1)
    return owner.where(least.isfinite(), -1)


def detection_loss(outputs: Outputs, targets: Mapping[str, Tensor]) -> Tensor:
    """The loss of FCOS, a scalar: focal loss of the classes (Lin et al. 2017, arXiv:1708.02002),
    1 - GIoU of the boxes, and the cross entropy of their quality with the overlap that they have
    (Wu et al. 2019, arXiv:1912.05992); the sum over cells by the number of cells with an object.

    Args:
        outputs: of a detector, as the module describes.
        targets: ``boxes`` (n, m, 4), ``classes`` (n, m); only the first ``count`` (n,) are valid.
    """
    cells = cells_of(outputs)
    boxes = targets["boxes"].float()
    sizes = [(each.shape[2], each.shape[3]) for each in maps_of(outputs)]
    owner = assigned(boxes, targets["count"], sizes)
    there, owner = owner >= 0, owner.clamp(min=0)
    goal = boxes.gather(1, owner[..., None].expand(-1, -1, 4))
    number = targets["classes"].gather(1, owner)
    wanted = F.one_hot(number, cells.classes.shape[2]) * there[..., None]
    found = paired_overlap(cells.boxes.detach(), goal)
    quality = F.binary_cross_entropy_with_logits(cells.quality, found, reduction="none")
    placed = 1 - generalised_overlap(cells.boxes, goal) + quality
    return (_focal(cells.classes, wanted) + (placed * there).sum()) / there.sum().clamp(min=1)


def _focal(logits: Tensor, wanted: Tensor) -> Tensor:
    chance = logits.sigmoid()
    hit = _BALANCE * (1 - chance) ** _FOCUS * F.logsigmoid(logits)
    miss = (1 - _BALANCE) * chance**_FOCUS * F.logsigmoid(-logits)
    return -torch.where(wanted > 0, hit, miss).sum()
