"""Zen-score against its definition on a net whose features are known."""

import math

import pytest
import torch
from torch import nn

from archsmith.proxy import CannotScore
from archsmith.proxy.zen import Zen
from archsmith.testing.proxy import ProxyContract

from .toys import Transformer, convnet, mlp, numbers, pictures, seeded, tokens


class TestZen(ProxyContract):
    proxy = Zen()


def drawn(model, batch, seed):
    """Weights, then x, then e, in the order in which a seeded generator gives them."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        weights = [
            torch.empty_like(m.weight).normal_()
            for m in model.modules()
            if isinstance(m, (nn.Conv2d, nn.Linear))
        ]
        x = torch.randn(batch.inputs.shape, dtype=torch.float64)
        return weights, x, torch.randn(batch.inputs.shape, dtype=torch.float64)


def test_a_linear_convolution_is_the_norm_of_what_it_makes_of_the_step():
    """Without BatchNorm and activations f(x + 0.01 e) - f(x) is 0.01 f(e)."""
    model = seeded(
        lambda: nn.Sequential(
            nn.Conv2d(2, 3, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3)
        )
    )
    batch = pictures(4)
    weights, _, step = drawn(model, batch, 7)
    apart = torch.nn.functional.conv2d(0.01 * step, weights[0])
    expected = math.log(apart.flatten(1).norm(dim=1).mean())
    assert Zen().score(model, batch, 7) == pytest.approx(expected, rel=1e-6)


def test_batch_norm_gives_its_scale_back():
    """Two layers, by hand: variances of the first pass, and features before the pooling."""
    model, batch = convnet(), pictures(4)
    weights, x, step = drawn(model, batch, 3)
    scales = []

    def features(images, keep):
        for weight in weights[:2]:
            images = torch.nn.functional.conv2d(images, weight, padding=1)
            variance = images.var((0, 2, 3), correction=0)
            if keep:
                scales.append(variance.mean().sqrt().log().item())
            shape = (1, -1, 1, 1)
            mean = images.mean((0, 2, 3)).view(shape)
            images = ((images - mean) / (variance.view(shape) + 1e-5).sqrt()).relu()
        return images

    apart = features(x, True) - features(x + 0.01 * step, False)
    expected = math.log(apart.flatten(1).norm(dim=1).mean()) + sum(scales)
    assert Zen().score(model, batch, 3) == pytest.approx(expected, rel=1e-6)


def test_without_a_pooling_module_features_end_before_the_head():
    def build():
        return nn.Sequential(nn.Conv2d(2, 3, 5), nn.Flatten(), nn.Linear(3, 3))

    model, batch = seeded(build), pictures(4)
    weights, _, step = drawn(model, batch, 0)
    apart = torch.nn.functional.conv2d(0.01 * step, weights[0]).flatten(1)
    expected = math.log(apart.norm(dim=1).mean())
    assert Zen().score(model, batch) == pytest.approx(expected, rel=1e-6)


def test_the_models_own_weights_and_inputs_do_not_matter_and_the_seed_does():
    one, two = convnet(), convnet()
    with torch.no_grad():
        two[0].weight.mul_(5)
        two[1].weight.mul_(5)
    assert Zen().score(one, pictures(seed=1)) == Zen().score(two, pictures(seed=2))
    assert Zen().score(one, pictures(), 0) != Zen().score(one, pictures(), 1)


class Cut(nn.Module):
    def forward(self, x):
        return x * 0


def test_models_it_is_not_defined_for_are_refused():
    for model, batch in ((mlp(), numbers()), (seeded(Transformer), tokens())):
        with pytest.raises(CannotScore, match=r"zen.*convolutional[\s\S]*use one of: params"):
            Zen().score(model, batch)
    with pytest.raises(CannotScore, match="features that depend on the input"):
        Zen().score(nn.Sequential(convnet()[:3], Cut(), convnet()[3:]), pictures())
