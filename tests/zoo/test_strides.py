"""Strides that fit the image."""

import math

import pytest

from archsmith.zoo.strides import LEAST_SIDE, fitted

MOBILE = [2, 1, 2, 2, 2, 1, 2, 1]


@pytest.mark.parametrize(
    ("side", "strides"),
    [
        (600, MOBILE),
        (224, MOBILE),
        (128, MOBILE),
        (64, [1, 1, 2, 2, 2, 1, 2, 1]),
        (32, [1, 1, 1, 2, 2, 1, 2, 1]),
        (28, [1, 1, 1, 1, 2, 1, 2, 1]),
        (8, [1, 1, 1, 1, 1, 1, 2, 1]),
        (7, [1] * 8),
        (1, [1] * 8),
    ],
)
def test_the_first_strides_of_small_images_become_1(side, strides):
    assert fitted(MOBILE, side) == strides


@pytest.mark.parametrize(
    ("side", "strides"), [(224, [4, 2, 2, 2]), (64, [2, 2, 2, 2]), (32, [1, 2, 2, 2])]
)
def test_a_stride_of_4_may_become_2(side, strides):
    assert fitted([4, 2, 2, 2], side) == strides


@pytest.mark.parametrize("least", [1, 4, 7])
@pytest.mark.parametrize("side", range(1, 70))
def test_as_many_pixels_are_left_as_can_be(side, least):
    left = side / math.prod(fitted([2] * 9, side, least))
    assert min(side, least) <= left < max(2 * least, 2)
    assert LEAST_SIDE == 4


def test_the_published_strides_stay_as_they_are():
    published = [2, 2]
    fitted(published, 1)
    assert published == [2, 2]
