"""A subnet of a supernet as the start for another task."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import archsmith as nas
from archsmith._support.errors import InputError
from archsmith.task.base import Recipe
from archsmith.transfer.tuning import FineTuning, fine_tune, start_from

from .tuning_toys import IMAGES, TARGET, digits, of_classes


def builder(classes: int, channels: int = 1) -> nn.Module:
    width = nas.choose("width", [8, 12])
    kernel = nas.choose("kernel", [3, 5])
    return nn.Sequential(
        nn.Conv2d(channels, width, kernel, padding=kernel // 2),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Conv2d(width, 16, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(64, classes),
    )


@pytest.fixture(scope="module")
def net():
    return nas.Supernet(nas.Space(builder, classes=6), seed=5)


@pytest.mark.parametrize("kind", ["supernet", "file", "weights", "file of weights"])
def test_all_but_the_head_is_that_of_the_supernet(net, tmp_path, kind):
    space = nas.Space(builder, classes=4)
    architecture = space.complete({"width": 8, "kernel": 3})
    child = net.extract(architecture)
    source = net
    if kind == "file":
        source = tmp_path / "net.safetensors"
        net.save(source)
    elif kind == "weights":
        source = child.state_dict()
    elif kind == "file of weights":
        source = tmp_path / "child.pt"
        torch.save(child.state_dict(), source)
    model, fit = start_from(space, source, architecture, seed=2)
    assert fit.classes == (4, 6)
    own, theirs = model.state_dict(), child.state_dict()
    for name in own:
        assert torch.equal(own[name], theirs[name]) != name.startswith("7.")
    fresh = space.build(architecture, seed=2)
    assert torch.equal(fresh[7].weight, model[7].weight)


def test_it_is_the_start_of_a_fine_tuning(net):
    few = of_classes(digits(), TARGET, few=5)
    space = nas.Space(builder, classes=4)
    model, _ = start_from(space, net, space.default())
    options = FineTuning(freeze=1, head="keep", epochs=2)
    found = fine_tune(model, IMAGES, few, options, recipe=Recipe(batch_size=16))
    assert torch.equal(found.model[0].weight, model[0].weight)
    assert not torch.equal(found.model[3].weight, model[3].weight)
    assert torch.equal(model[7].weight, space.build(space.default(), seed=0)[7].weight)


def test_equal_classes_take_the_head_too(net):
    model, fit = start_from(net.space, net, net.space.default())
    assert fit.complete
    assert torch.equal(model[7].weight, net.extract(net.space.default())[7].weight)


def test_what_does_not_fit_is_listed(net, tmp_path):
    coloured = nas.Space(builder, classes=4, channels=3)
    with pytest.raises(InputError) as told:
        start_from(coloured, net, coloured.default())
    assert "another shape: 0.weight is (8, 3, 3, 3), the checkpoint has (8, 1, 3, 3)" in str(
        told.value
    )
    net.save(tmp_path / "net.safetensors")

    def other(classes: int) -> nn.Module:
        return nn.Linear(2, classes)

    with pytest.raises(InputError, match="a supernet of the builder other, got one of builder"):
        start_from(nas.Space(other, classes=2), tmp_path / "net.safetensors", nas.Architecture({}))
