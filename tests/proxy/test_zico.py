"""ZiCo against gradients of each part of the batch, worked out one by one."""

from itertools import pairwise

import numpy as np
import pytest
from torch import nn

from archsmith._support.errors import InputError
from archsmith.proxy import CannotScore
from archsmith.proxy.zico import ZiCo
from archsmith.testing.proxy import ProxyContract

from .toys import Recurrent, Transformer, convnet, mlp, numbers, pictures, seeded, tokens


class TestZiCo(ProxyContract):
    proxy = ZiCo()


def by_hand(model, batch, cuts):
    """Sum over layers of log of the sum of mean |g| / std g."""
    parts = []
    for module in model.modules():
        module.train(isinstance(module, nn.BatchNorm2d))
    for start, end in pairwise(cuts):
        model.zero_grad()
        batch.loss(model(batch.inputs[start:end]), batch.targets[start:end]).backward()
        parts.append([p.grad.numpy().copy() for p in model.parameters() if p.dim() > 1])
    total = 0.0
    for layer in zip(*parts):
        spread = np.std(layer, axis=0)
        mean = np.mean(np.abs(layer), axis=0)
        if (spread > 0).any():
            total += np.log((mean[spread > 0] / spread[spread > 0]).sum())
    return total


@pytest.mark.parametrize(("build", "make"), [(mlp, numbers), (convnet, pictures)])
def test_it_compares_the_gradients_of_two_halves(build, make):
    batch = make(8)
    expected = by_hand(build(), batch, [0, 4, 8])
    assert ZiCo().score(build(), batch) == pytest.approx(expected)


def test_uneven_parts_and_more_of_them():
    batch = numbers(8)
    expected = by_hand(mlp(), batch, [0, 2, 5, 8])
    assert ZiCo(batches=3).score(mlp(), batch) == pytest.approx(expected)


def test_one_weight_with_gradients_one_and_three():
    """Mean of |g| is 2 and the spread 1, so the layer scores log 2."""
    import torch

    from archsmith.proxy import Batch

    model = nn.Linear(1, 1, bias=False).double()
    inputs = torch.tensor([[1.0], [1.0], [3.0], [3.0]], dtype=torch.float64)
    batch = Batch(inputs, torch.zeros(4), lambda output, _: output.mean())
    assert ZiCo().score(model, batch) == pytest.approx(np.log(2))


def test_weights_that_do_not_vary_are_left_out():
    import torch

    from archsmith.proxy import Batch

    model = nn.Linear(2, 1, bias=False).double()
    inputs = torch.tensor([[1.0, 5], [1, 5], [3, 5], [3, 5]], dtype=torch.float64)
    batch = Batch(inputs, torch.zeros(4), lambda output, _: output.mean())
    assert ZiCo().score(model, batch) == pytest.approx(np.log(2))


@pytest.mark.parametrize("build", [Transformer, Recurrent])
def test_transformers_and_recurrent_nets_are_scored(build):
    model, batch = seeded(build), tokens(8)
    names = [n for n, p in model.named_parameters() if p.dim() > 1 and "table" not in n]
    parts = []
    model.eval()
    for start, end in ((0, 4), (4, 8)):
        model.zero_grad()
        batch.loss(model(batch.inputs[start:end]), batch.targets[start:end]).backward()
        parts.append([model.get_parameter(n).grad.numpy().copy() for n in names])
    expected = sum(
        np.log(np.sum((np.abs(a) + np.abs(b)) / 2 / np.maximum(np.abs(a - b) / 2, 1e-300)))
        for a, b in zip(*parts)
    )
    assert ZiCo().score(model, batch) == pytest.approx(expected, rel=1e-6)


def test_too_few_examples_for_the_parts_are_refused():
    with pytest.raises(InputError, match="zico, batches"):
        ZiCo(batches=1)
    with pytest.raises(CannotScore, match=r"zico.*8 examples or more.*6[\s\S]*larger batch"):
        ZiCo(batches=4).score(mlp(), numbers(6))
