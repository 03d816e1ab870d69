"""RegNets: the published ones, their line of widths, and all sizes of image."""

import pytest
import torch
from torch import nn
from train_checks import random_ones_train_a_step
from vision_checks import digits_are_learnt, is_published, runs, size

from archsmith.space import Space
from archsmith.testing.space import SpaceContract
from archsmith.testing.supernet import SupernetContract
from archsmith.zoo.regnet import features, quantised, regnet

SMALL = {"depths": (2, 5), "initial": (8, 16), "slopes": (4.0, 8.0)}
TINY = Space(regnet, channels=2, classes=3, height=8, width=8, **SMALL)


@pytest.mark.slow
class TestRegNet(SpaceContract):
    space, shape, samples = TINY, (1, 2, 8, 8), 4


@pytest.mark.slow
class TestShared(SupernetContract):
    space, shape, samples = TINY, (1, 2, 8, 8), 2


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("regnetx_200mf", 2_684_792),
        ("regnetx_400mf", 5_157_512),
        ("regnetx_800mf", 7_259_656),
        ("regnetx_1600mf", 9_190_136),
        ("regnetx_3200mf", 15_296_552),
        ("regnety_200mf", 3_162_996),
        ("regnety_400mf", 4_344_144),
        ("regnety_800mf", 6_263_168),
        ("regnety_1600mf", 11_202_430),
        ("regnety_3200mf", 19_436_338),
    ],
)
def test_published_networks(name, parameters):
    is_published(name, parameters)


def test_widths_are_those_of_the_paper():
    assert quantised(22, 24, 24.48, 2.54, 16) == [
        (32, 1, 16), (64, 2, 16), (160, 7, 16), (384, 12, 16)
    ]  # fmt: skip
    assert quantised(14, 56, 38.84, 2.4, 16) == [
        (64, 1, 16), (128, 3, 16), (320, 8, 16), (768, 2, 16)
    ]  # fmt: skip


def test_there_are_at_most_four_stages():
    assert quantised(12, 8, 24.0, 1.5, 8) == [(8, 1, 8), (24, 11, 8)]
    assert len(quantised(40, 8, 1.0, 1.5, 8)) == 3
    assert quantised(3, 16, 1.0, 3.0, 48) == [(16, 3, 16)]


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 64, 64), (3, 224, 160), (1, 5, 8)])
def test_images_of_any_size_give_logits(shape):
    runs(Space(regnet, channels=shape[0], classes=7, height=shape[1], width=shape[2]), shape)


def test_the_default_is_small():
    space = Space(regnet, channels=1, classes=10, height=28, width=28)
    model = space.build(space.default(), device="meta")
    assert 0.1e6 < size(model) < 0.6e6
    assert model[:-3](torch.zeros(1, 1, 28, 28, device="meta")).shape == (1, 128, 7, 7)


def test_equal_networks_have_one_form():
    one, two = (TINY.complete({"slope": slope, "depth": 5}) for slope in (5.0, 5.01))
    assert one != two
    assert TINY.canonical(one) == TINY.canonical(two)
    assert TINY.canonical(one) != TINY.canonical(TINY.complete({"slope": 5.0, "depth": 4}))
    assert features(one)["stage1.width"] == 16


def test_excitation_weighs_a_quarter_of_what_comes_in():
    model = TINY.build(TINY.complete({"excitation": "quarter"}), device="meta")
    squeezes = [m for m in model.modules() if isinstance(m, nn.Conv2d) and m.bias is not None]
    assert squeezes[0].out_channels == 4


def test_random_ones_train_a_step():
    random_ones_train_a_step(TINY, (1, 2, 8, 8))


@pytest.mark.slow
def test_digits_are_learnt():
    digits_are_learnt(regnet)
