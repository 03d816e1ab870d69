"""Mutations of all decisions of one kind."""

from __future__ import annotations

import random

from torch import nn

import archsmith as nas
from archsmith.strategy.alike import mutate_alike

WIDTHS = [8, 16, 24, 32]


def stages() -> nn.Module:
    nas.choose("activation", ["relu", "silu"])
    for number in range(3):
        with nas.scope(f"stage{number}"):
            nas.choose("width", WIDTHS, default=16)
            nas.choose("residual", [False, True])
            nas.repeat("depth", [1, 2, 3], lambda _: nas.one_of("op", {"a": nn.ReLU, "b": nn.SiLU}))
    return nn.Identity()


def test_all_of_one_kind_change_alike_and_nothing_else():
    space = nas.Space(stages)
    default, kinds = space.default(), set()
    for seed in range(200):
        mutant = mutate_alike(space, default, random.Random(seed))
        space.validate(mutant)
        changed = {n for n in default if mutant[n] != default[n]}
        if not changed:  # numbers that were at an end already
            continue
        (kind,) = {name.rpartition(".")[2] for name in changed}
        kinds.add((kind, *{mutant[n] for n in changed}))
        assert changed == {n for n in default if n.rpartition(".")[2] == kind}
        new = set(mutant) - set(default)
        assert all(n.endswith(".op") and mutant[n] == "a" for n in new)
        assert bool(new) == (kind == "depth")
    assert kinds == {
        ("width", 8), ("width", 24), ("width", 32),
        ("residual", True), ("depth", 2), ("depth", 3), ("op", "b"),
    }  # fmt: skip


def test_proportions_stay():
    space = nas.Space(stages)
    start = space.complete({"stage0.width": 8, "stage1.width": 16, "stage2.width": 24})
    widths = set()
    for seed in range(200):
        mutant = mutate_alike(space, start, random.Random(seed))
        widths.add(tuple(mutant[f"stage{n}.width"] for n in range(3)))
    assert widths == {(8, 16, 24), (16, 24, 32), (24, 32, 32), (8, 8, 16), (8, 8, 8)}


def test_without_two_of_a_kind_nothing_changes():
    def single() -> nn.Module:
        nas.choose("a", [1, 2])
        nas.choose("b", [1, 2])
        return nn.Identity()

    space = nas.Space(single)
    assert mutate_alike(space, space.default(), random.Random(0)) == space.default()
