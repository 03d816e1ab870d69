"""The space of detectors: maps for each level, whatever is chosen."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
import torch

from archsmith.metric.boxes import EXTRA
from archsmith.space import Space
from archsmith.testing.space import SpaceContract
from archsmith.testing.supernet import SupernetContract
from archsmith.zoo import spaces
from archsmith.zoo.backbone import BACKBONES
from archsmith.zoo.detector import detector, plain_fcos

SMALL = Space(detector, channels=3, classes=4, height=32, width=48, backbones=("convnet",))


@pytest.mark.slow
class TestDetector(SpaceContract):
    space, shape, samples = SMALL, (1, 3, 32, 48), 4


@pytest.mark.slow
class TestSharedDetector(SupernetContract):
    space, shape, samples = SMALL, (1, 3, 32, 48), 2


def expect_levels(maps: list[torch.Tensor], count: int, classes: int) -> None:
    """Each level has half of the height and width of the one before."""
    assert [each.shape[:2] for each in maps] == [(2, classes + EXTRA)] * count
    for fine, coarse in pairwise(maps):
        for dim in (2, 3):
            assert abs(fine.shape[dim] / 2 - coarse.shape[dim]) <= 1


@pytest.mark.parametrize("finest", [4, 8])
@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_has_the_levels_that_are_asked(name: str, finest: int) -> None:
    space = Space(detector, channels=3, classes=2, height=160, width=160)
    asked = {"backbone": name, "pyramid.finest": finest, "pyramid.levels": 3}
    model = space.build(space.complete(asked), device="meta").eval()
    maps = model(torch.zeros(2, 3, 160, 160, device="meta"))
    expect_levels(maps, 3, 2)
    assert maps[0].shape[2] == pytest.approx(160 / finest, abs=2)


@pytest.mark.parametrize(("height", "width"), [(160, 160), (33, 50), (64, 320)])
def test_every_image_size_fits(height: int, width: int) -> None:
    rng, space = (
        random.Random(0),
        Space(detector, channels=1, classes=4, height=height, width=width),
    )
    for _ in range(3):
        architecture = space.sample(rng)
        model = space.build(architecture, device="meta").eval()
        maps = model(torch.zeros(2, 1, height, width, device="meta"))
        expect_levels(maps, int(architecture["pyramid.levels"]), 4)


def test_a_network_by_hand_has_three_levels() -> None:
    with torch.device("meta"):
        model = plain_fcos(3, 5, 160, 160, scale=0.5).eval()
        maps = model(torch.zeros(2, 3, 160, 160))
    expect_levels(maps, 3, 5)
    assert maps[0].shape[2:] == (20, 20)


def test_most_cells_have_no_object_before_training() -> None:
    torch.manual_seed(0)
    for model in (SMALL.build(SMALL.default(), seed=0), plain_fcos(3, 4)):
        for each in model.eval()(torch.randn(2, 3, 64, 64)):
            chances = each.detach()[:, :4].sigmoid()
            assert 0.003 < float(chances.mean()) < 0.03


def test_it_is_registered() -> None:
    assert spaces.get("detector") is detector
