"""The promise on what people copy: a ResNet, a mobile network, a GPT; and on all of the zoo."""

from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor, nn

import archsmith as nas
from archsmith._support.trees import as_spec, call, example_of
from archsmith.supernet import survey
from archsmith.supernet.supernet import Supernet
from archsmith.testing import supernet as promise
from archsmith.testing.supernet import SupernetContract
from archsmith.zoo import spaces

from . import families


@pytest.mark.slow
class TestResNet(SupernetContract):
    space, shape, samples = families.RESNET, (1, 2, 8, 8), 3


@pytest.mark.slow
class TestMobileNet(SupernetContract):
    space, shape, samples = families.MOBILENET, (1, 2, 8, 8), 2


@pytest.mark.slow
class TestGPT(SupernetContract):
    space, shape, dtype, samples = families.GPT, (1, 7), "int64", 3


def test_the_small_zoo_is_the_whole_zoo():
    assert {*families.ZOO} == {*spaces.names()}


@pytest.mark.slow
@pytest.mark.parametrize("name", families.ZOO)
def test_zoo_spaces_keep_the_promise(name, monkeypatch):
    monkeypatch.setattr(survey, "_QUIET", 4)  # a short look: what it misses is taken in later
    space, (_, shape, dtype) = families.zoo(name), families.ZOO[name]
    net, rng = Supernet(space), random.Random(0)
    inputs = example_of(as_spec(shape, dtype), 3)

    def run(model: nn.Module) -> Tensor:
        return promise.as_one(call(model, inputs))

    drawn = [net.survey.smallest, net.survey.largest, space.sample(rng)]
    promise.only_the_path_moves(net, drawn, run, promise.OPTIMIZERS[0])
    net = Supernet(space)  # those steps may have made the weights of wide networks infinite
    for architecture in drawn:
        for train in (True, False):
            promise.same_outputs_and_gradients(net, architecture, run, train)
        promise.gradients_inside(net, architecture, run)
    promise.plain(net, drawn[2], run, 0.0, pickles=True)


@pytest.mark.slow
def test_the_survey_tells_what_each_decision_does():
    effects = Supernet(families.MOBILENET).survey.effects
    assert effects["scale"] == "width"
    assert effects["stage1"] == effects["stage2"] == "depth"
    assert effects["stage1.0.kernel"] == "kernel"
    assert effects["stage2.1.expansion"] == "width"
    assert effects["stage2.2.excite"] == "operation"
    effects = Supernet(families.GPT).survey.effects
    assert (effects["width"], effects["depth"]) == ("width", "depth")
    assert (effects["depth.1.ratio"], effects["depth.1.heads"]) == ("width", "value")


@pytest.mark.slow
def test_the_largest_and_the_smallest_are_the_extremes():
    for space in (families.RESNET, families.GPT):
        found = Supernet(space).survey

        def size(architecture: nas.Architecture, space: nas.Space = space) -> int:
            return sum(p.numel() for p in space.build(architecture, device="meta").parameters())

        rng = random.Random(1)
        sizes = [size(space.sample(rng)) for _ in range(100)]
        assert size(found.smallest) <= min(sizes)
        assert size(found.largest) >= max(sizes)


@pytest.mark.slow
def test_a_supernet_is_a_function_of_its_seed():
    one, two, other = (Supernet(families.GPT, seed=seed) for seed in (3, 3, 4))
    values = dict(two.stored())
    assert all(torch.equal(tensor, values[key]) for key, tensor in one.stored())
    assert not torch.equal(one.get("tokens.weight"), other.get("tokens.weight"))


def test_the_largest_starts_as_the_builder_makes_it():
    """Custom initialisation is kept: the store begins with the values of whole models."""
    net = Supernet(families.GPT, seed=5)
    built = families.GPT.build(net.survey.largest, seed=5).state_dict()
    for name, tensor in net.extract(net.survey.largest).state_dict().items():
        assert torch.equal(tensor, built[name]), name
    assert 0.015 < net.get("tokens.weight").std().item() < 0.025
