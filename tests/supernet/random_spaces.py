"""Spaces made from a recipe that hypothesis draws: all ways to nest, all ways to choose."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

import archsmith as nas

#: ``(kind, what it needs, ...)``, plain values all through.
Recipe = tuple[Any, ...]

ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "prelu": nn.PReLU}
_few = st.lists(st.sampled_from([2, 4, 6]), min_size=1, max_size=3, unique=True).map(tuple)
_odd = st.lists(st.sampled_from([1, 3, 5]), min_size=1, max_size=3, unique=True).map(tuple)
_counts = st.lists(st.integers(0, 2), min_size=1, max_size=3, unique=True).map(tuple)

_leaves = st.one_of(
    st.tuples(
        st.just("conv"),
        _few,
        _odd,
        st.sampled_from(["dense", "each", "two", "chosen"]),
        st.booleans(),
    ),
    st.tuples(st.just("norm"), st.sampled_from(["batch", "group", "instance", "layer"])),
    st.tuples(st.just("linear"), _few),
    st.sampled_from([("act",), ("drop",), ("pool",)]),
)


def _nested(inner: st.SearchStrategy[Recipe]) -> st.SearchStrategy[Recipe]:
    several = st.lists(inner, min_size=1, max_size=3).map(tuple)
    return st.one_of(
        st.tuples(st.just("sequence"), several),
        st.tuples(st.just("list"), several),
        st.tuples(st.just("residual"), inner),
        st.tuples(st.just("optional"), inner),
        st.tuples(st.just("asks"), inner, inner),
        st.tuples(st.just("one_of"), several),
        st.tuples(st.just("repeat"), _counts, inner),
        st.tuples(st.just("subset"), st.lists(inner, min_size=2, max_size=3).map(tuple)),
    )


recipes = st.recursive(_leaves, _nested, max_leaves=6)


def network(recipe: Recipe) -> nn.Module:
    """Images (n, 3, 6, 6) to 5 numbers."""
    body, width = part(recipe, 3)
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 5))
    return Network(body, head)


def part(recipe: Recipe, width: int) -> tuple[nn.Module, int]:
    """What a recipe says for an input of this width, and the width of its output."""
    kind, *rest = recipe
    if kind == "sequence":
        return _sequence(rest[0], width, nn.Sequential)
    if kind == "list":
        return _sequence(rest[0], width, InTurn)
    if kind == "residual":
        body, out = part(rest[0], width)
        return Residual(body, width, out), out
    if kind == "optional":
        if nas.choose("present", [True, False]):
            return part(rest[0], width)
        return nn.Identity(), width
    if kind == "asks":  # a question that only some architectures are asked, between two parts
        with nas.scope("first"):
            first, width = part(rest[0], width)
        if nas.choose("more", [False, True]):
            width = nas.choose("wide", [2, 4, 6])
        between = nn.Conv2d(3, 3, 1) if width == 3 else nn.Identity()
        with nas.scope("second"):
            second, out = part(rest[1], width)
        return Fits(first, between, second, width), out
    if kind == "one_of":
        return _one_of(rest[0], width)
    if kind == "repeat":
        return _repeat(rest[0], rest[1], width)
    if kind == "subset":
        return _subset(rest[0], width)
    return leaf(recipe, width)


def leaf(recipe: Recipe, width: int) -> tuple[nn.Module, int]:
    kind, *rest = recipe
    if kind == "conv":
        out = nas.choose("width", rest[0])
        kernel = nas.choose("kernel", rest[1])
        groups = {"dense": 1, "two": 2, "each": width}.get(rest[2]) or nas.choose("groups", [1, 2])
        groups = groups if width % groups == out % groups == 0 else 1
        conv = nn.Conv2d(width, out, kernel, padding=kernel // 2, groups=groups, bias=rest[3])
        return conv, out
    if kind == "norm":
        made = {
            "batch": nn.BatchNorm2d,
            "instance": lambda w: nn.InstanceNorm2d(w, affine=True, track_running_stats=True),
            "group": lambda w: nn.GroupNorm(1, w),
            "layer": lambda w: OnChannels(nn.LayerNorm(w)),
        }
        return made[rest[0]](width), width
    if kind == "linear":
        out = nas.choose("width", rest[0])
        return OnChannels(nn.Linear(width, out)), out
    if kind == "act":
        return nas.choose("act", ACTIVATIONS)(), width
    return (nn.Dropout(0.3) if kind == "drop" else nn.AvgPool2d(3, 1, 1)), width


def _sequence(recipes: tuple[Recipe, ...], width: int, kind: Any) -> tuple[nn.Module, int]:
    parts = []
    for i, recipe in enumerate(recipes):
        with nas.scope(f"part{i}"):
            made, width = part(recipe, width)
        parts.append(made)
    return kind(*parts), width


def _one_of(recipes: tuple[Recipe, ...], width: int) -> tuple[nn.Module, int]:
    outs: list[int] = []

    def option(recipe: Recipe) -> Any:
        def build() -> nn.Module:
            made, out = part(recipe, width)
            outs.append(out)
            return made

        return build

    made = nas.one_of("op", {f"op{i}": option(recipe) for i, recipe in enumerate(recipes)})
    return made, outs[-1]


def _repeat(counts: tuple[int, ...], recipe: Recipe, width: int) -> tuple[nn.Module, int]:
    widths = [width]

    def block(_: int) -> nn.Module:
        made, out = part(recipe, widths[-1])
        widths.append(out)
        return made

    return nas.repeat("depth", counts, block), widths[-1]


def _subset(recipes: tuple[Recipe, ...], width: int) -> tuple[nn.Module, int]:
    def branch(recipe: Recipe) -> Any:
        def build() -> nn.Module:
            made, out = part(recipe, width)
            return nn.Sequential(made, nn.Conv2d(out, width, 1))

        return build

    branches = {f"branch{i}": branch(recipe) for i, recipe in enumerate(recipes)}
    return Summed(nas.subset("branches", branches, k=(1, len(recipes)))), width


class Network(nn.Module):
    def __init__(self, body: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.body, self.head = body, head

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


class InTurn(nn.Module):
    def __init__(self, *parts: nn.Module) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, x: Tensor) -> Tensor:
        for inner in self.parts:
            x = inner(x)
        return x


class Residual(nn.Module):
    """The shortcut is there in some architectures alone."""

    def __init__(self, body: nn.Module, width: int, out: int) -> None:
        super().__init__()
        self.body = body
        self.shortcut = nn.Conv2d(width, out, 1, bias=False) if width != out else None

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) + (x if self.shortcut is None else self.shortcut(x))


class Fits(nn.Module):
    def __init__(self, first: nn.Module, between: nn.Module, last: nn.Module, width: int) -> None:
        super().__init__()
        self.first, self.between, self.last, self.width = first, between, last, width

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        x = torch.cat([x] * -(-self.width // x.shape[1]), dim=1)[:, : self.width]
        return self.last(self.between(x))


class Summed(nn.Module):
    def __init__(self, branches: nn.ModuleDict) -> None:
        super().__init__()
        self.branches = branches

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([branch(x) for branch in self.branches.values()]).sum(0)


class OnChannels(nn.Module):
    """A layer for channels that come last."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.movedim(1, -1)).movedim(-1, 1)
