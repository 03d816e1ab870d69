"""Overlaps, what a detector is to give, and what it found."""

from __future__ import annotations

import pytest
import torch

from archsmith.metric.boxes import (
    boxes_of,
    bumps,
    decode_boxes,
    detection_loss,
    generalised_overlap,
)
from archsmith.metric.boxes import overlap as overlap_of


def test_overlaps_by_hand() -> None:
    one = torch.tensor([[0.0, 0.0, 0.4, 0.4]])
    two = torch.tensor([[0.2, 0.0, 0.6, 0.4], [0.0, 0.0, 0.4, 0.4], [0.6, 0.0, 1.0, 0.4]])
    assert overlap_of(one, two).tolist() == [pytest.approx([1 / 3, 1, 0], abs=1e-6)]
    # The last pair has a gap of a half as wide again as each in the box around both.
    expected = [1 / 3 - 0, 1, 0 - 0.2 / 1.0]
    assert generalised_overlap(one, two).tolist() == pytest.approx(expected, abs=1e-5)


def maps(boxes: torch.Tensor, classes: list[int], grid: int = 8) -> dict[str, torch.Tensor]:
    """What a detector without fault gives for boxes (m, 4)."""
    heat, sides = torch.full((1, 2, grid, grid), -9.0), torch.zeros(1, 4, grid, grid)
    for box, number in zip(boxes, classes, strict=True):
        x, y = (((box[:2] + box[2:]) / 2 * grid).floor().long()).tolist()
        middle = (torch.tensor([x, y]) + 0.5) / grid
        heat[0, number, y, x] = 4.0 - number
        far = torch.cat([middle - box[:2], box[2:] - middle]) * grid
        sides[0, :, y, x] = far.log()
    return {"heat": heat, "sides": sides}


BOXES = torch.tensor([[0.1, 0.15, 0.45, 0.5], [0.5, 0.55, 0.9, 0.7]])


def test_what_is_right_is_found_again() -> None:
    boxes, scores, classes = decode_boxes(**maps(BOXES, [1, 0]), most=64)
    assert boxes.shape == (1, 64, 4)
    right = scores[0] > 0.5
    torch.testing.assert_close(boxes[0, right], BOXES)
    assert classes[0, right].tolist() == [1, 0]


def test_places_that_are_not_used_come_last() -> None:
    heat = torch.arange(32.0).view(1, 2, 4, 4) / 8 - 2
    heat[0, 1, 0, 1], sides = 5.0, torch.rand(1, 4, 4, 4)
    boxes, scores, classes = decode_boxes(heat, sides, most=6)
    # One peak by hand in the first line, and the rising values' last one.
    assert scores[0].tolist() == pytest.approx([0.9933, 0.8670, 0, 0, 0, 0], abs=1e-4)
    assert classes[0].tolist() == [1, 1, 0, 0, 0, 0]
    torch.testing.assert_close(boxes[0, :2], boxes_of(sides)[0, [0, 3], [1, 3]].clamp(0, 1))
    assert not boxes[0, 2:].any()
    assert decode_boxes(heat, sides, most=1)[1].tolist() == [[pytest.approx(0.9933, abs=1e-4)]]


def test_bumps_are_one_at_the_centre_and_wider_for_wider_boxes() -> None:
    bump = bumps(BOXES[None], 16, 16)[0]
    assert bump.flatten(1).max(1).values.tolist() == [1, 1]
    assert bump[0, 5, 4] == 1
    along, down = (bump[1].amax(dim) > 0 for dim in (0, 1))
    assert int(along.sum()) > int(down.sum())
    rim = bumps(torch.tensor([[[0.9, 1.0, 1.0, 1.0]]]), 4, 4)
    assert rim[0, 0, 3, 3] == 1


def test_the_loss_is_least_where_all_is_right() -> None:
    targets = {
        "boxes": torch.cat([BOXES, torch.zeros(1, 4)])[None],
        "classes": torch.tensor([[1, 0, 0]]),
        "count": torch.tensor([2]),
    }
    right = maps(BOXES, [1, 0])
    # Cells beside a centre tell of its box, too.
    bump = bumps(BOXES[None], 8, 8)[0]
    cells = boxes_of(torch.zeros(1, 4, 8, 8))[0]
    middle = (cells[..., :2] + cells[..., 2:]) / 2
    for number, box in enumerate(BOXES):
        far = torch.cat([middle - box[:2], box[2:] - middle], dim=-1) * 8
        mine = (bump[number] > 0) & (bump.argmax(0) == number) & (far > 0).all(-1)
        right["sides"][0, :, mine] = far[mine].log().T
    least = float(detection_loss(**right, targets=targets))
    assert least < 0.1
    assert float(detection_loss(right["heat"], right["sides"] + 0.5, targets)) > least + 0.5
    assert float(detection_loss(right["heat"].flip(1), right["sides"], targets)) > least + 3
    padded = targets | {"boxes": targets["boxes"] + torch.tensor([0, 0, 0.4])[:, None]}
    assert float(detection_loss(**right, targets=padded)) == pytest.approx(least)


def test_the_loss_has_gradients_without_an_object() -> None:
    heat = torch.zeros(2, 3, 4, 4, requires_grad=True)
    sides = torch.zeros(2, 4, 4, 4, requires_grad=True)
    none = {
        "boxes": torch.zeros(2, 1, 4),
        "classes": torch.zeros(2, 1, dtype=torch.int64),
        "count": torch.zeros(2, dtype=torch.int64),
    }
    torch.autograd.backward(detection_loss(heat, sides, none))
    assert heat.grad is not None
    assert bool(heat.grad.isfinite().all())
