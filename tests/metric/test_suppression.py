"""What a detector found: non-maximum suppression against its definition, and its order."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archsmith.metric.boxes import overlap
from archsmith.metric.suppression import decode_boxes, kept

from .test_boxes import BOXES, faultless


def greedy(boxes: torch.Tensor, scores: list[float], classes: list[int]) -> set[int]:
    """The best box that is left, again and again."""
    shared, found = overlap(boxes, boxes).tolist(), list[int]()
    for n in sorted(range(len(scores)), key=lambda n: (-scores[n], n)):
        if all(classes[n] != classes[m] or shared[n][m] <= 0.6 for m in found):
            found.append(n)
    return {*found}


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**31), count=st.integers(1, 70), images=st.integers(1, 9))
def test_it_is_greedy_suppression(seed: int, count: int, images: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    low = 0.4 * torch.rand(images, count, 2, generator=generator)
    size = 0.1 + 0.3 * torch.rand(images, count, 2, generator=generator)
    boxes = torch.cat([low, low + size], -1)
    # With equal scores among them.
    scores = torch.randint(0, 30, (images, count), generator=generator) / 30
    classes = torch.randint(0, 2, (images, count), generator=generator)
    given = kept(boxes, scores, classes)
    for n in range(images):
        expected = greedy(boxes[n], scores[n].tolist(), classes[n].tolist())
        assert {*given[n].nonzero().flatten().tolist()} == expected


def test_a_chain_is_followed_to_its_end() -> None:
    # Each box overlaps with the next one alone: every second one remains.
    low = torch.arange(20) * 0.02
    boxes = torch.stack([low, torch.zeros(20), low + 0.1, torch.ones(20)], -1)[None]
    scores = torch.linspace(0.9, 0.1, 20)[None]
    same = torch.zeros(1, 20, dtype=torch.int64)
    assert kept(boxes, scores, same)[0].tolist() == [n % 2 == 0 for n in range(20)]
    assert kept(boxes, scores, torch.arange(20)[None]).all()


@pytest.mark.parametrize("grids", [(8,), (16, 8), (16, 8, 4)])
def test_what_is_right_is_found_again(grids: tuple[int, ...]) -> None:
    maps = faultless(BOXES, [1, 0], grids)
    boxes, scores, classes = decode_boxes(maps, most=64)
    assert boxes.shape == (1, 64, 4)
    right = scores[0] > 0.5
    torch.testing.assert_close(boxes[0, right], BOXES)
    assert classes[0, right].tolist() == [1, 0]
    assert not scores[0, 2:].any()


def test_places_that_are_not_used_come_last() -> None:
    maps = torch.full((2, 7, 4, 4), -12.0)
    maps[0, 1, 3, 3], maps[0, 0, 0, 1], maps[0, 2] = 5.0, 2.0, 5.0
    boxes, scores, classes = decode_boxes(maps, most=6)
    best = (torch.tensor([2.0, 5.0]).sigmoid() * torch.tensor(5.0).sigmoid()).tolist()
    assert scores[0].tolist() == pytest.approx([*best, 0, 0, 0, 0], abs=1e-5)
    assert classes[0].tolist() == [0, 1, 0, 0, 0, 0]
    assert boxes[0, :2].any(1).all()
    assert not boxes[0, 2:].any()
    assert not scores[1].any()
    (found,) = decode_boxes(maps[:1], most=1)[1]
    assert found.tolist() == [pytest.approx(best[1])]
    # A cell can have an object of each class.
    maps[0, 0, 3, 3] = 4.0
    assert decode_boxes(maps, most=6)[2][0].tolist() == [0, 0, 1, 0, 0, 0]
