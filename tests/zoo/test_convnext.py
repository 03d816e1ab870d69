"""ConvNeXts: the published ones, and all sizes of image."""

import pytest
import torch
from train_checks import random_ones_train_a_step
from vision_checks import digits_are_learnt, is_published, runs, size

from archsmith.space import Space
from archsmith.testing.space import SpaceContract
from archsmith.testing.supernet import SupernetContract
from archsmith.zoo.convnext import Block, Response, Scale, convnext

SMALL = {"depths": (1, 2), "widths": (4, 6)}
TINY = Space(convnext, channels=2, classes=3, height=8, width=8, **SMALL)


@pytest.mark.slow
class TestConvNeXt(SpaceContract):
    space, shape, samples = TINY, (1, 2, 8, 8), 4


@pytest.mark.slow
class TestShared(SupernetContract):
    space, shape, samples = TINY, (1, 2, 8, 8), 2


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("convnext_tiny", 28_589_128),
        ("convnext_small", 50_223_688),
        ("convnext_base", 88_591_464),
        ("convnext_large", 197_767_336),
        ("convnextv2_atto", 3_708_400),
        ("convnextv2_femto", 5_233_240),
        ("convnextv2_pico", 9_066_280),
    ],
)
def test_published_networks(name, parameters):
    is_published(name, parameters)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 64, 64), (3, 224, 160), (1, 5, 9)])
def test_images_of_any_size_give_logits(shape):
    runs(Space(convnext, channels=shape[0], classes=7, height=shape[1], width=shape[2]), shape)


@pytest.mark.parametrize(
    ("side", "sides", "patch"),
    [(8, [1, 2], 2), (28, [1, 2, 4], 2), (32, [1, 2, 4], 2), (224, [1, 2, 4], 4)],
)
def test_patches_fit_the_image(side, sides, patch):
    space = Space(convnext, channels=1, classes=3, height=side, width=side)
    decision = {d.name: d for d in space.decisions(space.default())}["stem.patch"]
    assert list(decision.answers()) == sides
    assert decision.default == patch
    for answer in sides:
        model = space.build(space.complete({"stem.patch": answer}), device="meta")
        rest = model[:-4](torch.zeros(1, 1, side, side, device="meta")).shape[-1]
        assert rest >= (3 if side == 28 else 4)


def test_the_default_is_small():
    space = Space(convnext, channels=1, classes=10, height=28, width=28)
    assert 0.1e6 < size(space.build(space.default(), device="meta")) < 0.6e6


def test_layer_scale_begins_near_the_identity():
    block, x = Block(4, 3, 8, torch.nn.Identity(), Scale(4)), torch.randn(2, 4, 5, 5)
    assert torch.allclose(block(x), x, atol=1e-4)
    assert not torch.equal(block(x), x)


def test_features_compete_in_the_response():
    response, x = Response(2), torch.ones(1, 3, 3, 2)
    assert torch.equal(response(x), x)  # it begins as the identity
    torch.nn.init.ones_(response.weight)
    x[..., 0] = 3.0
    # The norms are 9 and 3, relative to their mean 1.5 and 0.5.
    expected = torch.tensor([3.0 + 3.0 * 1.5, 1.0 + 0.5]).expand(1, 3, 3, 2)
    torch.testing.assert_close(response(x), expected)


def test_random_ones_train_a_step():
    random_ones_train_a_step(TINY, (1, 2, 8, 8))


@pytest.mark.slow
def test_digits_are_learnt():
    digits_are_learnt(convnext, steps=30)
