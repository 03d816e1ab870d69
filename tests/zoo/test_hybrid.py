"""Networks of convolution and attention: the published one, images of all sizes, shared weights."""

import pytest
import torch
from train_checks import random_ones_train_a_step
from vision_checks import digits_are_learnt, is_published, runs, size

from archsmith.space import Space
from archsmith.testing.space import SpaceContract
from archsmith.testing.supernet import SupernetContract
from archsmith.zoo.hybrid import AttentionBlock, ConvBlock, hybrid

TINY = {
    "stems": (4, 8),
    "widths": ((4, 8), (8,), (8, 16)),
    "depths": ((1,), (1, 2), (1, 2)),
    "head_size": 4,
}
SMALL = Space(hybrid, channels=2, classes=4, height=14, width=9, **TINY)


@pytest.mark.slow
class TestHybrid(SpaceContract):
    space, shape, samples = SMALL, (1, 2, 14, 9), 6


@pytest.mark.slow
class TestSharedHybrid(SupernetContract):
    space, shape, samples = SMALL, (1, 2, 14, 9), 3


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("coatnet_0", 25_036_820), ("coatnet_1", 42_225_776), ("coatnet_2", 74_684_744)],
)
def test_published_networks(name, parameters):
    """As many as in timm, and to the digits given as in the paper."""
    is_published(name, parameters)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 64, 64), (3, 224, 160), (1, 5, 9)])
def test_images_of_any_size_give_logits(shape):
    runs(Space(hybrid, channels=shape[0], classes=7, height=shape[1], width=shape[2]), shape, 2)


@pytest.mark.parametrize(
    ("side", "maps"),
    [
        (8, [8, 8, 8, 8, 4]),
        (28, [28, 28, 28, 14, 7]),
        (32, [32, 32, 16, 8, 4]),
        (64, [64, 32, 16, 8, 4]),
        (224, [112, 56, 28, 14, 7]),
    ],
)
def test_sizes_fit_the_image(side, maps):
    space = Space(hybrid, channels=1, classes=3, height=side, width=side)
    model = space.build(space.default(), device="meta").eval()
    x = torch.zeros(2, 1, side, side, device="meta")
    assert model(x).shape == (2, 3)
    found = []
    for name, layer in model.named_children():
        x = layer(x)
        if name.startswith("st"):
            found.append(x.shape[2])
    assert found == maps
    kinds = [type(stage[0]) for name, stage in model.named_children() if "stage" in name]
    assert kinds == [ConvBlock, ConvBlock, AttentionBlock, AttentionBlock]


def test_large_maps_are_never_attended_to():
    space = Space(hybrid, channels=1, classes=3, height=224, width=228)
    options = {d.name: list(d.answers()) for d in space.decisions(space.default())}
    assert options["stage1.kind"] == options["stage2.kind"] == ["conv"]
    assert options["stage3.kind"] == options["stage4.kind"] == ["conv", "attention"]


def test_the_default_is_small():
    space = Space(hybrid, channels=3, classes=10)
    model = space.build(space.default(), device="meta")
    assert 1e5 < size(model) < 6e5


@pytest.mark.parametrize("block", [ConvBlock, AttentionBlock])
def test_blocks_halve_images_of_odd_sides(block):
    more = {"grid": (4, 3), "size": 4} if block is AttentionBlock else {}
    first = block(4, 8, 16, 2, **more)
    assert first(torch.randn(2, 4, 7, 5)).shape == (2, 8, 4, 3)
    other = block(8, 8, 16, 1, **more)
    assert other(torch.randn(2, 8, 4, 3)).shape == (2, 8, 4, 3)


def test_pixels_of_a_map_keep_their_places_in_attention():
    """Without what attention and the MLP add, a block is its shortcut."""
    block = AttentionBlock(3, 3, 6, 1, grid=(4, 3), size=3)
    for layer in (block.attention.output, block.mlp[-1]):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    images = torch.randn(2, 3, 4, 3)
    assert torch.equal(block(images), images)


@pytest.mark.slow
def test_the_space_is_large():
    assert Space(hybrid, channels=3, classes=10).size().count > 1e6


@pytest.mark.slow
def test_random_ones_train_a_step():
    random_ones_train_a_step(SMALL, (1, 2, 14, 9))


@pytest.mark.slow
def test_digits_are_learnt():
    digits_are_learnt(hybrid)
