"""Priors of choices: what is drawn, and what stays as it is."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from hashlib import sha256

import pytest
from scipy.stats import chisquare
from torch import nn

import archsmith as nas
from archsmith._support.errors import SpaceError
from archsmith.space.counting import _estimate
from archsmith.space.priors import log_prior

WEIGHTS = [1, 2, 5]


def space_with(prior, options=("a", "b", "c")) -> nas.Space:
    def builder() -> nn.Module:
        nas.choose("kind", list(options), prior=prior)
        return nn.Identity()

    return nas.Space(builder)


def drawn(space: nas.Space, uniform: str | None = None, count: int = 8000) -> Counter:
    rng = random.Random(0)
    return Counter(space.sample(rng, uniform)["kind"] for _ in range(count))


@pytest.mark.parametrize(
    "prior",
    [
        WEIGHTS,
        {"c": 0.5, "a": 0.1, "b": 0.2},
        lambda label: {"a": 1, "b": 2, "c": 5}[label],
    ],
    ids=["in order", "by option", "function"],
)
def test_draws_follow_the_prior(prior):
    counts = drawn(space_with(prior))
    assert chisquare([counts[k] for k in "abc"], [1000, 2000, 5000]).pvalue > 0.01


def test_uniform_draws_ignore_it():
    for way in ("decisions", "architectures"):
        counts = drawn(space_with(WEIGHTS), way)
        assert chisquare([counts[k] for k in "abc"]).pvalue > 0.01


def test_draws_of_modules_and_counts_follow_theirs():
    def builder() -> nn.Module:
        options = {"tanh": nn.Tanh, "relu": nn.ReLU}
        prior = {"relu": 3, "tanh": 1}
        return nas.repeat(
            "depth", [1, 2], lambda _: nas.one_of("act", options, prior=prior), prior=[1, 4]
        )

    space, rng = nas.Space(builder), random.Random(0)
    samples = [space.sample(rng) for _ in range(4000)]
    depths = Counter(a["depth"] for a in samples)
    first = Counter(a["depth.0.act"] for a in samples)
    assert chisquare([depths[1], depths[2]], [800, 3200]).pvalue > 0.01
    assert chisquare([first["tanh"], first["relu"]], [1000, 3000]).pvalue > 0.01


def test_decisions_that_a_mutation_opens_follow_their_prior():
    def builder() -> nn.Module:
        if nas.choose("deep", [False, True]):
            nas.choose("kind", ["a", "b"], prior=[1, 4])
        return nn.Identity()

    space, rng = nas.Space(builder), random.Random(0)
    mutants = [space.mutate(space.default(), rng) for _ in range(2000)]
    kinds = Counter(a["kind"] for a in mutants)
    assert chisquare([kinds["a"], kinds["b"]], [400, 1600]).pvalue > 0.01


def test_the_prior_of_an_architecture_is_relative_to_uniform_draws():
    space = space_with(WEIGHTS)
    expected = {"a": 3 / 8, "b": 6 / 8, "c": 15 / 8}
    for architecture in space.enumerate():
        ratio = math.exp(log_prior(space, architecture))
        assert ratio == pytest.approx(expected[architecture["kind"]])
    assert [log_prior(space_with(None), a) for a in space.enumerate()] == [0.0] * 3


def test_counting_listing_and_encodings_are_as_without():
    def builder(prior) -> nn.Module:
        for i in range(nas.choose("depth", [1, 2, 3], prior=prior)):
            nas.choose(f"layer{i}", ["x", "y", "z"], prior=prior)
        return nn.Identity()

    plain, informed = nas.Space(builder, prior=None), nas.Space(builder, prior=WEIGHTS)
    assert str(plain.size()) == str(informed.size()) == "39"
    assert list(plain.enumerate()) == list(informed.enumerate())
    assert plain.columns() == informed.columns()
    for architecture in plain.enumerate():
        assert (plain.encode(architecture) == informed.encode(architecture)).all()
        assert list(plain.neighbours(architecture)) == list(informed.neighbours(architecture))
        assert nas.Architecture.from_json(architecture.to_json()) == architecture


def test_an_estimate_of_the_size_is_not_biased_by_priors():
    """Knuth's estimator weighs each path by its number of options, so draws must be uniform."""

    def builder(prior) -> nn.Module:
        for i in range(8):
            if not nas.choose(f"go{i}", [False, True], prior=prior):
                break
        return nn.Identity()

    informed = nas.Space(builder, prior=[1, 99])
    assert str(informed.size()) == "9"
    assert 5 <= _estimate(informed._tree) <= 16  # 2 ** 8 if draws followed the prior


def test_the_fingerprint_covers_the_prior():
    plain, informed = space_with(None), space_with(WEIGHTS)
    assert (plain.informed, informed.informed) == (False, True)
    assert plain.fingerprint != informed.fingerprint
    assert informed.fingerprint == space_with({"a": 2, "b": 4, "c": 10}).fingerprint
    assert informed.fingerprint != space_with([1, 2, 6]).fingerprint


def test_equal_weights_are_no_prior():
    assert space_with([3, 3, 3]).fingerprint == space_with(None).fingerprint
    assert not space_with([3, 3, 3]).informed


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        ([1, 2], "3 weights"),
        ([1, 2, 0], "positive"),
        ([1, 2, math.inf], "positive"),
        ([1, 2, math.nan], "positive"),
        ([1, 2, "much"], "positive"),
        ({"a": 1, "b": 2}, "each of"),
        ({"a": 1, "b": 2, "c": 3, "d": 4}, "each of"),
    ],
)
def test_a_wrong_prior_is_refused(prior, message):
    with pytest.raises(SpaceError, match=message):
        space_with(prior).default()


def test_one_name_with_two_priors_is_refused():
    def builder() -> nn.Module:
        nas.choose("kind", [1, 2], prior=[1, 3])
        nas.choose("kind", [1, 2], prior=[3, 1])
        return nn.Identity()

    with pytest.raises(SpaceError, match=r"prior \(0.25, 0.75\).*prior \(0.75, 0.25\)"):
        nas.Space(builder).default()


def net() -> nn.Module:
    width = nas.choose("width", [4, 8, 16, 32], default=8)
    options = {"lin": lambda: nn.Linear(width, width), "skip": nn.Identity, "act": nn.ReLU}
    return nn.Sequential(
        nn.Linear(2, width),
        nas.repeat("depth", [0, 1, 2, 3], lambda i: nas.one_of("op", options)),
        nn.Linear(width, nas.integer("out", 1, 9)),
    )


def test_without_priors_all_is_as_before_there_were_any():
    """Values of commit 72cc0cd, which had no priors."""

    def build(channels: int = 1) -> nn.Module:
        return net()

    build.__name__ = "net"
    space, rng = nas.Space(build), random.Random(3)
    assert space.fingerprint == "659f4815a79dcffa"
    samples = [space.sample(rng) for _ in range(20)]
    mutants = [space.mutate(a, rng) for a in samples]
    children = [space.cross(a, b, rng) for a, b in zip(samples, mutants, strict=True)]
    ids = json.dumps([a.id for a in samples + mutants + children])
    assert sha256(ids.encode()).hexdigest()[:16] == "681b3bfc2dc0213b"
