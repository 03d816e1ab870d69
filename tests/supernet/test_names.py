"""What cannot share weights is refused before training, by name; natural code is not."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import os
import pickle
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import archsmith as nas
from archsmith.supernet.supernet import Supernet


def conv(inside: int, outside: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(),
    )


class Block(nn.Module):
    def __init__(self, inside: int, outside: int, stride: int = 1) -> None:
        super().__init__()
        self.first = conv(inside, outside, 3, stride)
        self.second = nn.Conv2d(outside, outside, 1)


class Plain(nn.Module):
    """Named differently inside: not every constructor calls itself ``self``."""

    def __init__(this, width: int) -> None:
        super().__init__()
        this.inner = nn.Linear(width, width)


REFUSED: list[tuple[Callable[[], nn.Module], list[str]]] = []
TAKEN: list[Callable[[], nn.Module]] = []


def refused(*parts: str) -> Callable[[Callable[[], nn.Module]], Callable[[], nn.Module]]:
    """A builder that is refused with a message that holds these parts."""

    def register(builder: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
        REFUSED.append((builder, list(parts)))
        return builder

    return register


def taken(builder: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    TAKEN.append(builder)
    return builder


# What moves positions.


@refused("weights 1.0", "test_names.py", "nas.one_of('se'")
def an_optional_layer_of_a_helper() -> nn.Module:
    layers = [conv(3, 8)]
    if nas.choose("extra", [False, True]):
        layers.append(conv(8, 8))
    layers.append(conv(8, 8))
    return nn.Sequential(*layers)


@refused("weights 1", "Conv2d", "test_names.py", "nas.one_of('se'")
def an_optional_layer_of_equal_shape() -> nn.Module:
    layers = [nn.Conv2d(3, 8, 1)]
    if nas.choose("extra", [False, True]):
        layers.append(nn.Conv2d(8, 8, 1))
    layers.append(nn.Conv2d(8, 8, 1))
    return nn.Sequential(*layers)


@refused("weights blocks.1", "test_names.py")
def an_optional_block_in_a_module_list() -> nn.Module:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList([Plain(4)])
            if nas.choose("extra", [False, True]):
                self.blocks.append(Plain(4))
            self.blocks.append(Plain(4))

    return Net()


@refused("weights 1", "drop=False", "drop=True")
def an_optional_layer_without_weights_in_front() -> nn.Module:
    layers: list[nn.Module] = [nn.Dropout()] if nas.choose("drop", [False, True]) else []
    return nn.Sequential(*layers, *(nn.Linear(8, 8) for _ in range(3)))


@refused("weights 2", "Linear", "test_names.py")
def a_head_behind_a_chosen_number_of_layers() -> nn.Module:
    layers: list[nn.Module] = []
    for _ in range(nas.choose("layers", [1, 2, 3])):
        layers += [nn.Linear(8, 8), nn.ReLU()]
    layers.append(nn.Linear(8, 8))
    return nn.Sequential(*layers)


@refused("weights 1", "depth=1", "depth=3")
def a_last_layer_unlike_the_others() -> nn.Module:
    sizes = [8] + [16] * nas.choose("depth", [1, 2, 3]) + [4]
    return nn.ModuleList(nn.Linear(*pair) for pair in itertools.pairwise(sizes))


@refused("weights 2.first", "'depth0'", "'depth1'")
def stages_in_one_list_with_depths_asked_inside() -> nn.Module:
    layers: list[nn.Module] = [conv(3, 8)]
    for stage in range(3):
        for i in range(nas.choose(f"depth{stage}", [1, 2, 3])):
            layers.append(Block(8, 8, 2 if i == 0 else 1))  # noqa: PERF401
    return nn.Sequential(*layers)


@refused("weights 2", "number 2 with depth0=1", "number 4 with depth0=3", "nas.repeat does")
def stages_in_one_list_with_depths_asked_before() -> nn.Module:
    depths = [nas.choose(f"depth{stage}", [1, 2, 3]) for stage in range(3)]
    layers: list[nn.Module] = [conv(3, 8)]
    for depth in depths:
        layers += [Block(8, 8, 2 if i == 0 else 1) for i in range(depth)]
    return nn.Sequential(*layers)


@refused("weights features.2", "depth0")
def stages_of_growing_width_in_one_list() -> nn.Module:
    depths = [nas.choose(f"depth{stage}", [1, 2]) for stage in range(3)]
    scale = nas.choose("scale", [1, 2])
    net, inside = nn.Module(), 8
    net.features = nn.ModuleList([conv(3, 8)])
    for depth, width in zip(depths, (8, 16, 32), strict=True):
        for i in range(depth):
            net.features.append(Block(inside, width * scale, 2 if i == 0 else 1))
            inside = width * scale
    return net


@refused("weights block1", "depth0")
def stages_numbered_through_by_name() -> nn.Module:
    depths = [nas.choose(f"depth{stage}", [1, 2]) for stage in range(2)]
    net, number = nn.Module(), 0
    for depth in depths:
        for i in range(depth):
            net.add_module(f"block{number}", Block(8, 8, 2 if i == 0 else 1))
            number += 1
    return net


# What means two things under one name.


@refused("weights inner", "a Conv2d (test_names.py:", "a Linear (test_names.py:", "nas.one_of(")
def another_kind_in_another_branch() -> nn.Module:
    net = nn.Module()
    if nas.choose("kind", ["conv", "linear"]) == "conv":
        net.inner = nn.Conv2d(3, 8, 1)
    else:
        net.inner = nn.Linear(3, 8)
    return net


@refused("weights inner", "Conv2d", "test_names.py")
def the_same_kind_in_another_branch() -> nn.Module:
    net = nn.Module()
    if nas.choose("stride", [1, 2]) == 1:
        net.inner = nn.Conv2d(3, 8, 3)
    else:
        net.inner = nn.Conv2d(3, 8, 3, stride=2)
    return net


@refused("weights norm", "a BatchNorm2d", "a GroupNorm", "nas.choose of a class")
def a_class_that_is_chosen() -> nn.Module:
    norms = {"batch": nn.BatchNorm2d, "group": functools.partial(nn.GroupNorm, 2)}
    net = nn.Module()
    net.norm = nas.choose("norm", norms)(8)
    return net


@refused("parameter gain", "(4, 4) and (4,)", "2 dimensions instead of 1", "axes=2", "slice_rule")
def another_number_of_dimensions() -> nn.Module:
    net = nn.Module()
    net.gain = nn.Parameter(torch.zeros((4,) * nas.choose("axes", [1, 2])))
    return net


@refused("parameter table", "torch.float64 instead of torch.float32", "precise=True")
def another_type_of_numbers() -> nn.Module:
    net = nn.Module()
    dtype = torch.float64 if nas.choose("precise", [False, True]) else torch.float32
    net.table = nn.Parameter(torch.zeros(3, dtype=dtype))
    return net


@refused("parameter fused", "(9,)", "does not hold 2 equal parts", "width=9")
def parts_that_do_not_fit() -> nn.Module:
    class Halves(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.fused = nn.Parameter(torch.zeros(width))

    nas.slice_rule(Halves)(lambda layer, name: nas.SlicingRule(parts=((0, 2),)))
    return Halves(nas.choose("width", [8, 9]))


@refused("parameter 0.weight", "a lazy layer, LazyLinear", "give the layer its sizes")
def a_lazy_layer() -> nn.Module:
    return nn.Sequential(nn.LazyLinear(nas.choose("width", [2, 3])))


# What draws at random.


@refused("the same model for the same architecture", "in one of two builds")
def a_random_number_of_layers() -> nn.Module:
    count = random.randint(1, 3)
    return nn.Sequential(
        nn.Linear(3, nas.choose("width", [2, 3])), *[nn.PReLU() for _ in range(count)]
    )


@refused("0.weight of shape (4, 3, ")
def a_random_kernel() -> nn.Module:
    width = nas.choose("width", [2, 3])
    return nn.Sequential(nn.Conv2d(3, 4, random.choice([3, 5])), nn.Conv2d(4, width, 1))


@refused("0.weight of shape (4, 3, ")
def a_kernel_drawn_with_torch() -> nn.Module:
    width = nas.choose("width", [2, 3])
    return nn.Sequential(nn.Conv2d(3, 4, 3 if torch.rand(()) < 0.5 else 5), nn.Conv2d(4, width, 1))


class Keeping(nn.Module):
    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value, self.inner = value, nn.Linear(8, nas.choose("width", [2, 3]))


@refused("attribute value", "register_buffer")
def a_random_tensor_in_an_attribute() -> nn.Module:
    return Keeping(torch.randperm(8))


@refused("attribute value")
def a_random_array_in_an_attribute() -> nn.Module:
    return Keeping(np.random.permutation(8))


@refused("attribute value")
def a_random_number_in_a_dict() -> nn.Module:
    return Keeping({"rate": [random.random()]})


@refused("attribute value", "op='mixes'")
def a_random_tensor_in_a_rare_option() -> nn.Module:
    options = {"wide": lambda: nn.Linear(8, 90), "mixes": lambda: Keeping(torch.randperm(8))}
    return nas.one_of("op", options)


@pytest.mark.parametrize(("builder", "parts"), REFUSED, ids=lambda v: getattr(v, "__name__", ""))
def test_what_cannot_be_shared_is_refused(builder, parts):
    with pytest.raises(nas.SpaceError) as caught:
        Supernet(nas.Space(builder))
    for part in parts:
        assert part in str(caught.value)
    assert "hint:" in str(caught.value)


# Natural code.


class ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.width = 8
        self.stem = conv(3, 8)
        self.layer1 = self._make_layer(
            nas.choose("width", [8, 16]), nas.choose("depth1", [1, 2, 3]), 1
        )
        self.layer2 = self._make_layer(2 * self.width, nas.choose("depth2", [1, 2, 3]), 2)
        self.fc = nn.Linear(self.width, 10)

    def _make_layer(self, width: int, count: int, stride: int) -> nn.Sequential:
        layers = [Block(self.width, width, stride)]
        self.width = width
        layers += [Block(width, width) for _ in range(1, count)]
        return nn.Sequential(*layers)


taken(ResNet)


@taken
def questions_between_blocks() -> nn.Module:
    layers: list[nn.Module] = [conv(3, 8)]
    for i in range(3):
        squeezed = nas.choose(f"se{i}", [False, True])
        ratio = nas.choose(f"ratio{i}", [2, 4]) if squeezed else 1
        squeeze = nn.Conv2d(8, 8 // ratio, 1) if squeezed else nn.Identity()
        layers.append(nn.Sequential(Block(8, 8), squeeze))
    return nn.Sequential(*layers)


@taken
def chosen_activations() -> nn.Module:
    kind = nas.choose("act", {"relu": nn.ReLU, "gelu": nn.GELU})
    last = nn.Tanh() if nas.choose("last", ["tanh", "none"]) == "tanh" else nn.Identity()
    return nn.Sequential(nn.Conv2d(3, 8, 1), kind(), nn.Conv2d(8, 8, 1), last, nn.Conv2d(8, 8, 1))


@taken
def comprehensions() -> nn.Module:
    width, depth = nas.choose("width", [4, 8]), nas.choose("depth", [1, 2, 4])
    return nn.Sequential(
        conv(3, width),
        nn.Sequential(*[Block(width, width) for _ in range(depth)]),
        nn.Sequential(*(conv(width, width, nas.choose(f"k{i}", [1, 3])) for i in range(depth))),
    )


class ConvNormAct(nn.Sequential):
    def __init__(self, inside: int, outside: int, kernel: int) -> None:
        super().__init__(
            nn.Conv2d(inside, outside, kernel, padding=kernel // 2), nn.BatchNorm2d(outside)
        )


@taken
def a_subclassed_sequential() -> nn.Module:
    width = nas.choose("width", [4, 8])
    layers = [ConvNormAct(3, width, 3)]
    for i in range(nas.choose("depth", [1, 2, 3])):
        layers.append(ConvNormAct(width, width, nas.choose(f"kernel{i}", [3, 5])))  # noqa: PERF401
    return nn.Sequential(*layers)


@dataclasses.dataclass
class Config:
    width: int
    depth: int
    kernel: int = 3


class Configured(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        make = functools.partial(conv, config.width, config.width, kernel=config.kernel)
        self.stem = conv(3, config.width)
        self.blocks = nn.ModuleList([make() for _ in range(config.depth)])
        self.head = nn.Linear(config.width, 3)


@taken
def a_dataclass_and_a_partial() -> nn.Module:
    depth, kernel = nas.choose("depth", [1, 2]), nas.choose("kernel", [3, 5])
    return Configured(Config(nas.choose("width", [4, 8]), depth, kernel))


@taken
def dense_connections() -> nn.Module:
    growth, width = nas.choose("growth", [2, 4]), 8
    layers: list[nn.Module] = [conv(3, 8)]
    for stage in range(2):
        count = nas.choose(f"count{stage}", [1, 2, 3])
        layers.append(nn.ModuleList([conv(width + i * growth, growth) for i in range(count)]))
        width += count * growth
        layers.append(nn.Conv2d(width, width // 2, 1))
        width //= 2
    return nn.Sequential(*layers, nn.Linear(width, 10))


@taken
def rates_that_depend_on_the_depth() -> nn.Module:
    depth = nas.choose("depth", [2, 3, 4])
    return nn.ModuleList(
        nn.Sequential(Block(8, 8), nn.Dropout(0.1 * i / depth)) for i in range(depth)
    )


@taken
def an_optional_attribute() -> nn.Module:
    net = nn.Module()
    net.first, net.down = (
        nn.Linear(4, 4),
        nn.Linear(4, 4) if nas.choose("down", [True, False]) else None,
    )
    net.second = nn.Linear(4, 4, bias=nas.choose("bias", [True, False]))
    return net


@taken
def named_blocks_in_a_loop() -> nn.Module:
    net = nn.Sequential()
    for i in range(nas.choose("depth", [1, 2, 3])):
        net.add_module(f"block{i}", Block(8, 8))
    net.add_module("head", nn.Conv2d(8, 2, 1))
    return net


@taken
def blocks_that_are_left_out_by_name() -> nn.Module:
    net = nn.Module()
    for i, used in enumerate([nas.choose(f"use{i}", [False, True]) for i in range(4)]):
        if used:
            setattr(net, f"block{i}", Block(8, 8, 2 if i == 2 else 1))
    return net


@taken
def blocks_that_become_the_identity() -> nn.Module:
    layers: list[nn.Module] = []
    for i in range(4):
        if nas.choose(f"skip{i}", [False, True]):
            layers.append(nn.Identity())
        else:
            layers.append(Plain(4))
    return nn.Sequential(*layers)


@taken
def layers_that_become_the_identity_and_widths_with_them() -> nn.Module:
    layers, width = [], 3
    for i in range(3):
        skipped = nas.choose(f"skip{i}", [False, True])
        layers.append(nn.Identity() if skipped else nn.Linear(width, 8))
        width = width if skipped else 8
    return nn.Sequential(*layers)


@taken
def layers_of_their_own_widths() -> nn.Module:
    layers: list[nn.Module] = []
    inside = 8
    for i in range(nas.choose("layers", [1, 2, 3])):
        outside = nas.choose(f"width{i}", [8, 16])
        layers += [nn.Linear(inside, outside), nn.ReLU()]
        inside = outside
    return nn.Sequential(nn.Sequential(*layers), nn.Linear(inside, 2))


@taken
def an_activation_between_two() -> nn.Module:
    between = [nn.ReLU()] if nas.choose("act", [True, False]) else []
    return nn.Sequential(nn.Linear(8, 8), *between, nn.Linear(8, 8))


@taken
def options_of_different_lengths() -> nn.Module:
    pair = functools.partial(nn.Sequential, nn.Conv2d(8, 8, 1, bias=False), nn.BatchNorm2d(8))
    options = {"one": lambda: conv(8, 8), "pair": lambda: nn.Sequential(pair(), conv(8, 8))}
    return nn.Sequential(nas.one_of("op", options), nn.Conv2d(8, 2, 1))


@taken
def the_whole_net_is_an_option() -> nn.Module:
    def deep() -> nn.Module:
        return nn.Sequential(*[Block(8, 8) for _ in range(nas.choose("depth", [1, 2]))])

    return nas.one_of("net", {"deep": deep, "flat": lambda: nn.Linear(8, nas.choose("w", [2, 3]))})


@taken
def dicts_of_modules_in_a_list() -> nn.Module:
    width = nas.choose("width", [8, 16])
    blocks = nn.ModuleList()
    for i in range(nas.choose("depth", [1, 2, 3])):
        parts = {
            "attention": nn.MultiheadAttention(width, nas.choose(f"heads{i}", [1, 2])),
            "mlp": nn.Sequential(nn.Linear(width, 2 * width), nn.Linear(2 * width, width)),
        }
        if nas.choose(f"norm{i}", [True, False]):
            parts["norm"] = nn.LayerNorm(width)
        blocks.append(nn.ModuleDict(parts))
    return nn.ModuleDict({"blocks": blocks, "out": nn.Linear(width, 2)})


@taken
def drawn_weights_and_steady_attributes() -> nn.Module:
    generator = torch.Generator().manual_seed(3)
    net = Keeping(torch.randperm(8, generator=generator))
    net.own = nn.Parameter(torch.randn(3, 4))
    net.register_buffer("noise", torch.randn(5))
    net.act, net.rates = functools.partial(torch.relu), np.linspace(0, 1, 3)
    return net


@pytest.mark.slow
@pytest.mark.parametrize("builder", TAKEN, ids=lambda b: b.__name__)
def test_natural_code_is_taken(builder):
    states = random.getstate(), torch.random.get_rng_state()
    net = Supernet(nas.Space(builder))
    assert random.getstate() == states[0]
    assert torch.equal(torch.random.get_rng_state(), states[1])
    rng, version = random.Random(0), net.version
    for _ in range(20):
        net.subnet(net.space.sample(rng))
    assert net.version == version  # the survey had seen all there is


def test_a_shift_that_no_torch_layer_shows_is_a_known_limit():
    """The stride is in ``forward`` alone: all blocks look the same, and share by position."""

    class Strided(nn.Module):
        def __init__(self, stride: int) -> None:
            super().__init__()
            self.stride, self.inner = stride, nn.Conv2d(8, 8, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x)[..., :: self.stride, :: self.stride]

    def build() -> nn.Module:
        depths = [nas.choose(f"depth{stage}", [1, 2]) for stage in range(2)]
        return nn.Sequential(
            *[Strided(2 if i == 0 else 1) for depth in depths for i in range(depth)]
        )

    assert set(dict(Supernet(nas.Space(build)).stored())) == {
        f"{i}.inner.{name}" for i in range(4) for name in ("weight", "bias")
    }


# Files.


def small(width: int = 4) -> nn.Module:
    return nn.Sequential(nn.Linear(3, nas.choose("width", [2, width])), nn.PReLU())


def other(width: int = 4) -> nn.Module:
    return nn.Sequential(nn.Linear(3, nas.choose("width", [2, width])), nn.PReLU())


@pytest.fixture
def file(tmp_path):
    Supernet(nas.Space(small)).save(tmp_path / "net.safetensors")
    return tmp_path / "net.safetensors"


@pytest.mark.parametrize("space", [nas.Space(other), nas.Space(small, width=5)])
def test_a_file_of_another_space_is_refused(file, space):
    with pytest.raises(nas.InputError, match=r"one of small.*\{\}") as caught:
        Supernet.load(file, space)
    assert "hint: open it with the space" in str(caught.value)


def test_files_that_are_none_are_refused(file, tmp_path):
    whole = file.read_bytes()
    net = Supernet(nas.Space(small))
    wrong = {
        "truncated": whole[:-5],
        "header": whole[:20],
        "empty": b"",
        "text": b"hello there",
        "pickle": pickle.dumps({"weights": [1, 2]}),
    }
    torch.save(net.state_dict(), tmp_path / "torch")
    for name, content in wrong.items():
        (tmp_path / name).write_bytes(content)
    for name in (*wrong, "torch"):
        with pytest.raises(nas.InputError, match="safetensors"):
            Supernet.load(tmp_path / name, net.space)
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(nas.InputError, match="a file of weights"):
            Supernet.load(path, net.space)


def test_a_safetensors_file_of_something_else_is_refused(tmp_path):
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(2)}, tmp_path / "plain.safetensors")
    with pytest.raises(nas.InputError, match="one of another kind"):
        Supernet.load(tmp_path / "plain.safetensors", nas.Space(small))


def test_an_architecture_of_another_space_is_refused():
    net = Supernet(nas.Space(small))
    for answers, part in (
        ({"width": 3}, "one of"),
        ({"width": 2, "depth": 1}, "depth"),
        ({}, "width"),
    ):
        for use in (net.subnet, net.extract):
            with pytest.raises(nas.SpaceError, match=part):
                use(nas.Architecture(answers))


def test_a_save_that_fails_leaves_the_old_file(file, monkeypatch):
    before = file.read_bytes()

    def full(source: object, target: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(nas.ArchsmithError, match="no space left"):
        Supernet(nas.Space(small), seed=1).save(file)
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == [file.name]
