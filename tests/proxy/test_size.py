"""Sizes and norms, counted by hand."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from archsmith.proxy import score_proxies
from archsmith.proxy.size import Flops, L2Norm, Params
from archsmith.testing.proxy import ProxyContract

from .toys import Recurrent, Transformer, convnet, mlp, numbers, pictures, tokens


class TestParams(ProxyContract):
    proxy = Params()


class TestFlops(ProxyContract):
    proxy = Flops()


class TestL2Norm(ProxyContract):
    proxy = L2Norm()


def test_parameters_and_operations_of_two_layers():
    found = score_proxies(mlp(), numbers(), ["params", "flops"])
    assert found == {"params": 6 * 7 + 8 * 3, "flops": 2 * (5 * 7 + 7 * 3)}


def test_frozen_parameters_do_not_count():
    model = mlp()
    model[0].weight.requires_grad_(False)
    assert Params().score(model, numbers()) == 7 + 8 * 3


@pytest.mark.parametrize(("model", "batch"), [(convnet(), pictures()), (Transformer(), tokens())])
def test_operations_are_those_that_torch_counts(model, batch):
    # In training mode nothing is fused, which would hide the operations inside.
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        copy.deepcopy(model).train()(batch.inputs[:2])
    assert Flops().score(model, batch) == counter.get_total_flops() / 2


def test_norms_add_up_over_layers_without_biases_and_norms():
    model = convnet()
    with torch.no_grad():
        for module, value in ((model[0], 1.0), (model[3], 2.0), (model[8], 3.0)):
            module.weight.fill_(value)
        model[1].weight.fill_(100.0)
        model[3].bias.fill_(100.0)
    by_hand = math.sqrt(3 * 2 * 9) + 2 * math.sqrt(4 * 3 * 9) + 3 * math.sqrt(3 * 4)
    assert L2Norm().score(model, pictures()) == pytest.approx(by_hand)


def test_a_table_does_not_count_and_a_tied_matrix_counts_once():
    table, head = nn.Embedding(20, 4), nn.Linear(4, 20, bias=False)
    plain = nn.Sequential(table, head)
    assert L2Norm().score(plain, tokens()) == pytest.approx(head.weight.norm().item())
    head.weight = table.weight
    assert L2Norm().score(plain, tokens()) == pytest.approx(table.weight.norm().item())


def test_all_matrices_of_a_recurrent_layer_count():
    model = Recurrent()
    matrices = [
        p for name, p in model.named_parameters() if "weight" in name and "table" not in name
    ]
    by_hand = sum(p.norm().item() for p in matrices)
    assert len(matrices) == 5
    assert L2Norm().score(model, tokens()) == pytest.approx(by_hand)
