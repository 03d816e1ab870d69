"""EfficientNets: the published ones, all sizes of image, and how they scale."""

import pytest
import torch
from torch import nn
from train_checks import random_ones_train_a_step
from vision_checks import digits_are_learnt, is_published, runs, size

from archsmith.space import Space
from archsmith.testing.space import SpaceContract
from archsmith.testing.supernet import SupernetContract
from archsmith.zoo.efficientnet import efficientnet
from archsmith.zoo.inverted import Bottleneck

SMALL = {"scale": 0.1, "depths": (0.25, 0.5), "widths": (0.5, 1.0), "phis": (-6, -4)}
TINY = Space(efficientnet, channels=2, classes=3, height=8, width=8, **SMALL)


@pytest.mark.slow
class TestEfficientNet(SpaceContract):
    space, shape, samples = TINY, (1, 2, 8, 8), 4


@pytest.mark.slow
class TestShared(SupernetContract):
    space, shape, samples = TINY, (1, 2, 8, 8), 2


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("efficientnet_b0", 5_288_548),
        ("efficientnet_b1", 7_794_184),
        ("efficientnet_b2", 9_109_994),
        ("efficientnet_b3", 12_233_232),
        ("efficientnet_b4", 19_341_616),
        ("efficientnet_b5", 30_389_784),
        ("efficientnet_b6", 43_040_704),
        ("efficientnet_b7", 66_347_960),
        ("efficientnet_lite0", 4_652_008),
        ("efficientnet_lite1", 5_416_680),
        ("efficientnet_lite2", 6_092_072),
        ("efficientnet_lite3", 8_197_096),
        ("efficientnet_lite4", 13_006_568),
    ],
)
def test_published_networks(name, parameters):
    is_published(name, parameters)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 64, 64), (3, 224, 160), (1, 5, 9)])
def test_images_of_any_size_give_logits(shape):
    space = Space(efficientnet, channels=shape[0], classes=7, height=shape[1], width=shape[2])
    runs(space, shape, count=2)


def test_the_default_is_small():
    space = Space(efficientnet, channels=1, classes=10, height=28, width=28)
    assert 0.1e6 < size(space.build(space.default(), device="meta")) < 0.6e6


def built(**answers):
    space = Space(efficientnet, channels=3, classes=10, height=64, width=64, scale=1.0)
    return space.build(space.complete(answers), device="meta")


def depths(model):
    return [len(stage) for name, stage in model.named_children() if name.startswith("stage")]


def test_the_compound_coefficient_scales_all_three():
    base, scaled = built(scaling="compound", phi=0), built(scaling="compound", phi=5)
    assert size(base) == size(built())
    assert depths(base) == [1, 2, 2, 3, 3, 4, 1]
    assert depths(scaled) == [3, 5, 5, 8, 8, 10, 3]  # by 1.2^5 = 2.49, rounded up
    assert scaled.last[0].out_channels == 2064  # 1280 * 1.1^5 = 2061
    images = torch.zeros(1, 3, 64, 64, device="meta")
    assert scaled.resize(images).shape[-1] == 129  # 64 * 1.15^5 = 128.7
    assert not hasattr(base, "resize")


def test_ends_of_a_lite_network_are_not_scaled():
    model = built(lite=True, depth=2.2, width=2.0)
    assert depths(model) == [1, 5, 5, 7, 7, 9, 1]
    assert (model.stem[0].out_channels, model.last[0].out_channels) == (32, 1280)
    assert model.stage2[0].body.project[0].out_channels == 48
    kinds = {type(module) for module in model.modules()}
    assert nn.ReLU6 in kinds
    assert nn.SiLU not in kinds


def test_blocks_of_small_images_halve_as_late_as_published():
    space = Space(efficientnet, channels=1, classes=2, height=32, width=32)
    model = space.build(space.default(), device="meta")
    halves = [
        (name, number)
        for name, stage in model.named_children()
        if name.startswith("stage")
        for number, block in enumerate(stage)
        if block.body.filter[0].stride == (2, 2)
    ]
    assert model.stem[0].stride == (1, 1)
    assert halves == [("stage3", 0), ("stage4", 0), ("stage6", 0)]
    first = [stage[0].residual for name, stage in model.named_children() if name[:5] == "stage"]
    assert not any(first[index] for index in (1, 2, 3, 5))
    assert sum(isinstance(m, Bottleneck) for m in model.modules()) == 16


@pytest.mark.slow
def test_random_ones_train_a_step():
    random_ones_train_a_step(TINY, (1, 2, 8, 8))


@pytest.mark.slow
def test_digits_are_learnt():
    digits_are_learnt(efficientnet, scale=0.1)
