"""Proxies of gradients against gradients worked out in numpy, and finite differences."""

import numpy as np
import pytest
import torch
from torch import nn

from archsmith.proxy import Batch, CannotScore, score_proxies
from archsmith.proxy.gradients import Fisher, GradNorm, Plain, Snip
from archsmith.testing.proxy import ProxyContract

from .toys import Recurrent, Transformer, convnet, mlp, numbers, pictures, seeded, tokens


class TestGradNorm(ProxyContract):
    proxy = GradNorm()


class TestSnip(ProxyContract):
    proxy = Snip()


class TestPlain(ProxyContract):
    proxy = Plain()


class TestFisher(ProxyContract):
    proxy = Fisher()


def by_hand(model, batch):
    """Weights, gradients, outputs and their gradients of two layers, with numpy alone."""
    x, y = batch.inputs.numpy(), batch.targets.numpy()
    (w1, b1), (w2, b2) = ((model[i].weight, model[i].bias) for i in (0, 2))
    w1, b1, w2, b2 = (t.detach().numpy() for t in (w1, b1, w2, b2))
    a1 = x @ w1.T + b1
    h = np.maximum(a1, 0)
    a2 = h @ w2.T + b2
    shares = np.exp(a2) / np.exp(a2).sum(1, keepdims=True)
    d2 = (shares - np.eye(3)[y]) / len(x)
    d1 = (d2 @ w2) * (a1 > 0)
    return [(w1, d1.T @ x, a1, d1), (w2, d2.T @ h, a2, d2)]


def test_sums_over_two_layers_are_those_of_numpy():
    model, batch = mlp(), numbers()
    layers = by_hand(model, batch)
    found = score_proxies(model, batch, ["grad_norm", "snip", "plain", "fisher"])
    assert found["grad_norm"] == pytest.approx(sum(np.linalg.norm(g) for _, g, _, _ in layers))
    assert found["snip"] == pytest.approx(sum(np.abs(w * g).sum() for w, g, _, _ in layers))
    assert found["plain"] == pytest.approx(sum((w * g).sum() for w, g, _, _ in layers))
    fisher = sum(((a * d) ** 2).mean(0).sum() / 2 for _, _, a, d in layers)
    assert found["fisher"] == pytest.approx(fisher)


def test_plain_is_the_slope_of_the_loss_as_all_weights_grow():
    model, batch = convnet(), pictures()
    step = 1e-6

    def loss(factor):
        grown = convnet()
        with torch.no_grad():
            for layer in (grown[0], grown[3], grown[8]):
                layer.weight.mul_(factor)
        for module in grown.modules():
            module.train(isinstance(module, nn.BatchNorm2d))
        return batch.loss(grown(batch.inputs), batch.targets).item()

    slope = (loss(1 + step) - loss(1 - step)) / (2 * step)
    assert Plain().score(model, batch) == pytest.approx(slope, rel=1e-4)


def test_batch_norm_makes_the_gradient_of_what_it_scales_orthogonal_to_it():
    """The loss does not change as the first layer grows, so that layer gives plain nothing."""
    model, batch = convnet(), pictures()
    for module in (model[3], model[8]):
        module.weight.requires_grad_(False)
    assert Plain().score(model, batch) == pytest.approx(0, abs=1e-5)
    assert Snip().score(model, batch) > 1e-3


def test_fisher_of_a_convolution_sums_positions_before_it_squares():
    model, batch = seeded(lambda: nn.Sequential(nn.Conv2d(2, 3, 3), Mean())), pictures()
    out = model[0](batch.inputs).detach().requires_grad_()
    batch.loss(out.mean((2, 3)), batch.targets).backward()
    product = (out.detach() * out.grad).sum((2, 3)).numpy()
    assert Fisher().score(model, batch) == pytest.approx((product**2).mean(0).sum() / 2)


class Mean(nn.Module):
    def forward(self, x):
        return x.mean((2, 3))


class Twice(nn.Module):
    """One layer used two times, as over time."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x):
        return self.layer(torch.tanh(self.layer(x)))


def test_fisher_of_a_layer_that_runs_twice_adds_up_its_runs():
    model, batch = seeded(Twice), numbers(shape=(3,))
    first = model.layer(batch.inputs).detach().requires_grad_()
    second = model.layer(torch.tanh(first))
    second.retain_grad()
    batch.loss(second, batch.targets).backward()
    product = (first * first.grad + second * second.grad).detach().numpy()
    assert Fisher().score(model, batch) == pytest.approx((product**2).mean(0).sum() / 2)


def test_fisher_sees_outputs_before_they_are_written_into():
    tidy = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3))
    inplace = nn.Sequential(tidy[0], nn.ReLU(inplace=True), tidy[2])
    batch = numbers()
    batch = Batch(batch.inputs.float(), batch.targets, batch.loss)
    assert Fisher().score(tidy, batch) == Fisher().score(inplace, batch)


def test_frozen_layers_have_no_part():
    model, batch = mlp(), numbers()
    layers = by_hand(model, batch)
    model[0].weight.requires_grad_(False)
    assert Snip().score(model, batch) == pytest.approx(np.abs(layers[1][0] * layers[1][1]).sum())


@pytest.mark.parametrize("model", [Transformer(), Recurrent()])
def test_all_weights_of_transformers_and_recurrent_nets_have_a_part(model):
    batch = tokens()
    model.eval()
    batch.loss(model(batch.inputs), batch.targets).backward()
    weights = [
        p for name, p in model.named_parameters() if p.dim() > 1 and not name.startswith("table")
    ]
    expected = sum((p * p.grad).abs().sum().item() for p in weights)
    model.zero_grad()
    assert Snip().score(model, batch) == pytest.approx(expected, rel=1e-4)


def test_the_seed_does_not_matter_where_dropout_is_the_only_chance():
    model = nn.Sequential(nn.Linear(5, 7), nn.Dropout(0.9), nn.ReLU(), nn.Linear(7, 3)).double()
    assert Snip().score(model, numbers(), 1) == Snip().score(model, numbers(), 2)


def test_fisher_refuses_a_model_whose_layers_hide_their_outputs():
    class Hidden(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.matrix = nn.Parameter(torch.randn(5, 3, dtype=torch.float64))

        def forward(self, x):
            return x @ self.matrix

    with pytest.raises(CannotScore, match=r"fisher.*called as modules[\s\S]*grad_norm"):
        Fisher().score(Hidden(), numbers())
