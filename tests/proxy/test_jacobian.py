"""Jacobian covariance and EPE-NAS against numpy on a Jacobian worked out example by example."""

import numpy as np
import pytest
import torch
from torch import nn

from archsmith.proxy import Batch, CannotScore, score_proxies
from archsmith.proxy.jacobian import EPENAS, JacobianCovariance
from archsmith.proxy.passes import Passes
from archsmith.testing.proxy import ProxyContract

from .toys import Recurrent, Transformer, convnet, mlp, numbers, pictures, seeded, tokens


class TestJacobianCovariance(ProxyContract):
    proxy = JacobianCovariance()


class TestEPENAS(ProxyContract):
    proxy = EPENAS()


def rows(model, batch):
    """J for a net of two layers: W2 diag(on) W1, summed over outputs."""
    w1, b1, w2 = (t.detach().numpy() for t in (model[0].weight, model[0].bias, model[2].weight))
    on = batch.inputs.numpy() @ w1.T + b1 > 0
    return np.stack([w2.sum(0) * gates @ w1 for gates in on])


def test_the_jacobian_is_that_of_each_example():
    model, batch = mlp(), numbers()
    assert Passes(model, batch).jacobian == pytest.approx(rows(model, batch))


def test_jacobian_covariance_of_two_layers():
    model, batch = mlp(), numbers(4)
    values = np.linalg.eig(np.corrcoef(rows(model, batch)))[0] + 1e-5
    expected = -np.sum(np.log(values) + 1 / values)
    assert JacobianCovariance().score(model, batch) == pytest.approx(expected)


def test_a_model_that_moves_alike_everywhere_scores_lowest():
    """A linear model has one Jacobian: correlations are all 1, and one eigenvalue is not zero."""
    model, batch = seeded(lambda: nn.Linear(5, 3)), numbers(4)
    values = np.array([4, 0, 0, 0]) + 1e-5
    expected = -np.sum(np.log(values) + 1 / values)
    assert JacobianCovariance().score(model, batch) == pytest.approx(expected, rel=1e-4)
    assert JacobianCovariance().score(mlp(), batch) > expected


def test_batch_norm_uses_the_batch():
    model, batch = convnet(), pictures(4)
    whole = batch.inputs.clone().requires_grad_()
    other = convnet()
    for module in other.modules():
        module.train(isinstance(module, nn.BatchNorm2d))
    other(whole).sum().backward()
    assert Passes(model, batch).jacobian == pytest.approx(whole.grad.flatten(1).numpy())


def test_epe_nas_of_two_layers():
    model, batch = mlp(), numbers(7)
    j, labels = rows(model, batch), batch.targets.numpy()
    sums = [np.log(np.abs(np.corrcoef(j[labels == c])) + 1e-5).sum() for c in range(3)]
    assert EPENAS().score(model, batch) == pytest.approx(np.abs(sums).sum())


def test_epe_nas_compares_many_classes_with_each_other():
    count = 2 * 103
    model, batch = mlp(), numbers(count, classes=103)
    j, labels = rows(model, batch), batch.targets.numpy()
    loss = lambda output, target: output.sum() * 0 + target.sum() * 0  # noqa: E731
    found = EPENAS().score(model, Batch(batch.inputs, batch.targets, loss))
    sums = np.array(
        [np.log(np.abs(np.corrcoef(j[labels == c])) + 1e-5).sum() / 2 for c in range(103)]
    )
    expected = sum(abs(a - b) for a in sums for b in sums) / 103
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("build", [Transformer, Recurrent])
def test_indices_are_differentiated_by_their_embedding(build):
    model, batch = seeded(build), tokens()
    model.eval()
    table, kept = model.table, []
    hook = table.register_forward_hook(lambda _, __, out: kept.append(out))
    output = model(batch.inputs)
    hook.remove()
    expected = torch.autograd.grad(output.sum(), kept[0])[0].flatten(1).numpy()
    assert Passes(model, batch).jacobian == pytest.approx(expected)
    names = ["jacov", "epe-nas", "snip"]
    together = score_proxies(model, batch, names)
    assert together == {name: score_proxies(model, batch, [name])[name] for name in names}


def test_a_frozen_embedding_does_for_a_jacobian():
    model = seeded(Transformer)
    before = JacobianCovariance().score(model, tokens())
    model.table.weight.requires_grad_(False)
    assert JacobianCovariance().score(model, tokens()) == before


class Counts(nn.Module):
    def forward(self, x):
        return (x[:, :3] * 1.0).double()


def test_indices_that_nobody_looks_up_are_refused():
    with pytest.raises(CannotScore, match=r"embedding"):
        JacobianCovariance().score(nn.Sequential(Counts(), nn.Linear(3, 3).double()), tokens())


class Zeros(nn.Module):
    def forward(self, x):
        return torch.zeros_like(x)


def test_outputs_that_do_not_depend_on_inputs_are_refused():
    model = seeded(lambda: nn.Sequential(nn.Linear(5, 5), Zeros(), nn.Linear(5, 3)))
    for proxy in (JacobianCovariance(), EPENAS()):
        with pytest.raises(CannotScore, match=r"depend on every input[\s\S]*params or flops"):
            proxy.score(model, numbers())


def test_epe_nas_needs_two_of_a_class_and_one_class_each():
    model = mlp()
    with pytest.raises(CannotScore, match=r"two examples of a class[\s\S]*larger batch"):
        EPENAS().score(model, numbers(3))
    batch = numbers()
    several = Batch(batch.inputs, torch.eye(3).repeat(2, 1), batch.loss)
    with pytest.raises(CannotScore, match="one class for each example"):
        EPENAS().score(model, several)
