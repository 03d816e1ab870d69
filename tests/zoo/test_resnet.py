"""Residual networks: the published ones, and all sizes of image."""

import math

import pytest
import torch
from torch import nn
from train_checks import random_ones_train_a_step
from vision_checks import digits_are_learnt, is_published, runs, size

from archsmith.space import Space
from archsmith.testing.space import SpaceContract
from archsmith.testing.supernet import SupernetContract
from archsmith.zoo.named import architectures
from archsmith.zoo.references import resnet18, resnet20
from archsmith.zoo.resnet import resnet

SMALL = {"depths": (1, 2), "widths": (4, 8)}
TINY = Space(resnet, channels=2, classes=3, height=8, width=8, **SMALL)


@pytest.mark.slow
class TestResNet(SpaceContract):
    space, shape, samples = TINY, (1, 2, 8, 8), 4


@pytest.mark.slow
class TestShared(SupernetContract):
    space, shape, samples = TINY, (1, 2, 8, 8), 2


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("resnet18", 11_689_512),
        ("resnet34", 21_797_672),
        ("resnet50", 25_557_032),
        ("resnet50_d", 25_576_264),
        ("resnet101", 44_549_160),
        ("resnet152", 60_192_808),
        ("resnext50_32x4d", 25_028_904),
        ("wide_resnet50_2", 68_883_240),
        ("resnet20", 269_722),
        ("resnet32", 464_154),
        ("resnet44", 658_586),
        ("resnet56", 853_018),
        ("resnet110", 1_727_962),
        ("wrn16_4", 2_748_890),
        ("wrn28_10", 36_479_194),
    ],
)
def test_published_networks(name, parameters):
    is_published(name, parameters)


@pytest.mark.parametrize(
    ("name", "reference", "form"),
    [("resnet18", resnet18, {"classes": 10}), ("resnet20", resnet20, {})],
)
def test_they_are_the_references_for_cifar(name, reference, form):
    space, architecture = architectures.get(name).within(height=32, width=32, **form)
    with torch.device("meta"):
        expected = [p.shape for p in reference(3, 10).parameters()]
    assert [p.shape for p in space.build(architecture, device="meta").parameters()] == expected


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 64, 64), (3, 224, 160), (1, 5, 8)])
def test_images_of_any_size_give_logits(shape):
    runs(Space(resnet, channels=shape[0], classes=7, height=shape[1], width=shape[2]), shape)


def test_the_default_is_resnet20():
    space = Space(resnet, channels=1, classes=10, height=28, width=28)
    assert size(space.build(space.default(), device="meta")) == 272_186


def test_small_images_are_halved_less_often():
    space = Space(resnet, channels=1, classes=3, height=8, width=8)
    model = space.build(space.default(), device="meta")
    assert model[:-3](torch.zeros(1, 1, 8, 8, device="meta")).shape[2:] == (4, 4)


def test_few_channels_have_few_groups():
    answers = {"block": "bottleneck", "block.bottleneck.groups": 32, "block.bottleneck.ratio": 0.5}
    model = TINY.build(TINY.complete(answers), device="meta")
    grouped = [m for m in model.modules() if isinstance(m, nn.Conv2d) and m.groups > 1]
    assert grouped
    assert all(conv.groups == math.gcd(32, conv.in_channels) for conv in grouped)


def test_random_ones_train_a_step():
    random_ones_train_a_step(TINY, (1, 2, 8, 8))


@pytest.mark.slow
def test_digits_are_learnt():
    digits_are_learnt(resnet)
