"""The space of detectors: two maps at an eighth of the size, whatever is chosen."""

from __future__ import annotations

import random

import pytest
import torch

from archsmith.space import Space
from archsmith.testing.space import SpaceContract
from archsmith.testing.supernet import SupernetContract
from archsmith.zoo import spaces
from archsmith.zoo.detector import detector

SMALL = Space(detector, channels=3, classes=4)


@pytest.mark.slow
class TestDetector(SpaceContract):
    space, shape, samples = SMALL, (1, 3, 32, 48), 4


@pytest.mark.slow
class TestSharedDetector(SupernetContract):
    space, shape, samples = SMALL, (1, 3, 32, 32), 2


@pytest.mark.parametrize(("height", "width"), [(160, 160), (33, 50), (8, 17)])
def test_every_image_size_fits(height: int, width: int) -> None:
    rng = random.Random(0)
    for _ in range(3):
        model = SMALL.build(SMALL.sample(rng), device="meta").eval()
        maps = model(torch.zeros(2, 3, height, width, device="meta"))
        grid = (-(-height // 8), -(-width // 8))
        assert {name: tuple(each.shape) for name, each in maps.items()} == {
            "heat": (2, 4, *grid),
            "sides": (2, 4, *grid),
        }


def test_most_cells_are_no_centre_before_training() -> None:
    model = SMALL.build(SMALL.default(), seed=0).eval()
    chances = model(torch.randn(2, 3, 64, 64))["heat"].detach().sigmoid()
    assert 0.02 < float(chances.mean()) < 0.3


def test_it_is_registered() -> None:
    assert spaces.get("detector") is detector
