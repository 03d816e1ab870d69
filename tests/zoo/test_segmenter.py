"""Backbones of the zoo as feature maps, and the segmenters made of them."""

import importlib
import random

import pytest
import torch

from archsmith.space import Space
from archsmith.testing.space import SpaceContract
from archsmith.testing.supernet import SupernetContract
from archsmith.zoo.backbone import BACKBONES, backbone
from archsmith.zoo.segmenter import segmenter

SMALL = Space(segmenter, channels=2, classes=3, height=16, width=24, backbones=("convnet",))


@pytest.mark.slow
class TestSegmenter(SpaceContract):
    space, shape, samples = SMALL, (1, 2, 16, 24), 4


@pytest.mark.slow
class TestSharedSegmenter(SupernetContract):
    space, shape, samples = SMALL, (1, 2, 16, 24), 3


def maps_of(name, height, width):
    space = Space(lambda: backbone(3, height, width, (name,)))
    model = space.build(space.default(), device="meta").eval()
    images = torch.zeros(2, 3, height, width, device="meta")
    return model, model(images)


@pytest.mark.parametrize("name", BACKBONES)
def test_a_backbone_gives_its_last_map_of_each_size(name):
    model, maps = maps_of(name, 64, 96)
    assert [x.shape[1] for x in maps] == [scale.channels for scale in model.scales]
    sizes = [x.shape[2] for x in maps]
    assert sizes == sorted(set(sizes), reverse=True)
    assert sizes[0] < 64
    reductions = [scale.reduction for scale in model.scales]
    assert reductions == pytest.approx([64 / size for size in sizes], rel=0.05)
    # It has no layers that the maps do not need.
    assert len(model.layers) - 1 in model._places


def test_looking_at_the_sizes_leaves_no_trace():
    space = Space(lambda: backbone(3, 16, 16, ("convnet",)))
    model = space.build(space.default(), seed=0)
    assert model.training
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert all(int(norm.num_batches_tracked) == 0 for norm in norms)
    assert all(norm.training for norm in norms)


@pytest.mark.parametrize("decoder", ["unet", "fpn", "deeplab"])
@pytest.mark.parametrize("name", BACKBONES)
def test_every_decoder_fits_every_backbone(name, decoder):
    space = Space(segmenter, channels=3, classes=5, height=50, width=70)
    architecture = space.complete({"backbone": name, "decoder": decoder})
    assert (architecture["backbone"], architecture["decoder"]) == (name, decoder)
    model = space.build(architecture, device="meta").eval()
    assert model(torch.zeros(2, 3, 50, 70, device="meta")).shape == (2, 5, 50, 70)


def test_random_segmenters_fit_small_and_large_images():
    rng = random.Random(0)
    for height, width in ((8, 8), (28, 28), (120, 160), (224, 224)):
        space = Space(segmenter, channels=1, classes=4, height=height, width=width)
        for _ in range(3):
            model = space.build(space.sample(rng), device="meta").eval()
            images = torch.zeros(2, 1, height, width, device="meta")
            assert model(images).shape == (2, 4, height, width)


def test_maps_of_an_architecture_are_looked_for_once(monkeypatch):
    module = importlib.import_module("archsmith.zoo.backbone")
    monkeypatch.setattr(module, "_known", {})
    space = Space(segmenter, channels=3, classes=2, height=24, width=40, backbones=("resnet",))
    one, two = space.default(), space.sample(random.Random(1))
    scales = [space.build(a, device="meta").base.scales for a in (one, two)]
    assert scales[0] != scales[1]

    def refuse(*_):
        raise AssertionError("looked for again")

    monkeypatch.setattr(module, "_last_of_each_size", refuse)
    assert [space.build(a).base.scales for a in (one, two)] == scales
