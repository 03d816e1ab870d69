"""Kernels that do not shrink to their centre, and weights for channels that were concatenated."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

import archsmith as nas
from archsmith.supernet.supernet import Supernet
from archsmith.testing import supernet as promise

# Kernels.


class Causal(nn.Module):
    """Sees the past alone: padded on the left, or cut on the right."""

    def __init__(self, kernel: int, how: str = "padded", dilation: int = 1) -> None:
        super().__init__()
        self.reach, self.how = (kernel - 1) * dilation, how
        padding = self.reach if how == "cut" else 0
        self.conv = nn.Conv1d(1, 1, kernel, padding=padding, dilation=dilation, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.how == "cut":
            return self.conv(x)[..., : x.shape[-1]]
        ahead = (0, self.reach) if self.how == "ahead" else (self.reach, 0)
        return self.conv(F.pad(x, ahead))


class Down(nn.Module):
    """Rows are a sequence, columns are not."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.kernel = kernel
        self.conv = nn.Conv2d(1, 1, kernel, padding=(0, kernel // 2), bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 0, self.kernel - 1, 0)))


class Even(nn.Module):
    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 1, kernel, padding=kernel // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


def kernel() -> int:
    return nas.choose("k", [3, 5, 7])


KERNELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "padded": (lambda: Causal(kernel()), (-1,)),
    "cut": (lambda: Causal(kernel(), "cut"), (-1,)),
    "dilated": (lambda: nn.Sequential(Causal(kernel(), dilation=2), nn.Flatten(2)), (-1,)),
    "ahead": (lambda: Causal(kernel(), "ahead"), (0,)),
    "rows": (lambda: nn.Sequential(nn.Identity(), Down(kernel())), (-1, "middle")),
    "even": (lambda: Even(kernel()), ("middle",)),
}


@pytest.mark.parametrize("with_example", [False, True], ids=["noise", "example"])
@pytest.mark.parametrize("how", KERNELS)
def test_the_tap_that_sees_the_present_is_kept(how, with_example):
    builder, taps = KERNELS[how]
    x = torch.arange(36.0).view(1, 1, 6, 6) if how == "rows" else torch.arange(6.0).view(1, 1, 6)
    net = Supernet(nas.Space(builder), example=torch.zeros_like(x) if with_example else None)
    (_, weight), *_ = net.stored()
    place = tuple(weight.shape[2 + d] // 2 if t == "middle" else t for d, t in enumerate(taps))
    with torch.no_grad():
        weight.zero_()
        weight[(0, 0, *place)] = 1.0
    for size in (3, 5, 7):
        architecture = net.space.complete({"k": size})
        assert torch.equal(net.subnet(architecture)(x), x), size
        assert torch.equal(net.extract(architecture)(x), x), size


def test_a_kernel_that_nothing_tells_about_keeps_its_centre():
    net = Supernet(nas.Space(lambda: nn.Sequential(nn.Conv1d(1, 1, kernel()), nn.Flatten())))
    assert net.survey.aligned == {}


def test_where_a_kernel_lies_is_kept_with_the_weights_and_a_rule_comes_first(tmp_path):
    space = nas.Space(KERNELS["padded"][0])
    net = Supernet(space)
    net.survey.aligned["conv.weight"] = ((2, "start"),)  # what only an example could have shown
    net.save(tmp_path / "net.safetensors")
    assert Supernet.load(tmp_path / "net.safetensors", space).survey.aligned == net.survey.aligned

    class Mine(nn.Conv1d):
        pass

    nas.slice_rule(Mine)(lambda layer, name: nas.SlicingRule(align=((2, "end"),)))
    ruled = Supernet(nas.Space(lambda: Mine(1, 1, kernel(), bias=False)))
    small = ruled.extract(ruled.space.complete({"k": 3})).weight
    assert torch.equal(small[0, 0], ruled.get("weight")[0, 0, -3:])
    with pytest.raises(nas.InputError, match="dimension 2: expected start, centre or end"):
        nas.SlicingRule(align=((2, "left"),))


# Concatenated channels.


def block(inside: int, outside: int) -> nn.Sequential:
    conv = nn.Conv2d(inside, outside, 3, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outside), nn.ReLU())


class UNet(nn.Module):
    def __init__(self, deep: bool = False) -> None:
        super().__init__()
        one, two = nas.choose("one", [2, 4, 6]), nas.choose("two", [2, 6])
        more = nas.choose("more", [0, 1]) if deep else 0
        self.down1 = nn.Sequential(block(1, one), *(block(one, one) for _ in range(more)))
        self.down2 = block(one, two)
        self.up = nn.ConvTranspose2d(two, two, 2, 2)
        self.merge = block(two + one, 3)

    def forward(self, x: Tensor) -> Tensor:
        first = self.down1(x)
        second = self.down2(F.max_pool2d(first, 2))
        return self.merge(torch.cat([self.up(second), first], dim=1))


class Dense(nn.Module):
    """DenseNet: each layer reads all before it; a norm in front of a convolution."""

    def __init__(self) -> None:
        super().__init__()
        width, growth = nas.choose("width", [2, 4]), nas.choose("growth", [1, 3])
        depth = nas.choose("depth", [1, 2, 3])
        self.stem = nn.Conv2d(1, width, 3, padding=1)
        self.layers = nn.ModuleList()
        for _ in range(depth):
            self.layers.append(
                nn.Sequential(
                    nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, growth, 3, padding=1)
                )
            )
            width += growth
        self.head = nn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        found = [self.stem(x)]
        for layer in self.layers:
            found.append(layer(torch.cat(found, 1)))
        return self.head(torch.cat(found, 1).mean((2, 3)))


