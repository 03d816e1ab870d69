"""From the maps of a detector to detections: non-maximum suppression that can be exported."""

from __future__ import annotations

import torch
from torch import Tensor
from torch._higher_order_ops.while_loop import while_loop

from .boxes import Outputs, cells_of, overlap

#: Of two boxes of a class that overlap by more than this, the one with the lower score is dropped.
_SAME = 0.6
#: Boxes that are compared with each other, per detection that may be given, and at most.
_CANDIDATES, _MOST = 4, 1000
#: Images whose boxes are compared at a time, so that the comparisons stay in the cache.
_AT_ONCE = 4
#: Lower scores are no detections.
_LEAST = 0.001


def decode_boxes(outputs: Outputs, most: int) -> tuple[Tensor, Tensor, Tensor]:
    """Detections: boxes (n, k, 4), scores (n, k) and classes (n, k), with k at most ``most``.

    A score is the product of the probabilities of the class and of the box. The boxes with the
    highest scores, four for each detection that may be given, but at most 1,000 (or ``most``), go
    through :func:`kept`; those that remain, at most ``most``, are the detections.

    They are in the order of the maps' cells, not of scores, because nearly equal scores would be
    swapped by rounding. Unused entries, with a score of 0, come last.

    Args:
        outputs: of a detector, see :mod:`archsmith.metric.boxes`.
    """
    cells = cells_of(outputs)
    chances = cells.classes.sigmoid() * cells.quality.sigmoid()[..., None]
    kinds, flat = chances.shape[2], chances.flatten(1)
    limit = min(max(most, min(_MOST, _CANDIDATES * most)), flat.shape[1])
    place = flat.topk(limit, dim=1).indices.sort(dim=1).values
    scores, classes = flat.gather(1, place), place % kinds
    cell = torch.div(place, kinds, rounding_mode="floor")
    boxes = cells.boxes.clamp(0, 1).gather(1, cell[..., None].expand(-1, -1, 4))
    used = kept(boxes, scores, classes) & (scores >= _LEAST)
    # Entries that are not used fill the rest, in order.
    number = torch.arange(limit, device=scores.device)
    chosen = torch.where(used, scores, -1.0 - number / limit)
    chosen = chosen.topk(min(most, limit), dim=1).indices
    chosen = torch.where(used.gather(1, chosen), chosen, chosen + limit).sort(dim=1).values
    used, chosen = chosen < limit, chosen % limit
    boxes = boxes.gather(1, chosen[..., None].expand(-1, -1, 4)) * used[..., None]
    scores, classes = (values.gather(1, chosen) * used for values in (scores, classes))
    return boxes, scores, classes


def kept(boxes: Tensor, scores: Tensor, classes: Tensor) -> Tensor:
    """Which boxes (n, k) remain after greedy non-maximum suppression in each class.

    Greedy suppression takes the best box, drops all that overlap with it by more than 0.6, takes
    the best of the others, and so on; of equal scores, the first. The result is the only set in
    which exactly those boxes are missing that a better box of the set drops. So it can be found by
    repetition: drop what the present set drops until nothing changes, which is after as many steps
    as the longest chain of overlaps has boxes (Cluster NMS, Zheng et al. 2020, arXiv:2005.03572).

    Args:
        boxes: (n, k, 4).
        scores, classes: (n, k).
    """
    if torch.compiler.is_exporting():
        return _fixed_point(boxes, scores, classes)
    few = (torch.split(each, _AT_ONCE) for each in (boxes, scores, classes))
    return torch.cat([_fixed_point(*some) for some in zip(*few, strict=True)])


def _fixed_point(boxes: Tensor, scores: Tensor, classes: Tensor) -> Tensor:
    place = torch.arange(scores.shape[1], device=scores.device)
    ours, theirs = scores[:, :, None], scores[:, None, :]
    better = (ours > theirs) | ((ours == theirs) & (place[:, None] < place))
    same = classes[:, :, None] == classes[:, None, :]
    drops = better & same & (overlap(boxes, boxes) > _SAME)

    def changes(before: Tensor, now: Tensor) -> Tensor:
        return (before != now).any()

    def step(before: Tensor, now: Tensor) -> tuple[Tensor, Tensor]:
        return now.clone(), ~(drops & now[:, :, None]).any(1)

    none = torch.zeros_like(scores, dtype=torch.bool)
    state = none, ~none
    if torch.compiler.is_exporting():
        state = while_loop(changes, step, state)  # type: ignore[no-untyped-call]
    else:
        while changes(*state):
            state = step(*state)
    return state[1]
