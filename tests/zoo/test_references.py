"""Networks to compare with: as published, scaled, and for images of other sizes."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from archsmith.zoo.inverted import Bottleneck
from archsmith.zoo.mobilenetv3 import mobilenet_v3_small
from archsmith.zoo.references import Basic, Padded, PreActivated, resnet18, resnet20, stem, wrn16_4

NETWORKS = (resnet20, resnet18, wrn16_4, mobilenet_v3_small)


def size(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("network", "classes", "parameters", "published"),
    [
        (resnet20, 10, 269_722, 0.27e6),
        (resnet18, 10, 11_173_962, 11.17e6),
        (wrn16_4, 10, 2_748_890, 2.75e6),
        (mobilenet_v3_small, 1000, 2_542_856, 2.54e6),
        (mobilenet_v3_small, 10, 1_528_106, 1.53e6),
    ],
)
def test_sizes_are_those_that_were_published(network, classes, parameters, published):
    with torch.device("meta"):
        assert size(network(3, classes)) == parameters
    assert abs(parameters - published) < 5e-3 * 1e6


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 96, 64), (3, 224, 224), (1, 8, 8)])
def test_images_of_any_size_give_logits(network, shape):
    with torch.device("meta"):
        model = network(shape[0], 7, *shape[1:], scale=0.5)
        assert model(torch.zeros(2, *shape)).shape == (2, 7)
        # The size of the images changes strides alone, and the stem's kernel beyond 112 pixels.
        if max(shape) <= 112:
            assert size(model) == size(network(shape[0], 7, scale=0.5))


@pytest.mark.parametrize(
    ("side", "after"), [(8, 8), (28, 28), (32, 32), (56, 56), (64, 32), (96, 48), (224, 56)]
)
def test_the_stem_reduces_large_images(side, after):
    assert stem(3, 4, side)(torch.zeros(1, 3, side, side)).shape == (1, 4, after, after)


@pytest.mark.parametrize(
    ("side", "after"), [(8, 4), (28, 7), (32, 4), (48, 6), (64, 4), (128, 4), (224, 7), (2, 2)]
)
def test_mobilenet_halves_small_images_less_often(side, after):
    with torch.device("meta"):
        features = mobilenet_v3_small(3, 10, side, side)[:17]
        assert isinstance(features[-2], nn.BatchNorm2d)
        assert features(torch.zeros(1, 3, side, side)).shape == (1, 576, after, after)


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
def test_parameters_grow_with_the_scale(network):
    with torch.device("meta"):
        sizes = [size(network(3, 10, scale=s / 8)) for s in range(1, 17)]
    assert sizes == sorted(sizes)
    assert sizes[-1] > 3 * sizes[7] > 9 * sizes[3] / 2
    assert sizes[7] == size(network(3, 10))


@pytest.mark.slow
def test_scaling_is_fine_enough_to_meet_a_size():
    with torch.device("meta"):
        sizes = sorted({size(resnet20(3, 10, scale=s / 200)) for s in range(100, 120)})
    gaps = [b / a for a, b in pairwise(sizes)]
    assert max(gaps) < 1.1


def test_a_basic_block_adds_its_input():
    block = Basic(4, 4, 1).eval()
    nn.init.zeros_(block.body[-1].weight)  # the body then gives zeros
    x = torch.randn(2, 4, 5, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(block(x), x.relu())
    torch.testing.assert_close(Basic(4, 4, 1, free=True).shortcut(x), x)


def test_a_free_shortcut_skips_pixels_and_pads_channels():
    x = torch.arange(2 * 4 * 4.0).reshape(1, 2, 4, 4)
    out = Padded(2, 5, 2)(x)
    assert out.shape == (1, 5, 2, 2)
    torch.testing.assert_close(out[:, 1:3], x[:, :, ::2, ::2])
    assert not out[:, 0].any()
    assert not out[:, 3:].any()


def test_a_pre_activated_block_keeps_its_input_untouched():
    block = PreActivated(4, 4, 1).eval()
    nn.init.zeros_(block.body[-1].weight)
    x = torch.randn(2, 4, 5, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(block(x), x)


def test_where_mobilenet_has_shortcuts_depends_on_no_image():
    def residual(side: int) -> list[bool]:
        with torch.device("meta"):
            model = mobilenet_v3_small(3, 10, side, side)
        return [m.residual for m in model if isinstance(m, Bottleneck)]

    published = [False, False, True, False, True, True, False, True, False, True, True]
    assert residual(224) == residual(32) == residual(8) == published


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
def test_one_batch_is_learnt(network):
    torch.manual_seed(0)
    model = network(1, 4, 16, 16, scale=0.25)
    images, targets = torch.randn(16, 1, 16, 16), torch.arange(16) % 4
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    first = last = float("inf")
    for step in range(60):
        loss = nn.functional.cross_entropy(model(images), targets)
        first, last = (loss.item() if step == 0 else first), loss.item()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert last < 0.3 * first
