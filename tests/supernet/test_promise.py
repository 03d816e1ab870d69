"""The promise, on random nested spaces: a subnet computes what its extracted model computes."""

from __future__ import annotations

import random

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import archsmith as nas
from archsmith.supernet.supernet import Supernet
from archsmith.testing import supernet as promise

from .random_spaces import Recipe, network, recipes

IMAGES = torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(0))
calm = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))


def run(model: nn.Module) -> Tensor:
    out: Tensor = model(IMAGES)
    return out


def drawn(net: Supernet, seed: int, count: int = 3) -> list[nas.Architecture]:
    rng = random.Random(seed)
    some = [net.space.sample(rng) for _ in range(count)]
    return list(dict.fromkeys([net.survey.smallest, net.survey.largest, *some]))


@pytest.mark.slow
@calm
@given(recipes, st.integers(0, 3))
def test_random_nested_spaces_keep_the_promise(recipe: Recipe, seed: int):
    net = Supernet(nas.Space(network, recipe=recipe), seed=seed)
    for architecture in drawn(net, seed):
        for train in (True, False):
            promise.same_outputs_and_gradients(net, architecture, run, train)
        promise.gradients_inside(net, architecture, run)
        promise.plain(net, architecture, run, 0.0, pickles=True)


@pytest.mark.slow
@calm
@given(recipes, st.integers(0, 3), st.sampled_from(promise.OPTIMIZERS))
def test_in_random_nested_spaces_only_the_path_moves(recipe, seed, optimizer):
    net = Supernet(nas.Space(network, recipe=recipe), seed=seed)
    promise.only_the_path_moves(net, drawn(net, seed), run, optimizer)
    # Trained weights keep the promise too, and their running statistics.
    for architecture in drawn(net, seed + 1, 1):
        promise.same_outputs_and_gradients(net, architecture, run, train=True)
