"""The denoising U-Nets: contracts, image sizes, and what noise level and class do."""

from __future__ import annotations

import random

import pytest
import torch
from torch import nn

from archsmith._support.trees import TensorSpec
from archsmith.space import Space
from archsmith.testing.space import SpaceContract
from archsmith.testing.supernet import SupernetContract
from archsmith.zoo import spaces
from archsmith.zoo.diffusion import Attention, diffusion

SMALL = Space(diffusion, channels=1, classes=3, height=16, width=12, widths=(8, 16), depths=(1, 2))
SPEC = (TensorSpec((1, 1, 16, 12)), TensorSpec((1,)), TensorSpec((1,), "int64"))


@pytest.mark.slow
class TestDiffusion(SpaceContract):
    space, shape, samples = SMALL, SPEC, 5


@pytest.mark.slow
class TestShared(SupernetContract):
    space, shape, samples = SMALL, SPEC, 2


@pytest.mark.parametrize(("height", "width"), [(28, 28), (33, 50), (8, 8), (3, 5), (1, 1)])
def test_every_image_size_fits(height: int, width: int) -> None:
    space = Space(diffusion, channels=3, height=height, width=width)
    rng = random.Random(0)
    for _ in range(3):
        model = space.build(space.sample(rng), device="meta")
        images, level = torch.zeros(2, 3, height, width), torch.zeros(2)
        assert model(images.to("meta"), level.to("meta")).shape == images.shape


def test_noise_level_and_class_count_and_the_class_that_is_unknown_is_one() -> None:
    model = SMALL.build(SMALL.default(), seed=0).eval()
    images = torch.randn(1, 1, 16, 12).expand(5, -1, -1, -1)
    level, label = torch.tensor([0.5, 0.5, 0.5, 0.5, 0.6]), torch.tensor([0, 1, 2, 3, 0])
    outputs = model(images, level, label)
    assert len(outputs.flatten(1).unique(dim=0)) == 5


def test_attention_is_that_of_torch() -> None:
    torch.manual_seed(0)
    ours, theirs = Attention(8), nn.MultiheadAttention(8, 1, batch_first=True)
    layers = (ours.query, ours.key, ours.value)
    theirs.in_proj_weight.data = torch.cat([layer.weight[:, :, 0, 0] for layer in layers])
    theirs.in_proj_bias.data = torch.cat([layer.bias for layer in layers])
    theirs.out_proj.weight.data = ours.output.weight[:, :, 0, 0]
    theirs.out_proj.bias.data = ours.output.bias
    x = torch.randn(2, 8, 3, 4)
    tokens = ours.norm(x).flatten(2).mT
    expected = x + theirs(tokens, tokens, tokens)[0].mT.view(2, 8, 3, 4)
    assert torch.allclose(ours(x), expected, atol=1e-5)


def test_high_resolutions_do_not_attend() -> None:
    space = Space(diffusion, channels=1, height=64, width=64)
    answers = {"patch": 1, "levels": 3}
    asked = {d.name for d in space.decisions(space.complete(answers))}
    assert {n for n in asked if n.endswith("attention")} == {"level3.attention"}


def test_it_is_registered() -> None:
    assert spaces.get("diffusion") is diffusion
