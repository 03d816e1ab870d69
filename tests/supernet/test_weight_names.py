"""Names that the user gives, and refusals whose advice is followed and then found to work."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import archsmith as nas
from archsmith.supernet.supernet import Supernet
from archsmith.supernet.uniform import SPOS
from archsmith.testing import supernet as promise

from . import training_toys as toys


class ThirdParty(nn.Module):
    """All stages in one list, the first block of each unlike the others."""

    def __init__(self, depths: list[int], classes: int = 10) -> None:
        super().__init__()
        self.stem, self.blocks, width = nn.Linear(64, 8), nn.ModuleList(), 8
        for stage, depth in enumerate(depths):
            self.blocks.append(nn.Linear(width, 8 * (stage + 1)))
            width = 8 * (stage + 1)
            for _ in range(depth - 1):
                self.blocks.append(nn.Linear(width, width))
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x.flatten(1))
        for block in self.blocks:
            x = block(x).relu()
        return self.head(x)


def flat(classes: int = 10) -> nn.Module:
    return ThirdParty([nas.choose(f"depth{i}", [1, 2, 3]) for i in range(2)], classes)


def stage_of(path: str, architecture: nas.Architecture) -> str | None:
    head, _, number = path.rpartition(".")
    if head != "blocks":
        return None
    late = int(number) >= architecture["depth0"]
    return f"stage{int(late)}.{int(number) - architecture['depth0'] * late}"


@nas.weight_names(stage_of)
def named(channels: int = 1, classes: int = 10) -> nn.Module:
    return flat(classes)


def test_blocks_that_are_numbered_through_share_weights_by_the_names_that_they_are_given():
    with pytest.raises(nas.SpaceError, match=r"nas\.weight_names says which block is which"):
        Supernet(nas.Space(flat))
    net = Supernet(nas.Space(named))
    weights = [key for key, _ in net.stored() if key.endswith("weight")]
    blocks = [f"stage{i}.{j}.weight" for i, j in itertools.product(range(2), range(3))]
    assert sorted(weights) == sorted(["head.weight", "stem.weight", *blocks])
    for depth in (1, 2, 3):
        first = net.extract(net.space.complete({"depth0": depth})).blocks[depth].weight
        assert torch.equal(first, net.get("stage1.0.weight"))
    x = torch.linspace(-1.0, 1.0, 128).view(2, 64)
    rng = random.Random(0)
    drawn = [net.space.sample(rng) for _ in range(3)]
    promise.only_the_path_moves(net, drawn, lambda model: model(x), promise.OPTIMIZERS[1])
    for architecture in drawn:
        promise.same_outputs_and_gradients(net, architecture, lambda m: m(x), train=True)
        promise.plain(net, architecture, lambda m: m(x), 0.0, pickles=True)


def test_a_named_builder_is_trained():
    session, method = toys.session_of(named), SPOS()
    method.begin(session)
    before = {key: tensor.detach().clone() for key, tensor in session.supernet.stored()}
    for _ in range(4):
        method.step(session, toys.first_batch(session))
        session.step += 1
    for key in ("stage0.0.weight", "stage1.0.weight", "head.weight"):
        assert not torch.equal(before[key], session.supernet.get(key)), key


def test_modules_inside_a_named_one_are_named_below_it_and_options_keep_their_label():
    def build() -> nn.Module:
        op = {"a": lambda: nn.Linear(2, 2), "b": lambda: nn.Linear(2, 2)}
        return nn.Sequential(nn.Sequential(nas.one_of("op", op)))

    space = nas.Space(nas.weight_names(lambda p, _: "block" if p == "0" else None)(build))
    keys = {key for key, _ in Supernet(space).stored()}
    assert keys == {f"block.0={label}.{name}" for label in "ab" for name in ("weight", "bias")}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (lambda path, _: path.partition(".")[0], "a name of its own for each module"),
        (lambda path, a: a["depth9"], "no exception, got KeyError"),
        (lambda path, _: 3, "a name, or None, got 3"),
        (lambda path, _: "", "a name, or None, got ''"),
        (lambda p, a: "stem" if p == "head" and a["depth0"] == 2 else None, "its own for each"),
    ],
)
def test_names_that_are_none_are_refused(names, message):
    space = nas.Space(nas.weight_names(names)(lambda: flat()))
    with pytest.raises(nas.SpaceError, match=message):
        Supernet(space)


# Advice, followed.


class Up(nn.Module):
    """One layer, made alike on either side of an if."""

    def __init__(self, c: int, bilinear: bool) -> None:
        super().__init__()
        if bilinear:
            self.up, self.conv = nn.Upsample(scale_factor=2), nn.Conv2d(c, c // 2, 3, padding=1)
        else:
            self.up = nn.ConvTranspose2d(c, c, 2, 2)
            self.conv = nn.Conv2d(c, c // 2, 3, padding=1)


class Strided(nn.Module):
    """One layer, made otherwise on either side."""

    def __init__(self, c: int, small: bool) -> None:
        super().__init__()
        if small:
            self.conv = nn.Conv2d(c, c, 3, stride=2)
        else:
            self.conv = nn.Conv2d(c, c, 3)


class OneLine(nn.Module):
    def __init__(self, c: int, small: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c, c, 3, stride=2 if small else 1)


class Apart(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        two = {"one": lambda: nn.Conv2d(c, c, 3, stride=2), "two": lambda: nn.Conv2d(c, c, 3)}
        self.conv = nas.one_of("conv", two)


class Block(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c, c, 3, padding=1)


class Wide(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c, c, 5, padding=2)


def keys(builder: Callable[[], nn.Module]) -> set[str]:
    return {key for key, _ in Supernet(nas.Space(builder)).stored()}


def asked() -> bool:
    return nas.choose("asked", [False, True])


def test_one_attribute_made_alike_at_two_lines_is_one_weight():
    assert keys(lambda: Up(8, asked())) == {"conv.weight", "conv.bias", "up.weight", "up.bias"}


def listed(kind: str) -> nn.Module:
    """Two lines for one place of a list; and what may be done about it."""
    small = asked() if kind != "options" else False
    layers: list[nn.Module] = [nn.Conv2d(3, 8, 1)]
    if kind == "branches":
        if small:
            layers.append(nn.Conv2d(8, 8, 3, padding=1))
        else:
            layers.append(nn.Conv2d(8, 8, 5, padding=2))
    elif kind == "one line":
        layers.append(nn.Conv2d(8, 8, 3 if small else 5, padding=1 if small else 2))
    else:
        layers.append(
            nas.one_of(
                "conv",
                {
                    "one": lambda: nn.Conv2d(8, 8, 3, padding=1),
                    "two": lambda: nn.Conv2d(8, 8, 5, padding=2),
                },
            )
        )
    return nn.Sequential(*layers)


def moved(mended: str = "") -> nn.Module:
    """An optional layer in front of another; and the three ways that the mend tells."""
    if mended == "one_of":
        extra = nas.one_of("se", {"se": lambda: nn.Linear(4, 4), "none": nn.Identity})
        return nn.Sequential(extra, nn.Linear(4, 4))
    first = [nn.Linear(4, 4)] if asked() else []
    if mended == "container":
        return nn.Sequential(nn.Sequential(*first), nn.Linear(4, 4))
    return nn.Sequential(*first, nn.Linear(4, 4))


@nas.weight_names(lambda p, a: "last" if p == ("1" if a["asked"] else "0") else None)
def moved_named() -> nn.Module:
    return moved()


CASES = {
    "settings": (
        lambda: Strided(4, asked()),
        [
            "a Conv2d with stride=(1, 1) (",
            "a Conv2d with stride=(2, 2) (",
            "make the layer on one line",
        ],
        [lambda: OneLine(4, asked()), lambda: Apart(4)],
    ),
    "places": (
        lambda: listed("branches"),
        ["weights 1", "make the layer on one line", "nas.one_of('conv'"],
        [lambda: listed("one line"), lambda: listed("options")],
    ),
    "classes": (
        lambda: nn.Sequential(nas.choose("block", {"a": Block, "b": Wide})(8)),
        ["a Conv2d of a Block (0)", "a Conv2d of a Wide (0)", "nas.choose of a class, do not"],
        [lambda: nn.Sequential(nas.one_of("block", {"a": lambda: Block(8), "b": lambda: Wide(8)}))],
    ),
    "the whole model": (
        lambda: (Wide if asked() else Block)(4),
        ["a Conv2d of a Block (", "a Conv2d of a Wide (", "nas.one_of("],
        [lambda: nas.one_of("net", {"a": lambda: Block(4), "b": lambda: Wide(4)})],
    ),
    "moved": (
        moved,
        ["nas.one_of('se'", "a container", "nas.weight_names"],
        [lambda: moved("one_of"), lambda: moved("container"), moved_named],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_differs_is_named_and_each_advice_is_taken(case):
    wrong, parts, mended = CASES[case]
    with pytest.raises(nas.SpaceError) as caught:
        Supernet(nas.Space(wrong))
    for part in parts:
        assert part in str(caught.value)
    for builder in mended:
        assert keys(builder)
