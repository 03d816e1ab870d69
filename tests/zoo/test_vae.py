"""The variational autoencoders: contracts, image sizes, and what is drawn from what."""

from __future__ import annotations

import random

import pytest
import torch

from archsmith._support.trees import TensorSpec
from archsmith.space import Space
from archsmith.testing.space import SpaceContract
from archsmith.testing.supernet import SupernetContract
from archsmith.zoo import spaces
from archsmith.zoo.vae import vae

SMALL = Space(vae, channels=1, classes=3, height=8, width=6, widths=(8, 16), depths=(0, 1))
SPEC = (TensorSpec((1, 1, 8, 6)), TensorSpec((1, 1, 8, 6)), TensorSpec((1,), "int64"))


@pytest.mark.slow
class TestVAE(SpaceContract):
    space, shape, samples = SMALL, SPEC, 5


@pytest.mark.slow
class TestShared(SupernetContract):
    space, shape, samples = SMALL, SPEC, 2


@pytest.mark.parametrize(("height", "width"), [(28, 28), (33, 50), (8, 8), (3, 5)])
def test_every_image_size_fits(height: int, width: int) -> None:
    space = Space(vae, channels=3, height=height, width=width)
    rng = random.Random(0)
    for _ in range(3):
        model = space.build(space.sample(rng), device="meta")
        images = torch.zeros(2, 3, height, width, device="meta")
        outputs = model(images, images)
        assert outputs["image"].shape == images.shape
        assert outputs["log_scale"].shape == (2, 1)
        assert outputs["mean"].shape == outputs["log_variance"].shape == (2, model.latent.count)


def test_samples_are_what_is_made_of_the_latent_variables() -> None:
    model = SMALL.build(SMALL.default(), seed=0).eval()
    images, noise, label = torch.rand(2, 1, 8, 6), torch.randn(2, 1, 8, 6), torch.tensor([0, 2])
    outputs = model(images, noise, label)
    drawn = noise.flatten(1)[:, : model.latent.count]
    drawn = outputs["mean"] + outputs["log_variance"].exp().sqrt() * drawn
    rest = torch.zeros(2, 48 - drawn.shape[1])
    again = model.decode(torch.cat([drawn, rest], dim=1).view_as(images), label)
    assert torch.allclose(again, outputs["image"], atol=1e-5)
    other = model.decode(noise, torch.tensor([1, 2]))
    expected = model.decode(noise, label)
    assert not torch.allclose(other[0], expected[0])
    assert torch.equal(other[1], expected[1])


def test_it_is_registered() -> None:
    assert spaces.get("vae") is vae
