"""Overlaps, which cells belong to an object, and the loss of a detector, against cases by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from archsmith.metric.boxes import (
    assigned,
    boxes_of,
    cells_of,
    detection_loss,
    generalised_overlap,
)
from archsmith.metric.boxes import overlap as overlap_of


def test_overlaps_by_hand() -> None:
    one = torch.tensor([[0.0, 0.0, 0.4, 0.4]])
    two = torch.tensor([[0.2, 0.0, 0.6, 0.4], [0.0, 0.0, 0.4, 0.4], [0.6, 0.0, 1.0, 0.4]])
    assert overlap_of(one, two).tolist() == [pytest.approx([1 / 3, 1, 0], abs=1e-6)]
    # The last pair has a gap of half the width of each in the box around both.
    expected = [1 / 3 - 0, 1, 0 - 0.2 / 1.0]
    assert generalised_overlap(one, two).tolist() == pytest.approx(expected, abs=1e-5)


def owners(*boxes: list[float], sizes: Any, count: int | None = None) -> list[list[list[int]]]:
    """The owner of each cell, a list of lines for each map, of boxes in cells of the finest map."""
    finest = torch.tensor([sizes[0][1], sizes[0][0]] * 2)
    given = torch.tensor(boxes) / finest
    number = torch.tensor([len(boxes) if count is None else count])
    owner = assigned(given[None], number, sizes)[0]
    areas = [height * width for height, width in sizes]
    maps = zip(owner.split(areas), sizes, strict=True)
    return [each.view(size).tolist() for each, size in maps]


def test_the_cells_around_a_centre_are_of_an_object() -> None:
    (grid,) = owners([1, 1.2, 6, 5], sizes=[(6, 8)])
    # The centre is (3.5, 3.1): the middles of columns 2 to 4 and lines 2 to 4 are near.
    here = [[0 if x in (2, 3, 4) and y in (2, 3, 4) else -1 for x in range(8)] for y in range(6)]
    assert grid == here
    # What is smaller than a cell has the cell of its centre, although no middle is inside.
    (grid,) = owners([2.6, 1.7, 2.9, 1.9], sizes=[(4, 4)])
    assert [(y, x) for y in range(4) for x in range(4) if grid[y][x] == 0] == [(1, 2)]
    # A centre on the border of the image is in the last cell.
    (grid,) = owners([3.9, 4, 4, 4], sizes=[(4, 4)])
    assert [(y, x) for y in range(4) for x in range(4) if grid[y][x] == 0] == [(3, 3)]
    (grid,) = owners([0, 0, 4, 4], [0, 0, 2, 2], sizes=[(4, 4)], count=0)
    assert {cell for row in grid for cell in row} == {-1}


@pytest.mark.parametrize(
    ("side", "level"), [(0.3, 0), (8.0, 0), (8.2, 1), (16, 1), (16.5, 2), (60, 2)]
)
def test_the_longer_side_decides_the_map(side: float, level: int) -> None:
    maps = owners([1, 3, 1 + side, 4], sizes=[(64, 64), (32, 32), (16, 16)])
    there = [any(0 in row for row in grid) for grid in maps]
    assert there == [number == level for number in range(3)]
    (one,) = owners([1, 3, 1 + side, 4], sizes=[(64, 64)])
    assert any(0 in row for row in one)


def test_of_several_objects_the_smallest_has_a_cell() -> None:
    # Both have the cell (2, 2) as their centre; around it the smaller one reaches less far.
    (grid,) = owners([0, 0, 5, 5], [1.6, 1.6, 3.4, 3.4], sizes=[(5, 5)])
    assert grid[2] == [-1, 0, 1, 0, -1]
    # Another centre keeps its cell, though a smaller object reaches over it.
    (grid,) = owners([0, 0, 5, 5], [2.0, 0.0, 6.0, 3.0], sizes=[(5, 8)])
    assert grid[2][2] == 0
    assert grid[1][4] == 1


def targets(boxes: torch.Tensor, classes: list[int]) -> dict[str, torch.Tensor]:
    return {
        "boxes": torch.cat([boxes, torch.rand(1, 4)])[None],
        "classes": torch.tensor([[*classes, 0]]),
        "count": torch.tensor([len(classes)]),
    }


BOXES = torch.tensor([[0.1, 0.15, 0.45, 0.5], [0.5, 0.55, 0.9, 0.7]])


def faultless(boxes: torch.Tensor, classes: list[int], grids: Any, kinds: int = 2) -> list[Any]:
    """What a detector without fault gives: sure of all, exact boxes wherever there are some."""
    sizes = [(grid, grid) for grid in grids]
    owner = assigned(boxes[None], torch.tensor([len(boxes)]), sizes)[0]
    maps = []
    for grid, mine in zip(grids, owner.split([grid * grid for grid in grids]), strict=True):
        each = torch.full((1, kinds + 5, grid, grid), -9.0)
        middle = cells_of(torch.zeros(1, kinds + 5, grid, grid)).boxes[0]
        middle = (middle[:, :2] + middle[:, 2:]) / 2
        for cell in (mine >= 0).nonzero().flatten().tolist():
            box, (y, x) = boxes[mine[cell]], divmod(cell, grid)
            far = torch.cat([middle[cell] - box[:2], box[2:] - middle[cell]]) * grid
            each[0, classes[int(mine[cell])], y, x] = 9.0
            each[0, kinds, y, x] = 9.0
            each[0, -4:, y, x] = far.clamp(min=1e-3).log()
        maps.append(each)
    return maps


def test_the_loss_is_least_where_all_is_right() -> None:
    wanted = targets(BOXES, [1, 0])
    right = faultless(BOXES, [1, 0], (16, 8))
    least = float(detection_loss(right, wanted))
    assert least < 0.01
    other = [each.clone() for each in right]
    other[0][:, -4:] += 0.5
    assert float(detection_loss(other, wanted)) > least + 0.3
    swapped = faultless(BOXES, [0, 1], (16, 8))
    assert float(detection_loss(swapped, wanted)) > least + 3
    unsure = [each.clone() for each in right]
    unsure[0][:, 2] = -3.0
    assert float(detection_loss(unsure, wanted)) > least + 2
    again = wanted | {"boxes": torch.cat([wanted["boxes"][:, :2], torch.ones(1, 1, 4)], 1)}
    assert float(detection_loss(right, again)) == pytest.approx(least)


def test_the_loss_by_hand() -> None:
    # One map of one cell, one class: the box is that of the cell, the object its left half.
    outputs = torch.zeros(1, 6, 1, 1)
    outputs[:, -4:] = math.log(0.5)
    wanted = {
        "boxes": torch.tensor([[[0.0, 0.0, 0.5, 1.0]]]),
        "classes": torch.zeros(1, 1, dtype=torch.int64),
        "count": torch.ones(1, dtype=torch.int64),
    }
    # A half: focal 0.25 * 0.5^2 * log 2, 1 - GIoU 0.5, and a quality of 0.5 for an overlap of 0.5.
    expected = 0.0625 * math.log(2) + 0.5 + math.log(2)
    assert float(detection_loss(outputs, wanted)) == pytest.approx(expected, rel=1e-5)
    empty = wanted | {"count": torch.zeros(1, dtype=torch.int64)}
    expected = 0.75 * 0.25 * math.log(2)
    assert float(detection_loss(outputs, empty)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("size", [0.0, 3.0, 60.0, -60.0])
def test_gradients_are_finite(size: float) -> None:
    generator = torch.Generator().manual_seed(0)
    maps = [size * torch.randn(3, 8, grid, grid, generator=generator) for grid in (8, 4)]
    for each in maps:
        each.requires_grad_()
    corners = torch.rand(3, 4, 2, 2, generator=generator)
    wanted = {
        "boxes": torch.cat([corners.amin(-2), corners.amax(-2)], -1),
        "classes": torch.randint(0, 3, (3, 4), generator=generator),
        "count": torch.tensor([4, 0, 1]),
    }
    loss = detection_loss(maps, wanted)
    torch.autograd.backward(loss)
    assert bool(loss.isfinite())
    assert all(bool(each.grad.isfinite().all()) for each in maps if each.grad is not None)


def test_boxes_are_distances_from_the_middle_of_a_cell() -> None:
    sides = torch.tensor([0.5, 1.5, 2.5, 1.0]).log().view(1, 4, 1, 1).expand(1, 4, 4, 8)
    # The cell in line 2, column 3 has its middle at 3.5 of 8 and 2.5 of 4.
    expected = [3 / 8, 1 / 4, 6 / 8, 3.5 / 4]
    assert boxes_of(sides)[0, 2, 3].tolist() == pytest.approx(expected)
