"""Learned matrices between a large kernel and the small one inside it."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn

import archsmith as nas
from archsmith.supernet.kernels import elastic_kernels
from archsmith.supernet.progressive import OFA
from archsmith.supernet.supernet import Supernet
from archsmith.supernet.training import train_supernet
from archsmith.testing import supernet as promise

from . import training_toys as toys

X = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def kernels(channels: int = 1, classes: int = 10) -> nn.Module:
    """A dense and a depthwise kernel; one whose groups are chosen too, and a norm."""
    width, k = nas.choose("width", [2, 4]), nas.choose("kernel", [1, 3, 5])
    groups = nas.choose("groups", [1, 2])
    return nn.Sequential(
        nn.Conv2d(channels, width, k, padding=k // 2),
        nn.BatchNorm2d(width),
        nn.Conv2d(width, width, k, padding=k // 2, groups=width),
        nn.Conv2d(width, 4, k, padding=k // 2, groups=groups),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16, classes),
    )


def run(model: nn.Module) -> Tensor:
    return model(X)


def architectures(net: Supernet) -> list[nas.Architecture]:
    sizes = itertools.product([1, 3, 5], [2, 4])
    return [net.space.complete({"kernel": k, "width": w}) for k, w in sizes]


def test_they_begin_as_the_identity_for_kernels_whose_size_alone_is_chosen():
    net = Supernet(nas.Space(kernels))
    sizes = [(5, 5), (3, 3), (1, 1)]
    assert elastic_kernels(net.survey) == {"0.weight": sizes, "2.weight": sizes}
    before = {a: net.extract(a).eval()(X) for a in architectures(net)}
    net.transform_kernels()
    assert torch.equal(net.get("0.weight~3x3"), torch.eye(9))
    for architecture, out in before.items():
        assert torch.allclose(net.extract(architecture).eval()(X), out, atol=1e-6)


def test_a_small_kernel_is_the_product_and_the_largest_does_without(tmp_path):
    net = Supernet(nas.Space(kernels))
    net.transform_kernels()
    with torch.no_grad():
        net.get("0.weight~3x3").mul_(2.0)
        net.get("0.weight~1x1").mul_(3.0)
    stored = net.get("0.weight")
    for size, factor in ((5, 1.0), (3, 2.0), (1, 6.0)):
        weight = net.extract(net.space.complete({"kernel": size, "width": 4}))[0].weight
        edge = (5 - size) // 2
        assert torch.allclose(weight, factor * stored[:, :, edge : 5 - edge, edge : 5 - edge])
    net.save(tmp_path / "net.safetensors")
    back = Supernet.load(tmp_path / "net.safetensors", net.space)
    for architecture in architectures(net):
        one, two = (n.extract(architecture).eval()(X) for n in (net, back))
        assert torch.equal(one, two)
    for architecture in architectures(net):
        promise.same_outputs_and_gradients(net, architecture, run, train=True)


def test_only_the_matrices_on_the_way_learn():
    net = Supernet(nas.Space(kernels))
    net.transform_kernels()
    for size, used in ((5, set()), (3, {"3x3"}), (1, {"3x3", "1x1"})):
        net.zero_grad(set_to_none=True)
        run(net.subnet(net.space.complete({"kernel": size}))).square().sum().backward()
        learning = {key.partition("~")[2] for key, t in net.stored() if t.grad is not None}
        assert learning - {""} == used


@pytest.mark.slow
@pytest.mark.parametrize("stop", [1, 3])
def test_a_training_with_matrices_goes_on_as_if_it_had_not_been_stopped(tmp_path, stop):
    class Stopped(Exception):
        pass

    def halt(row: dict[str, float]) -> None:
        if row["epoch"] == stop:
            raise Stopped

    def train(folder, on_epoch=None) -> Supernet:
        net = Supernet(nas.Space(kernels, channels=1, classes=10))
        train_supernet(
            net,
            OFA(),
            toys.IMAGES,
            toys.digits(),
            toys.RECIPE,
            seed=0,
            checkpoint=folder,
            on_epoch=on_epoch,
        )
        return net

    whole = train(tmp_path / "whole")
    with pytest.raises(Stopped):
        train(tmp_path / "parts", halt)
    resumed = train(tmp_path / "parts")
    assert not torch.equal(whole.get("0.weight~3x3"), torch.eye(9))
    for (key, one), (_, two) in zip(whole.stored(), resumed.stored(), strict=True):
        assert torch.equal(one, two), key
