"""The space of embeddings: its default is the Conv-4 of the papers on few-shot learning."""

import random

import pytest
import torch
from torch import nn

from archsmith.space import Architecture, Space
from archsmith.supernet import methods
from archsmith.supernet.supernet import Supernet
from archsmith.testing.space import SpaceContract
from archsmith.zoo import spaces
from archsmith.zoo.embedder import SignedPower, UnitLength, embedder

OMNIGLOT = Space(embedder, channels=1, height=28, width=28)


@pytest.mark.slow
class TestEmbedder(SpaceContract):
    space, shape = OMNIGLOT, (2, 1, 28, 28)


def test_the_default_is_conv_4():
    model = OMNIGLOT.build(OMNIGLOT.default()).eval()
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert [(c.in_channels, c.out_channels, c.kernel_size) for c in convolutions] == [
        (1, 64, (3, 3)),
        (64, 64, (3, 3)),
        (64, 64, (3, 3)),
        (64, 64, (3, 3)),
    ]
    # By hand: 9 * 64 + 3 * 9 * 64 * 64 weights of convolutions, two of each norm's channels.
    assert sum(p.numel() for p in model.parameters()) == 576 + 3 * 36_864 + 4 * 128
    assert model(torch.zeros(3, 1, 28, 28)).shape == (3, 64)
    large = Space(embedder, channels=3, height=84, width=84)
    assert large.build(large.default()).eval()(torch.zeros(1, 3, 84, 84)).shape == (1, 1600)


@pytest.mark.slow
@pytest.mark.parametrize(("height", "width"), [(8, 8), (2, 3), (28, 28), (32, 20), (105, 105)])
def test_every_image_size_fits(height, width):
    space = Space(embedder, channels=2, height=height, width=width)
    rng = random.Random(0)
    for _ in range(5):
        model = space.build(space.sample(rng), device="meta").eval()
        outputs = model(torch.zeros(2, 2, height, width, device="meta"))
        assert outputs.ndim == 2
        assert len(outputs) == 2


def test_the_head_does_what_it_is_asked():
    answers = dict(OMNIGLOT.default()) | {
        "head.embedding": "32",
        "head.transform": "power",
        "head.metric": "angle",
    }
    model = OMNIGLOT.build(Architecture(answers), seed=0).eval()
    outputs = model(torch.randn(5, 1, 28, 28))
    assert outputs.shape == (5, 32)
    assert torch.allclose(outputs.norm(dim=1), torch.full((5,), 4.0), atol=1e-4)


@pytest.mark.parametrize(("pool", "length"), [("flatten", 64), ("average", 64), ("map", 576)])
def test_what_is_left_of_the_picture(pool, length):
    answers = {**OMNIGLOT.default(), "head.pool": pool, "head.transform": "standardised"}
    model = OMNIGLOT.build(Architecture(answers), seed=0)
    assert model(torch.randn(5, 1, 28, 28)).shape == (5, length)
    small = OMNIGLOT.build(Architecture({**answers, "head.embedding": "32"}), seed=0)
    linear = next(m for m in small.modules() if isinstance(m, nn.Linear))
    assert (linear.in_features, linear.out_features) == (length, 32)


def test_layers_of_the_head_by_hand():
    x = torch.tensor([[4.0, -9.0, 0.0]], requires_grad=True)
    out = SignedPower()(x)
    assert torch.allclose(out, torch.tensor([[2.0, -3.0, 0.0]]), atol=0.02)
    out.sum().backward()
    assert x.grad.isfinite().all()
    assert torch.allclose(UnitLength(2.0)(x.detach()).norm(dim=1), torch.tensor([2.0]))
    assert spaces.get("embedder") is embedder


@pytest.mark.slow
@pytest.mark.parametrize("name", ["darts", "gdas"])
def test_all_its_operations_can_be_mixed(name):
    space = Space(embedder, channels=1, height=14, width=14)
    method = methods.get(name)()
    method.check(space)
    method.try_out(Supernet(space), torch.zeros(2, 1, 14, 14))
