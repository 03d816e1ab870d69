"""NASWOT and SWAP against explicit codes."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from archsmith._support.errors import InputError
from archsmith.proxy import Batch, CannotScore
from archsmith.proxy.activations import NASWOT, SWAP
from archsmith.testing.proxy import ProxyContract

from .toys import Recurrent, Transformer, convnet, mlp, numbers, pictures, seeded, tokens


class TestNASWOT(ProxyContract):
    proxy = NASWOT()


class TestSWAP(ProxyContract):
    proxy = SWAP()


def codes(model, batch):
    """Which activations are on, (n, activations), layer by layer, by running it by hand."""
    x, found = batch.inputs, []
    for module in model:
        module.train(isinstance(module, nn.BatchNorm2d))
        if isinstance(module, nn.ReLU):
            found.append((x > 0).flatten(1).numpy())
        x = module(x)
    return np.concatenate(found, axis=1)


@pytest.mark.parametrize(("model", "batch"), [(mlp(), numbers(4)), (convnet(), pictures(6))])
def test_naswot_is_the_log_determinant_of_agreements(model, batch):
    on = codes(model, batch)
    kernel = np.array([[(a == b).sum() for b in on] for a in on], dtype=float)
    expected = np.log(np.linalg.det(kernel))
    assert NASWOT().score(model, batch) == pytest.approx(expected)


@pytest.mark.parametrize(("model", "batch"), [(mlp(), numbers(4)), (convnet(), pictures(9))])
def test_swap_counts_different_columns(model, batch):
    patterns = {tuple(column) for column in codes(model, batch).T}
    assert SWAP().score(model, batch) == len(patterns)


@pytest.mark.parametrize("count", [7, 8, 64, 65, 130])
def test_swap_tells_patterns_of_any_length_apart(count):
    model, batch = (
        seeded(lambda: nn.Sequential(nn.Linear(2, 40), nn.ReLU(), nn.Linear(40, 3))),
        (numbers(count, (2,))),
    )
    patterns = {tuple(column) for column in codes(model, batch).T}
    assert SWAP().score(model, batch) == len(patterns)


def test_swap_of_the_first_examples():
    model, batch = convnet(), pictures(12)
    patterns = {tuple(column) for column in codes(model, batch)[:3].T}
    assert SWAP(samples=3).score(model, batch) == len(patterns)
    assert SWAP(samples=99).score(model, batch) == SWAP().score(model, batch)


def test_regularised_swap_is_largest_at_mu():
    model, batch = mlp(), numbers()
    plain, thousands = SWAP().score(model, batch), 66 / 1e3
    expected = plain * np.exp(-((thousands - 2) ** 2) / 3)
    assert SWAP(mu=2, sigma=3).score(model, batch) == pytest.approx(expected)
    assert SWAP(mu=thousands, sigma=3).score(model, batch) == pytest.approx(plain)
    for wrong in ({"mu": 1.0}, {"sigma": 1.0}, {"mu": 1.0, "sigma": 0.0}, {"samples": 1}):
        with pytest.raises(InputError, match="swap"):
            SWAP(**wrong)


class Functional(nn.Module):
    """The same net with its activation called as a function."""

    def __init__(self, model, call):
        super().__init__()
        self.first, self.last, self.call = model[0], model[2], call

    def forward(self, x):
        return self.last(self.call(self.first(x)))


@pytest.mark.parametrize(
    "call", [F.relu, F.relu_, F.relu6, F.leaky_relu, F.gelu, F.silu, F.elu, F.mish, F.hardswish]
)
def test_activations_are_seen_as_functions_and_by_their_sign(call):
    model, batch = mlp(), numbers(4)
    for proxy in (NASWOT(), SWAP()):
        assert proxy.score(Functional(model, call), batch) == proxy.score(model, batch)


def test_a_transformer_is_scored_by_its_activations():
    model, batch = seeded(Transformer), tokens()
    seen = []
    for layer in model.encoder.layers:
        layer.linear1.register_forward_hook(lambda _, __, out: seen.append((out > 0).flatten(1)))
    model.eval()
    model(batch.inputs)
    for layer in model.encoder.layers:
        layer.linear1._forward_hooks.clear()
    on = torch.cat(seen, dim=1).double().numpy()
    kernel = on @ on.T + (1 - on) @ (1 - on).T
    assert NASWOT().score(model, batch) == pytest.approx(np.linalg.slogdet(kernel)[1])


@pytest.mark.parametrize("proxy", [NASWOT(), SWAP()])
def test_gates_have_no_codes(proxy):
    with pytest.raises(CannotScore, match=rf"{proxy.name}.*kink at zero[\s\S]*synflow"):
        proxy.score(seeded(Recurrent), tokens())


def test_a_recurrent_net_of_relus_has_codes():
    model = seeded(
        lambda: nn.Sequential(nn.RNN(5, 30, nonlinearity="relu", batch_first=True), Last())
    )
    batch = numbers(4, (6, 5))
    assert NASWOT().score(model, Batch(batch.inputs, batch.targets, batch.loss)) > 0


class Last(nn.Module):
    def forward(self, x):
        return x[0][:, -1]


def test_equal_inputs_are_refused():
    batch = numbers(4)
    twice = Batch(batch.inputs[:2].repeat(2, 1), batch.targets, batch.loss)
    with pytest.raises(CannotScore, match=r"singular[\s\S]*smaller batch"):
        NASWOT().score(mlp(), twice)


def test_sequence_first_counts_the_same():
    class Swapped(nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, x):
            return self.model(x.transpose(0, 1)).transpose(0, 1).mean(1)

    class Straight(nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, x):
            return self.model(x).mean(1)

    model, batch = mlp(), numbers(4, (6, 5))
    assert NASWOT().score(Swapped(model), batch) == NASWOT().score(Straight(model), batch)
