"""The convolutional space: it fits all sizes of image, and its default is the plain baseline."""

import random

import pytest
import torch
from torch import nn

from archsmith.space import Space
from archsmith.testing.space import SpaceContract
from archsmith.zoo import spaces
from archsmith.zoo.convnet import Block, convnet

DIGITS = Space(convnet, channels=1, classes=10, height=8, width=8)


@pytest.mark.slow
class TestConvnetForDigits(SpaceContract):
    space, shape = DIGITS, (1, 1, 8, 8)


@pytest.mark.slow
class TestConvnetForColourImages(SpaceContract):
    space, shape = Space(convnet, channels=3, classes=7, height=32, width=24), (1, 3, 32, 24)


@pytest.mark.parametrize(("side", "widths"), [(8, [16, 32, 64]), (32, [16, 32, 64, 128, 128])])
def test_the_default_is_a_small_residual_network(side, widths):
    space = Space(convnet, channels=3, classes=10, height=side, width=side)
    model = space.build(space.default())
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert [c.out_channels for c in convolutions if c.kernel_size == (3, 3)] == widths
    shortcuts = [b.shortcut is not None for b in model.modules() if isinstance(b, Block)]
    assert shortcuts == [False] + [True] * (len(widths) - 2)


def test_the_space_is_large():
    assert DIGITS.size().count > 1e5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("height", "width", "stages"),
    [
        (8, 8, [2, 3]),
        (28, 28, [2, 3, 4]),
        (32, 32, [2, 3, 4]),
        (224, 224, [2, 3, 4]),
        (4, 9, [2]),
        (7, 7, [2]),
        (2, 2, [1]),
        (1, 5, [1]),
        (90, 61, [2, 3, 4]),
    ],
)
def test_every_image_size_fits(height, width, stages):
    space = Space(convnet, channels=2, classes=3, height=height, width=width)
    asked = {d.name: d for d in space.decisions(space.default())}
    assert list(asked["stages"].answers()) == stages
    rng = random.Random(0)
    for _ in range(5):
        model = space.build(space.sample(rng), device="meta").eval()
        assert model(torch.zeros(2, 2, height, width, device="meta")).shape == (2, 3)


def test_large_images_are_made_small_by_the_stem():
    space = Space(convnet, channels=3, classes=3, height=224, width=224)
    model = space.build(space.default(), device="meta").eval()
    images = torch.zeros(1, 3, 224, 224, device="meta")
    assert max(model.stem(images).shape[2:]) <= 48
    stem = model.stem[0]
    assert stem.kernel_size[0] >= stem.stride[0]


def test_the_largest_trains_a_step():
    answers = {"stem.width": 32, "stem.kernel": 5, "stages": 3, "downsample": "stride"}
    for stage in ("stage1", "stage2", "stage3"):
        answers |= {f"{stage}.width": 64, f"{stage}.kernel": 5, f"{stage}.residual": True}
        answers[f"{stage}.depth"] = 3
        for block in range(3):
            answers[f"{stage}.depth.{block}.op"] = "bottleneck"
            answers[f"{stage}.depth.{block}.op.bottleneck.expansion"] = 4
    architecture = DIGITS.complete(answers)
    assert answers.items() <= dict(architecture).items()
    model = DIGITS.build(architecture, seed=0).train()
    model(torch.randn(4, 1, 8, 8)).logsumexp(1).mean().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.parameters())


def test_residual_blocks_add_their_input():
    block = Block(nn.Identity(), nn.Identity(), nn.ReLU)
    assert torch.equal(block(torch.tensor([1.0, -2.0])), torch.tensor([2.0, 0.0]))


def test_weights_have_the_same_names_with_and_without_shortcut():
    plain, residual = (
        DIGITS.build(DIGITS.complete({"stage1.residual": flag, "stage1.width": 16}), device="meta")
        for flag in (False, True)
    )
    assert plain.state_dict().keys() == residual.state_dict().keys()


def test_the_first_stages_have_the_same_names_whatever_the_number_of_stages():
    two = DIGITS.build(DIGITS.default(), device="meta").state_dict()
    more = DIGITS.complete({"stages": 3})
    assert two.keys() < DIGITS.build(more, device="meta").state_dict().keys()


def test_it_is_registered():
    assert spaces.get("convnet") is convnet