class Heads(nn.Module):
    """Two flat vectors side by side, one with pixels in it, and numbers that are no layer's."""

    def __init__(self) -> None:
        super().__init__()
        a, b = nas.choose("a", [2, 4]), nas.choose("b", [3, 5])
        self.left, self.right = nn.Conv2d(1, a, 1), nn.Linear(16, b)
        self.head = nn.Linear(16 * a + b + 1, 5)

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(1)
        left = self.left(x).relu().flatten(1)
        return self.head(torch.cat([left, self.right(flat).tanh(), flat[:, :1]], -1))


X = torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(0))


def columns(net: Supernet, architecture: nas.Architecture, name: str) -> list[int]:
    """Which columns of the stored weight an architecture takes."""
    stored = net.get(f"{name}.weight")
    dim = 1 if stored.ndim > 1 else 0
    numbers = torch.arange(float(stored.shape[dim]))
    with torch.no_grad():
        stored.copy_(numbers.view(-1, *[1] * (stored.ndim - 1 - dim)).expand(stored.shape))
    weight = net.extract(architecture).get_submodule(name).weight
    return (
        weight.movedim(dim, 0).flatten(1)[:, 0].long().tolist() if dim else weight.long().tolist()
    )


@pytest.mark.slow
def test_each_part_of_a_unet_merge_takes_its_own_columns(tmp_path):
    space = nas.Space(UNet, deep=True)
    net = Supernet(space, example=torch.zeros(2, 1, 4, 4))
    net.save(tmp_path / "net.safetensors")
    for supernet in (net, Supernet.load(tmp_path / "net.safetensors", space)):
        for one, two, more in itertools.product([2, 4, 6], [2, 6], [0, 1]):
            architecture = space.complete({"one": one, "two": two, "more": more})
            expected = [*range(two), *range(6, 6 + one)]
            assert columns(supernet, architecture, "merge.0") == expected


def test_layers_of_a_densenet_and_their_norms_find_each_part():
    net = Supernet(nas.Space(Dense), example=torch.zeros(2, 1, 4, 4))
    architecture = net.space.complete({"width": 2, "growth": 1, "depth": 3})
    assert columns(net, architecture, "layers.2.2") == [0, 1, 4, 7]
    assert columns(net, architecture, "layers.2.0") == [0, 1, 4, 7]
    assert columns(net, architecture, "head") == [0, 1, 4, 7, 10]
    shallow = net.space.complete({"width": 4, "growth": 3, "depth": 1})
    assert columns(net, shallow, "head") == [0, 1, 2, 3, 4, 5, 6]


def test_flat_vectors_and_inputs_side_by_side():
    net = Supernet(nas.Space(Heads), example=torch.zeros(2, 1, 4, 4))
    taken = columns(net, net.space.complete({"a": 2, "b": 3}), "head")
    assert taken == [*range(32), 64, 65, 66, 69]


@pytest.mark.slow
@pytest.mark.parametrize("builder", [UNet, Dense, Heads])
@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 50))
def test_what_is_extracted_computes_what_is_lent(builder, seed):
    net = Supernet(nas.Space(builder), example=torch.zeros(2, 1, 4, 4), seed=seed)
    rng = random.Random(seed)
    drawn = [net.survey.smallest, *(net.space.sample(rng) for _ in range(2))]

    def run(model: nn.Module) -> Tensor:
        return model(X)

    promise.only_the_path_moves(net, drawn, run, promise.OPTIMIZERS[1])
    for architecture in drawn:
        promise.same_outputs_and_gradients(net, architecture, run, train=True)
        promise.gradients_inside(net, architecture, run)


def test_a_layer_says_the_sizes_of_its_parts_itself():
    class Merge(nn.Linear):
        def __init__(self, left: int, right: int) -> None:
            super().__init__(left + right, 4)
            self.left, self.right = left, right

    @nas.slice_rule(Merge)
    def _(layer: Merge, name: str) -> nas.SlicingRule:
        parts = ((1, (layer.left, layer.right)),) if name == "weight" else ()
        return nas.SlicingRule(parts=parts)

    def build() -> nn.Module:
        return nn.Sequential(Merge(nas.choose("left", [2, 3]), nas.choose("right", [1, 5])))

    net = Supernet(nas.Space(build))
    assert net.get("0.weight").shape == (4, 8)
    assert columns(net, net.space.complete({"left": 2, "right": 5}), "0") == [0, 1, 3, 4, 5, 6, 7]
    assert columns(net, net.space.complete({"left": 2, "right": 1}), "0") == [0, 1, 3]
