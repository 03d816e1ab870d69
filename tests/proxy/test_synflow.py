"""SynFlow against its closed form on chains of linear layers, and its conservation."""

import numpy as np
import pytest
import torch
from torch import nn

from archsmith.proxy.synflow import SynFlow
from archsmith.testing.proxy import ProxyContract

from .toys import Recurrent, Transformer, convnet, numbers, pictures, seeded, tokens


class TestSynFlow(ProxyContract):
    proxy = SynFlow()


def chain(norm=None):
    layers = []
    for inside, outside in ((5, 4), (4, 6), (6, 3)):
        layers += [nn.Linear(inside, outside, bias=False)]
        layers += [norm(outside)] if norm and outside != 3 else []
        layers += [nn.ReLU()]
    return seeded(lambda: nn.Sequential(*layers[:-1]))


def product(model):
    """Ones through the absolute matrices: the sum over all paths."""
    flow = np.ones(5)
    for module in model:
        if isinstance(module, nn.Linear):
            flow = np.abs(module.weight.detach().numpy()) @ flow
    return flow.sum()


def test_a_chain_of_three_layers_has_three_times_the_sum_over_paths():
    model = chain()
    assert SynFlow().score(model, numbers()) == pytest.approx(3 * product(model), rel=1e-12)


@pytest.mark.parametrize("norm", [nn.BatchNorm1d, nn.LayerNorm])
def test_normalisation_is_bypassed(norm):
    model = chain(norm)
    assert SynFlow().score(model, numbers()) == pytest.approx(3 * product(model), rel=1e-12)


def test_a_convolutional_net_conserves_flow():
    """Each layer's score is the output itself where there are no biases (Tanaka et al., th. 1)."""
    model, batch = convnet(), pictures()
    model[3].bias = model[8].bias = None
    flow = torch.ones(1, 2, 5, 5, dtype=torch.float64)
    for i in (0, 3, 6, 7, 8):
        layer = model[i]
        if i in (0, 3, 8):
            with torch.no_grad():
                layer = seeded(convnet)[i]
                layer.weight.copy_(model[i].weight.abs())
                layer.bias = None
        flow = layer(flow)
    assert SynFlow().score(model, batch) == pytest.approx(3 * flow.sum().item(), rel=1e-12)


def test_double_precision_whatever_the_model_has():
    model = chain().float()
    for module in model[:1]:
        with torch.no_grad():
            module.weight.mul_(1e30)
    with torch.no_grad():
        model[2].weight.mul_(1e30)
    assert SynFlow().score(model, numbers()) > 1e38


def test_images_and_targets_do_not_matter():
    model = convnet()
    assert SynFlow().score(model, pictures(seed=1)) == SynFlow().score(model, pictures(6, seed=2))


def test_a_bag_of_looked_up_ones_is_a_closed_form():
    model = seeded(lambda: nn.Sequential(nn.Embedding(20, 4), nn.Flatten(), nn.Linear(28, 3)))
    total = model[2].weight.detach().abs().sum().item()
    assert SynFlow().score(model, tokens()) == pytest.approx(total)


@pytest.mark.parametrize("build", [Transformer, Recurrent])
def test_transformers_and_recurrent_nets_have_a_flow(build):
    model = seeded(build)
    first, other = SynFlow().score(model, tokens(seed=1)), SynFlow().score(model, tokens(seed=2))
    assert first == other
    assert first > SynFlow().score(Headless(model), tokens()) > 0


class Headless(nn.Module):
    """The same with the last layer's weights frozen, so that their part is left out."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        model.head.weight.requires_grad_(False)

    def forward(self, x):
        return self.model(x)
