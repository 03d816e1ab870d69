"""The densities of TPE and BOHB: known ratios, exact masses, draws that follow them."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter

import pytest
from torch import nn

import archsmith as nas
from archsmith.space.architecture import Architecture
from archsmith.strategy.parzen import Parzen

MODES = pytest.mark.parametrize("multivariate", [False, True], ids=["single", "joint"])


def options() -> nn.Module:
    nas.choose("a", [0, 1, 2])
    nas.choose("b", ["x", "y"])
    return nn.Identity()


def conditional() -> nn.Module:
    if nas.choose("deep", [False, True]):
        nas.choose("op", ["conv", "pool", "skip"])
    return nn.Identity()


def ranges() -> nn.Module:
    nas.real("rate", 1e-4, 1e-1, log=True)
    nas.integer("width", 8, 64, step=8)
    nas.subset("inputs", ["p", "q", "r"], k=(1, 2, 3))
    return nn.Identity()


def of(**answers) -> Architecture:
    return Architecture(answers)


@MODES
def test_like_the_good_scores_above_like_the_bad(multivariate):
    space = nas.Space(options)
    density = Parzen(space, [of(a=0, b="x")] * 3, [of(a=2, b="y")] * 3, multivariate)
    scores = [density.score(space, of(a=a, b=b)) for a, b in ((0, "x"), (1, "x"), (2, "y"))]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 0 > scores[2]


@MODES
def test_equal_good_and_bad_say_nothing(multivariate):
    space = nas.Space(options)
    seen = [of(a=0, b="x"), of(a=1, b="y")]
    density = Parzen(space, seen, seen, multivariate)
    for architecture in space.enumerate():
        assert density.score(space, architecture) == pytest.approx(0.0)


@MODES
def test_without_observations_all_are_alike_and_draws_are_even(multivariate):
    space = nas.Space(options)
    density = Parzen(space, [], [], multivariate)
    assert {density.score(space, a) for a in space.enumerate()} == {0.0}
    counts = Counter(density.draw(space, random.Random(i)) for i in range(1200))
    assert len(counts) == 6
    assert min(counts.values()) > 140  # 200 each, standard deviation 13


@MODES
def test_draws_follow_the_density(multivariate):
    """With nothing bad the score is the density relative to even draws: it must sum to one."""
    space = nas.Space(options)
    good = [of(a=0, b="x"), of(a=0, b="x"), of(a=1, b="y")]
    density = Parzen(space, good, [], multivariate)
    mass = {a: math.exp(density.score(space, a)) / 6 for a in space.enumerate()}
    assert sum(mass.values()) == pytest.approx(1.0)
    counts = Counter(density.draw(space, random.Random(i)) for i in range(6000))
    for architecture, expected in mass.items():
        assert counts[architecture] / 6000 == pytest.approx(expected, abs=0.025)  # 4 deviations


def test_the_joint_density_sees_which_answers_go_together():
    space = nas.Space(options)
    good = [of(a=0, b="x"), of(a=1, b="y")] * 4
    together, apart = of(a=0, b="x"), of(a=0, b="y")
    joint, single = (Parzen(space, good, [], m) for m in (True, False))
    assert joint.score(space, together) > joint.score(space, apart) + 0.5
    assert single.score(space, together) == pytest.approx(single.score(space, apart))


@MODES
def test_decisions_that_were_not_asked_say_nothing(multivariate):
    """Deep and shallow compare; an operation is learned from the deep ones alone."""
    space = nas.Space(conditional)
    good = [of(deep=False)] * 3 + [of(deep=True, op="conv")] * 3
    density = Parzen(space, good, [], multivariate)
    mass = [
        math.exp(density.score(space, a)) / (2 if len(a) == 1 else 6) for a in space.enumerate()
    ]
    assert sum(mass) == pytest.approx(1.0)
    conv, pool = (density.score(space, of(deep=True, op=op)) for op in ("conv", "pool"))
    assert conv > pool


@MODES
def test_ranges_and_subsets(multivariate):
    space = nas.Space(ranges)
    good = [of(rate=1e-3, width=16, inputs=("p",))] * 5
    bad = [of(rate=5e-2, width=64, inputs=("q", "r"))] * 5
    density = Parzen(space, good, bad, multivariate)
    near = density.score(space, of(rate=1.2e-3, width=16, inputs=("p",)))
    further = density.score(space, of(rate=4e-3, width=32, inputs=("p", "q")))
    opposite = density.score(space, of(rate=5e-2, width=64, inputs=("q", "r")))
    assert near > further > opposite
    drawn = [density.draw(space, random.Random(i)) for i in range(200)]
    for architecture in drawn:
        space.validate(architecture)
    rates = sorted(a["rate"] for a in drawn)
    assert 4e-4 < rates[100] < 2.5e-3
    assert Counter(a["width"] for a in drawn).most_common(1)[0][0] == 16


def test_a_numeric_kernel_is_a_density():
    """The mean of the relative density over an even grid is one."""

    def one() -> nn.Module:
        nas.real("x", 0.0, 1.0)
        return nn.Identity()

    space = nas.Space(one)
    density = Parzen(space, [of(x=0.02), of(x=0.7)], [])
    grid = [of(x=(i + 0.5) / 500) for i in range(500)]
    relative = [math.exp(s) for s in density.scores(space, grid)]
    assert sum(relative) / 500 == pytest.approx(1.0, abs=0.01)


@MODES
def test_scores_in_one_go_equal_scores_one_by_one(multivariate):
    space = nas.Space(conditional)
    everything = list(space.enumerate())
    density = Parzen(space, everything[:2], everything[2:], multivariate)
    one_by_one = [density.score(space, a) for a in everything]
    assert density.scores(space, everything).tolist() == pytest.approx(one_by_one)


@MODES
def test_what_the_builder_refuses_promises_nothing(multivariate):
    def picky() -> nn.Module:
        a = nas.choose("a", [0, 1, 2])
        nas.choose("b", ["x", "y"])
        if a == 2:
            raise ValueError("not 2")
        return nn.Identity()

    space = nas.Space(picky)
    density = Parzen(space, [of(a=2, b="x")] * 4, [], multivariate)
    scores = density.scores(space, [of(a=2, b="x"), of(a=0, b="x")])
    assert scores[0] == -math.inf
    assert math.isfinite(scores[1])


def test_answers_that_no_longer_fit_count_as_not_asked():
    def half() -> nn.Module:
        nas.choose("a", [0, 1])
        nas.choose("b", ["x", "y"])
        return nn.Identity()

    space = nas.Space(half)
    density = Parzen(space, [of(a=2, b="x")] * 4, [])
    scores = {a: density.score(space, a) for a in space.enumerate()}
    for b, pair in itertools.groupby(sorted(scores, key=lambda a: a["b"]), lambda a: a["b"]):
        first, second = pair
        assert scores[first] == pytest.approx(scores[second]), b


def test_widened_draws_spread_and_scores_stay() -> None:
    """A normal draw three times as wide leaves its centre three times as far (here 0.3 of it)."""

    def one() -> nn.Module:
        nas.real("x", 0.0, 1.0)
        nas.choose("op", list("abcdefghij"))
        return nn.Identity()

    space = nas.Space(one)
    good = [of(x=0.5, op="a")] * 2000
    usual, wide = (Parzen(space, good, [], widening=factor) for factor in (1.0, 3.0))
    around = [[d.draw(space, random.Random(i)) for i in range(800)] for d in (usual, wide)]
    apart = [sum(abs(a["x"] - 0.5) for a in drawn) / len(drawn) for drawn in around]
    left = [sum(a["op"] != "a" for a in drawn) for drawn in around]
    assert 2.5 < apart[1] / apart[0] < 3.2
    assert 2.4 < left[1] / left[0] < 3.6
    near = of(x=0.55, op="b")
    assert usual.score(space, near) == wide.score(space, near)


def test_a_kernel_is_as_narrow_as_it_may_be() -> None:
    def one() -> nn.Module:
        nas.real("x", 0.0, 1.0)
        return nn.Identity()

    space = nas.Space(one)
    good = [of(x=0.5)] * 20_000
    floor, free = (Parzen(space, good, [], narrowest=least) for least in (0.2, 1e-3))
    near, off = of(x=0.5), of(x=0.6)
    falls = [d.score(space, near) - d.score(space, off) for d in (floor, free)]
    assert falls[0] == pytest.approx(0.5 * (0.1 / 0.2) ** 2, abs=0.01)
    assert falls[1] > 2 * falls[0]
