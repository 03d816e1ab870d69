"""Blocks, freezing, rates, normalisation, L2-SP: each against numbers worked out here."""

from __future__ import annotations

import copy
import pickle
from collections import OrderedDict

import pytest
import torch
from torch import nn

import archsmith as nas
from archsmith._support.errors import InputError
from archsmith.transfer.pretrained import backbone
from archsmith.transfer.pretrained.minilm import MiniLM
from archsmith.transfer.tuning import (
    L2SP,
    batchnorm,
    freeze,
    layers_in_order,
    layerwise_rates,
    thawed,
)
from archsmith.transfer.tuning.norms import FrozenBatchNorm2d
from archsmith.zoo.convnet import convnet


def network() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 4, 3),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Conv2d(4, 6, 3),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(6, 3),
        )


def names(model: nn.Module) -> list[str]:
    return [block.name for block in layers_in_order(model)]


class Resnet(nn.Module):
    """Stages as attributes, as ResNets are often written."""

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)))

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(2))
        self.conv1, self.bn1 = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)
        self.layer1 = nn.Sequential(self.Block(), self.Block())
        self.layer2 = nn.Sequential(self.Block())


def test_blocks_are_those_that_a_person_would_name():
    assert names(network()) == ["0", "3", "8"]
    assert layers_in_order(network())[0].modules == ("0", "1")
    space = nas.Space(convnet, channels=1, classes=10, height=28, width=28)
    found = names(space.build(space.default(), seed=0))
    assert found == ["stem", *(f"stage{n}.0" for n in (1, 2, 3, 4)), "head"]
    lite = backbone("efficientnet-lite0", weights=False).model
    assert names(lite)[:4] == ["stem", "stage1.0", "stage2.0", "stage2.1"]
    assert len(names(lite)) == 18  # sixteen blocks, stem and top
    below = nn.Sequential(OrderedDict(backbone=Resnet(), head=nn.Linear(4, 2)))
    inside = ["conv1", "layer1.0", "layer1.1", "layer2.0"]
    assert names(below) == [*(f"backbone.{n}" for n in inside), "head"]
    assert names(Resnet())[0] == "conv1"
    with torch.device("meta"):
        encoder = MiniLM()
    assert names(encoder) == ["words", *(f"layers.{i}" for i in range(6))]
    assert layers_in_order(encoder)[0].modules == ("words", "positions", "kinds", "norm")


@pytest.mark.parametrize("made", [network, Resnet, lambda: nn.Linear(2, 2)])
def test_each_parameter_is_in_one_block(made):
    model = made()
    told = [name for block in layers_in_order(model) for name in block.parameters]
    assert sorted(told) == sorted(name for name, _ in model.named_parameters())


def test_patterns_freeze_modules_and_parameters():
    model = network()
    assert freeze(model, "0") == ["0.weight", "0.bias"]
    assert freeze(model, ["*.bias", "8"])[-2:] == ["8.weight", "8.bias"]
    still = [name for name, p in model.named_parameters() if p.requires_grad]
    assert still == ["1.weight", "3.weight", "4.weight"]
    with pytest.raises(InputError, match=r"pattern 'backbone\.\*': expected a name in the model"):
        freeze(model, "backbone.*")


def test_rates_fall_from_the_head_to_the_input():
    model = network()
    groups = layerwise_rates(model, 0.1, 0.5)
    assert [group["name"] for group in groups] == ["0", "3", "8"]
    assert [group["lr"] for group in groups] == pytest.approx([0.025, 0.05, 0.1])
    assert sum(p.numel() for g in groups for p in g["params"]) == sum(
        p.numel() for p in model.parameters()
    )
    torch.optim.SGD(groups)
    freeze(model, "3")
    kept = layerwise_rates(model, 0.1, 0.5)
    assert {g["name"]: g["lr"] for g in kept} == pytest.approx({"0": 0.025, "3": 0.05, "8": 0.1})
    assert len(kept[1]["params"]) == 2  # the norm of that block
    for wrong in (0.0, 1.2):
        with pytest.raises(InputError, match="layer decay"):
            layerwise_rates(model, 0.1, wrong)
    freeze(model, "*")
    with pytest.raises(InputError, match="all of them frozen"):
        layerwise_rates(model, 0.1, 0.5)


