"""Graphs of forward passes: equal where networks are, and only there."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archsmith.evaluate.trace import Trace, alike
from archsmith.hardware.cost import cost


def signature(model, example=None):
    trace = Trace()
    cost(model, torch.zeros(1, 4) if example is None else example, trace.listen)
    return trace.signature(model)


class Twice(nn.Module):
    """One layer used twice, or two layers."""

    def __init__(self, tied):
        super().__init__()
        self.one = nn.Linear(4, 4)
        self.two = self.one if tied else nn.Linear(4, 4)

    def forward(self, x):
        return self.two(self.one(x))


class Branches(nn.Module):
    def __init__(self, swapped):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4, bias=False)
        self._swapped = swapped

    def forward(self, x):
        return self.b(x) + self.a(x) if self._swapped else self.a(x) + self.b(x)


EQUAL = [
    (lambda: nn.Linear(4, 3), lambda: nn.Sequential(nn.Identity(), nn.Linear(4, 3))),
    (lambda: Branches(False), lambda: Branches(True)),
]
DIFFERENT = [
    (lambda: nn.Linear(4, 3), lambda: nn.Linear(4, 3, bias=False)),
    (lambda: nn.ReLU(), lambda: nn.Tanh()),
    (lambda: nn.LeakyReLU(0.1), lambda: nn.LeakyReLU(0.2)),
    (lambda: nn.Dropout(0.1), lambda: nn.Dropout(0.2)),
    (lambda: Twice(True), lambda: Twice(False)),
    (lambda: nn.Linear(4, 4), lambda: nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))),
]


@pytest.mark.parametrize(("one", "two"), EQUAL)
def test_equal_networks_have_equal_signatures(one, two):
    assert signature(one()) == signature(two())


@pytest.mark.parametrize(("one", "two"), DIFFERENT)
def test_different_networks_have_different_ones(one, two):
    assert signature(one()) != signature(two())


def test_listening_changes_no_cost():
    model = nn.Sequential(*(nn.Linear(64, 64) for _ in range(6)))
    example = torch.zeros(1, 64)
    assert cost(model, example, Trace().listen) == cost(model, example)


def seeded(build):
    torch.manual_seed(0)
    return build()


def test_values_that_a_graph_does_not_show_tell_models_apart():
    def scaled(factor):
        layer = nn.Linear(64, 64)
        with torch.no_grad():
            layer.weight.mul_(factor)
        return layer

    def masked(value):
        layer = nn.Linear(4, 4)
        layer.register_buffer("mask", torch.full((4,), value))
        return layer

    assert alike(seeded(lambda: scaled(1.0)), seeded(lambda: scaled(1.0)))
    assert not alike(seeded(lambda: scaled(1.0)), seeded(lambda: scaled(2.0)))
    assert not alike(seeded(lambda: masked(1.0)), seeded(lambda: masked(0.5)))


def test_chance_does_not():
    torch.manual_seed(0)
    one = nn.Linear(64, 64)
    assert alike(one, nn.Linear(64, 64))
