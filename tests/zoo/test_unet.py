"""The U-Net space: its contract, all sizes of image, and how skip connections are merged."""

import random

import pytest
import torch
from torch import nn

from archsmith.space import Space
from archsmith.testing.space import SpaceContract
from archsmith.zoo import spaces
from archsmith.zoo.unet import Merge, plain_unet, unet

SMALL = Space(unet, channels=2, classes=3, height=12, width=8, widths=(4, 8), depths=(1, 2))


@pytest.mark.slow
class TestUNet(SpaceContract):
    space, shape, samples = SMALL, (1, 2, 12, 8), 5


def test_the_default_is_a_plain_unet():
    space = Space(unet, channels=3, classes=11, height=48, width=64)
    model = space.build(space.default(), device="meta")
    assert [level[0][0].out_channels for level in model.down] == [16, 32, 64]
    assert [len(level) for level in model.down] == [2, 2, 2]
    assert all(up.merge.across is not None for up in model.up)
    assert not any(m.groups > 1 for m in model.modules() if isinstance(m, nn.Conv2d))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("height", "width", "levels"),
    [(120, 160, [2, 3, 4]), (33, 50, [2, 3, 4]), (16, 24, [2, 3]), (8, 8, [2]), (3, 5, [1])],
)
def test_every_image_size_fits(height, width, levels):
    space = Space(unet, channels=1, classes=4, height=height, width=width)
    asked = {d.name: d for d in space.decisions(space.default())}
    assert list(asked["levels"].answers()) == levels
    rng = random.Random(0)
    for _ in range(4):
        model = space.build(space.sample(rng), device="meta").eval()
        images = torch.zeros(2, 1, height, width, device="meta")
        assert model(images).shape == (2, 4, height, width)


def test_large_images_are_made_small_by_the_stem():
    space = Space(unet, channels=3, classes=3, height=200, width=300)
    model = space.build(space.default(), device="meta")
    assert max(model.stem(torch.zeros(2, 3, 200, 300, device="meta")).shape[2:]) <= 96


def test_a_merge_is_a_convolution_of_what_comes_together():
    torch.manual_seed(0)
    merge = Merge(3, 2, 4).eval()
    joined = nn.Conv2d(5, 4, 3, padding=1, bias=False)
    joined.weight.data = torch.cat([merge.below.weight, merge.across.weight], dim=1)
    below, across = torch.randn(2, 3, 6, 6), torch.randn(2, 2, 6, 6)
    expected = merge.activation(merge.norm(joined(torch.cat([below, across], dim=1))))
    assert torch.allclose(merge(below, across), expected, atol=1e-5)


def test_skip_connections_can_be_left_out():
    with_, without = (
        SMALL.build(SMALL.complete({"up1.skip": flag}), seed=0) for flag in (True, False)
    )
    assert {*without.state_dict()} < {*with_.state_dict()}


def test_it_is_registered():
    assert spaces.get("unet") is unet


def test_the_plain_unet_is_that_of_the_paper_with_a_quarter_of_its_widths():
    with torch.device("meta"):
        model, half = (plain_unet(3, 11, 120, 160, scale=scale) for scale in (1.0, 0.5))
    assert [level[0].out_channels for level in model.down] == [16, 32, 64, 128, 256]
    assert [level[0].out_channels for level in half.down] == [8, 16, 32, 64, 128]
    images = torch.zeros(2, 3, 120, 160, device="meta")
    assert model(images).shape == (2, 11, 120, 160)