def step(model: nn.Module) -> None:
    torch.manual_seed(1)
    model.train()
    model(torch.randn(8, 1, 9, 9) * 3 + 1).square().sum().backward()
    trained = [p for p in model.parameters() if p.requires_grad]
    torch.optim.SGD(trained, lr=0.1).step()


@pytest.mark.parametrize("mode", ["train", "frozen", "adapt"])
def test_what_a_step_changes_in_a_normalisation(mode):
    model = network()
    before = copy.deepcopy(model.state_dict())
    assert batchnorm(model, mode) == ["1", "4"]
    step(model)
    after = model.state_dict()

    def same(kind: str) -> bool:
        held = [n for n in before if n.rpartition(".")[0] in ("1", "4") and n.endswith(kind)]
        return all(torch.equal(before[name], after[name]) for name in held)

    moving = ("running_mean", "running_var", "num_batches_tracked")
    assert [same(kind) for kind in moving] == [mode == "frozen"] * 3
    assert [same(kind) for kind in ("weight", "bias")] == [mode != "train"] * 2
    assert not torch.equal(before["0.weight"], after["0.weight"])


def test_a_frozen_normalisation_computes_by_its_statistics_in_training():
    model = network()
    model[1].running_mean.normal_()
    x = torch.randn(5, 1, 9, 9)
    expected = model.eval()(x)
    batchnorm(model, "frozen")
    assert torch.equal(model.train()(x), expected)
    assert torch.equal(pickle.loads(pickle.dumps(model)).train()(x), expected)
    assert torch.equal(copy.deepcopy(model).train()(x), expected)
    assert model.state_dict().keys() == network().state_dict().keys()


def test_thawed_normalisations_are_torchs_own_again():
    model = network()
    batchnorm(model, "frozen", inside=lambda name: name == "1")
    assert [type(model[i]) for i in (1, 4)] == [FrozenBatchNorm2d, nn.BatchNorm2d]
    assert thawed(model) is model
    assert type(model[1]) is nn.BatchNorm2d
    batchnorm(model, "frozen")
    batchnorm(model, "train")
    assert type(model[1]) is nn.BatchNorm2d
    assert model[1].weight.requires_grad
    step(model)
    assert model[1].num_batches_tracked == 1


def test_normalisations_that_cannot_be_frozen_are_refused():
    class Own(nn.BatchNorm2d):
        pass

    with pytest.raises(InputError, match="batchnorm of 0: expected a batch normalisation of torch"):
        batchnorm(nn.Sequential(Own(3)), "frozen")
    with pytest.raises(InputError, match="'train' or 'frozen' or 'adapt'"):
        batchnorm(network(), "off")
    without = nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False))
    batchnorm(without, "frozen")
    assert not any(p.requires_grad for p in without.parameters())


def test_l2sp_is_its_closed_form():
    model = network()
    fresh = ["8.weight", "8.bias"]
    penalty = L2SP(model, 0.3, fresh, new=0.2)
    start = {n: p.detach().clone() for n, p in model.named_parameters()}
    expected = 0.1 * sum(float(start[n].square().sum()) for n in fresh)
    assert penalty().item() == pytest.approx(expected, rel=1e-5)
    with torch.no_grad():
        for place, parameter in enumerate(model.parameters()):
            parameter.add_(0.01 * (place + 1))
    model[0].requires_grad_(False)
    penalty().backward()
    for place, (name, parameter) in enumerate(model.named_parameters()):
        if name.startswith("0."):
            assert parameter.grad is None
            continue
        moved = torch.full_like(parameter, 0.01 * (place + 1))
        gradient = 0.2 * parameter.detach() if name in fresh else 0.3 * moved
        assert torch.allclose(parameter.grad, gradient, atol=1e-6), name
    moved = [p.numel() * (0.01 * (i + 1)) ** 2 for i, p in enumerate(model.parameters())]
    new = sum(float(p.detach().square().sum()) for p in model[8].parameters())
    assert penalty().item() == pytest.approx(0.15 * sum(moved[2:-2]) + 0.1 * new, rel=1e-4)


def test_l2sp_refuses_what_it_cannot_mean():
    with pytest.raises(InputError, match="0 or a number above it"):
        L2SP(network(), -1.0)
    with pytest.raises(InputError, match=r"'9\.weight'"):
        L2SP(network(), 1.0, ["9.weight"])
