"""GraSP against an explicit Hessian."""

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from archsmith.proxy import CannotScore
from archsmith.proxy.grasp import Grasp
from archsmith.testing.proxy import ProxyContract

from .toys import Recurrent, Transformer, mlp, numbers, seeded, tokens


class TestGrasp(ProxyContract):
    proxy = Grasp()


def explicit(model, batch):
    """Minus w' H g, with the whole Hessian by the weights."""
    weights = {name: p.detach() for name, p in model.named_parameters() if p.dim() > 1}
    flat = torch.cat([w.flatten() for w in weights.values()])

    def loss(vector):
        parts, start = {}, 0
        for name, weight in weights.items():
            parts[name] = vector[start : start + weight.numel()].view_as(weight)
            start += weight.numel()
        return batch.loss(functional_call(model, parts, (batch.inputs,)), batch.targets)

    hessian = torch.autograd.functional.hessian(loss, flat)
    slope = torch.autograd.functional.jacobian(loss, flat)
    return -(flat @ hessian @ slope).item()


def test_it_is_minus_weight_times_hessian_times_gradient():
    model, batch = mlp(), numbers()
    assert Grasp().score(model, batch) == pytest.approx(explicit(model, batch))


def test_with_batch_norm_too():
    model = seeded(
        lambda: nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 3))
    )
    batch = numbers()
    assert Grasp().score(model, batch) == pytest.approx(explicit(model, batch))


def test_a_quadratic_loss_has_it_in_closed_form():
    """For ||Xw - y||^2 / n the Hessian is 2 X'X / n."""
    model, batch = seeded(lambda: nn.Linear(5, 1, bias=False)), numbers()
    target = batch.inputs[:, :1] * 3
    batch = type(batch)(batch.inputs, target, F.mse_loss)
    x, w = batch.inputs, model.weight.detach().T
    hessian, slope = 2 * x.T @ x / len(x), 2 * x.T @ (x @ w - target) / len(x)
    assert Grasp().score(model, batch) == pytest.approx(-(w.T @ hessian @ slope).item())


@pytest.mark.parametrize("build", [Transformer, Recurrent])
def test_transformers_and_recurrent_nets_are_differentiated_twice(build):
    model, batch = seeded(build), tokens()
    names = [n for n, p in model.named_parameters() if p.dim() > 1 and "table" not in n]
    model.eval()
    weights = [model.get_parameter(n) for n in names]
    step = 1e-4

    def gradients(shift, along):
        with torch.no_grad():
            for w, d in zip(weights, along):
                w.add_(shift * d)
        loss = batch.loss(model(batch.inputs), batch.targets)
        found = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            for w, d in zip(weights, along):
                w.sub_(shift * d)
        return found

    slope = gradients(0.0, weights)
    ahead, behind = gradients(step, slope), gradients(-step, slope)
    product = sum(
        (w * (a - b)).sum().item() / (2 * step) for w, a, b in zip(weights, ahead, behind)
    )
    assert Grasp().score(model, batch) == pytest.approx(-product, rel=1e-3)


class Distances(nn.Module):
    """Distances to fixed points, an operation whose second derivative torch does not have."""

    def forward(self, x):
        return torch.cdist(x, torch.eye(5, dtype=x.dtype))


def test_a_model_without_second_derivatives_is_refused():
    layers = (nn.Linear(5, 5), Distances(), nn.Linear(5, 3))
    with pytest.raises(CannotScore, match=r"grasp[\s\S]*twice[\s\S]*use one of: params"):
        Grasp().score(seeded(lambda: nn.Sequential(*layers)), numbers())


def test_a_model_that_ends_in_constants_has_no_flow():
    model = seeded(lambda: nn.Sequential(nn.Linear(5, 3), Zeros()))
    assert Grasp().score(model, numbers()) == 0


class Zeros(nn.Module):
    def forward(self, x):
        return torch.zeros_like(x)
