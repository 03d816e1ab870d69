"""The space of perceptrons for tables."""

import random

import torch
from torch import nn

from archsmith.space import Space
from archsmith.testing.space import SpaceContract
from archsmith.zoo import spaces
from archsmith.zoo.mlp import Residual, mlp

TABLE = Space(mlp, features=13, outputs=3)


class TestMlp(SpaceContract):
    space, shape = TABLE, (1, 13)


def test_the_default_is_two_layers_of_64_with_relu():
    model = TABLE.build(TABLE.default())
    linear = [m for m in model.modules() if isinstance(m, nn.Linear)]
    assert [(m.in_features, m.out_features) for m in linear] == [(13, 64), (64, 64), (64, 3)]
    assert sum(isinstance(m, nn.ReLU) for m in model.modules()) == 2
    assert not any(isinstance(m, nn.BatchNorm1d | nn.LayerNorm) for m in model.modules())


def test_random_ones_train_a_step():
    rng = random.Random(0)
    for _ in range(10):
        model = TABLE.build(TABLE.sample(rng), seed=0).train()
        out = model(torch.randn(8, 13))
        assert out.shape == (8, 3)
        out.square().mean().backward()
        assert all(bool(p.grad.isfinite().all()) for p in model.parameters())


def test_residual_layers_add_their_input():
    assert Residual(nn.Identity(), nn.Identity())(torch.tensor([3.0])).item() == 6.0


def test_it_is_registered():
    assert spaces.get("mlp") is mlp
