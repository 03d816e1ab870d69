"""The widths of Channel-Bench-Macro's ResNet."""

import pytest
from torch import nn
from train_checks import random_ones_train_a_step

from archsmith._support.errors import SpaceError
from archsmith.space import Space
from archsmith.testing.space import SpaceContract
from archsmith.zoo.channel_bench import WIDTHS, channel_bench, from_digits, to_digits

SMALL = Space(channel_bench, channels=2, classes=4, width=2)


class TestChannelBench(SpaceContract):
    space, shape = SMALL, (1, 2, 8, 8)


@pytest.mark.slow
def test_there_are_4_to_the_7th_architectures():
    assert SMALL.size().count == 4**7
    architectures = set(SMALL.enumerate())
    assert {from_digits(to_digits(a, width=2), width=2) for a in architectures} == architectures


def test_digits_are_the_widths_of_the_published_listing():
    architecture = from_digits("1432143")
    assert list(architecture.values()) == [64, 256, 192, 256, 128, 512, 384]
    model = Space(channel_bench, channels=3, classes=10).build(architecture, device="meta")
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert [c.out_channels for c in convolutions] == [
        64,
        256,
        64,
        192,
        64,
        256,
        128,
        512,
        128,
        384,
        128,
    ]
    assert [c.stride[0] for c in convolutions] == [2, 1, 1, 1, 1, 2, 1, 1, 1, 1, 1]
    assert [m.residual for m in model if hasattr(m, "residual")] == [True, True, False, True, True]


@pytest.mark.parametrize("text", ["", "123412", "12341234", "1234120", "12341 2", "1234125"])
def test_other_digits_are_refused(text):
    with pytest.raises(SpaceError, match="7 digits from 1 to 4"):
        from_digits(text)


def test_other_widths_are_refused():
    with pytest.raises(SpaceError, match="block3: expected one of 128, 256, 384, 512, got 64"):
        to_digits({**from_digits("1111111"), "block3": 64})
    with pytest.raises(SpaceError, match=r"block5.*no answer"):
        to_digits(dict.fromkeys(WIDTHS[:3], 64) | dict.fromkeys(WIDTHS[3:-1], 128))


def test_random_ones_train_a_step():
    random_ones_train_a_step(SMALL, (1, 2, 8, 8))
