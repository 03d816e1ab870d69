"""Statistics of normalisation: against the closed form, and without a trace in the store."""

from __future__ import annotations

import random

import torch
from torch import nn

import archsmith as nas
from archsmith.supernet.recalibrate import recalibrate


def net(channels: int = 2, classes: int = 3) -> nn.Module:
    width = nas.choose("width", [4, 8])
    return nn.Sequential(
        nn.Conv2d(channels, width, 1),
        nn.BatchNorm2d(width),
        nn.Dropout(0.5),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(width, classes),
    )


def test_statistics_are_the_mean_over_the_batches():
    torch.manual_seed(0)
    model = net()
    batches = [torch.randn(8, 2, 5, 5) * 3 + 1 for _ in range(4)]
    assert recalibrate(model, batches)
    seen = [model[0](batch).detach() for batch in batches]
    mean = torch.stack([x.mean((0, 2, 3)) for x in seen]).mean(0)
    spread = torch.stack([x.var((0, 2, 3), unbiased=True) for x in seen]).mean(0)
    torch.testing.assert_close(model[1].running_mean, mean)
    torch.testing.assert_close(model[1].running_var, spread)
    assert model[1].momentum == 0.1
    assert not any(module.training for module in model.modules())


def test_a_model_without_such_statistics_is_left_alone():
    model = nn.Sequential(
        nn.Linear(2, 2), nn.LayerNorm(2), nn.BatchNorm1d(2, affine=False, track_running_stats=False)
    )
    assert not recalibrate(model, [torch.randn(4, 2)])


def test_the_store_does_not_move():
    space = nas.Space(net)
    supernet = nas.Supernet(space)
    before = {key: tensor.clone() for key, tensor in supernet.stored()}
    child = supernet.subnet(space.sample(random.Random(0)), own_buffers=True)
    recalibrate(child, [torch.randn(8, 2, 4, 4)])
    assert all(torch.equal(tensor, before[key]) for key, tensor in supernet.stored())
