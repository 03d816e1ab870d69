"""Builders whose spaces are known in closed form."""

from __future__ import annotations

from torch import nn

import archsmith as nas


def chain() -> nn.Module:
    """5^6 architectures, no question depends on an answer."""
    for i in range(6):
        nas.choose(f"edge{i}", ["none", "skip", "conv1", "conv3", "pool"])
    return nn.Identity()


def looped() -> nn.Module:
    """3 * sum of 2^d * 2 over d in 1, 2, 4: a loop over a chosen depth, then another question."""
    depth = nas.choose("depth", [1, 2, 4])
    nas.choose("width", [8, 16])
    for i in range(depth):
        nas.choose(f"kernel{i}", [3, 5])
    nas.choose("head", ["a", "b", "c"])
    return nn.Identity()


LOOPED = 2 * 3 * (2**1 + 2**2 + 2**4)


def switched(n: int = 20) -> nn.Module:
    """(1 + 3)^n: each of n switches brings up a question of its own."""
    for i in range(n):
        if nas.choose(f"use{i}", [False, True]):
            nas.choose(f"kernel{i}", [3, 5, 7])
    return nn.Identity()


def entangled() -> nn.Module:
    """Questions that hang on two answers together."""
    a, b, c = (nas.choose(name, [0, 1]) for name in "abc")
    if a and b:
        nas.choose("d", [1, 2, 3])
    if c or a:
        nas.choose("e", [1, 2, 3, 4])
    return nn.Identity()


ENTANGLED = sum(
    (3 if a and b else 1) * (4 if c or a else 1) for a in (0, 1) for b in (0, 1) for c in (0, 1)
)


def nested(channels: int = 3) -> nn.Module:
    """Blocks with operations that have choices of their own: 4 + 4^2 + 4^3."""

    def conv() -> nn.Module:
        return nn.Conv2d(channels, channels, nas.choose("kernel", [1, 3, 5]), padding="same")

    def block(_: int) -> nn.Module:
        return nas.one_of("op", {"conv": conv, "skip": nn.Identity})

    return nn.Sequential(nas.repeat("depth", [1, 2, 3], block))


NESTED = 4 + 4**2 + 4**3


def connected() -> nn.Module:
    """Subsets: 3 inputs of 5, and one or two of three branches: 10 * (3 + 3)."""
    inputs = nas.subset("inputs", [0, 1, 2, 3, 4], k=3)
    branches = nas.subset(
        "branches",
        {"a": nn.ReLU, "b": lambda: nn.Linear(len(inputs), 4), "c": nn.Identity},
        k=(1, 2),
    )
    assert isinstance(branches, nn.ModuleDict)
    return branches


def recursive() -> nn.Module:
    """Without a bound: each level asks whether to go deeper."""
    if nas.choose("deeper", [False, True]):
        with nas.scope("below"):
            return nn.Sequential(nn.ReLU(), recursive())
    return nn.Identity()


def continuous() -> nn.Module:
    rate = nas.real("rate", 1e-4, 1.0, log=True)
    units = nas.integer("units", 8, 512, log=True)
    layers = nas.integer("layers", 1, 3)
    parts = [nn.Linear(4 if i == 0 else units, units) for i in range(layers)]
    return nn.Sequential(*parts, nn.Dropout(min(rate, 0.5)))
