"""Choices beside a builder's own: the model, its costs and its graph stay as they are."""

from __future__ import annotations

import pickle
import random

import pytest
import torch
from torch import nn

import archsmith as nas
from archsmith._support.errors import SpaceError
from archsmith.space.beside import beside, model_part, model_space
from archsmith.space.listed import ListedSpace


def canonical(architecture):
    assert set(architecture) == {"first", "second"}
    return "".join(sorted((architecture["first"], architecture["second"])))


def features(architecture):
    return {"count:a": float([architecture["first"], architecture["second"]].count("a"))}


@nas.graph_form(canonical, features)
def cell(width: int = 2) -> nn.Module:
    """Two operations whose order makes no difference."""
    return nn.Sequential(
        *(
            nas.one_of(name, {"a": lambda: nn.Linear(width, width), "b": nn.Identity})
            for name in ("first", "second")
        )
    )


def ask() -> None:
    nas.choose("lr", [0.1, 0.01, 0.001])


def both(inner: nas.Space | None = None) -> nas.Space:
    return beside(inner or nas.Space(cell, width=3), "recipe", ask)


def test_its_decisions_come_last_in_their_scope():
    space = both()
    assert list(space.default()) == ["first", "second", "recipe.lr"]
    assert str(space.size()) == "12"
    assert (space.name, space.arguments) == ("cell", {"width": 3})
    assert space.reference == nas.Space(cell).reference


def test_the_model_is_the_one_without_it():
    space, inner = both(), nas.Space(cell, width=3)
    for architecture in space.enumerate():
        part = model_part(space, architecture)
        assert set(part) == {"first", "second"}
        with_it, without = space.build(architecture, seed=0), inner.build(part, seed=0)
        assert repr(with_it) == repr(without)
        for one, other in zip(with_it.parameters(), without.parameters(), strict=True):
            assert torch.equal(one, other)
    assert model_space(space).fingerprint == inner.fingerprint
    assert model_space(inner) is inner
    assert model_part(inner, inner.default()) == inner.default()


def test_graphs_are_told_apart_by_their_recipe_and_nothing_else():
    space = both()
    ab = {"first": "a", "second": "b", "recipe.lr": 0.1}
    ba = {"first": "b", "second": "a", "recipe.lr": 0.1}
    slow = {**ab, "recipe.lr": 0.01}
    one, other, third = (space.canonical(nas.Architecture(a)) for a in (ab, ba, slow))
    assert one == other != third
    assert len({space.canonical(a) for a in space.enumerate()}) == 9
    assert space.graph_features(nas.Architecture(slow)) == {"count:a": 1.0, "recipe:lr=0.01": 1.0}


def test_it_pickles():
    space = both()
    copy = pickle.loads(pickle.dumps(space))
    assert copy.fingerprint == space.fingerprint
    sample = space.sample(random.Random(1))
    assert copy.canonical(sample) == space.canonical(sample)


def test_a_described_space_keeps_its_features():
    described = nas.described(nas.Space(cell), lambda a: {"size:n": float(len(a))})
    space = both(described)
    assert space.graph_features(space.default())["size:n"] == 2.0
    assert model_space(space).graph_features(model_part(space, space.default()))["size:n"] == 2.0


def test_a_listed_space_is_refused():
    space = nas.Space(cell)
    with pytest.raises(SpaceError, match="listed"):
        both(ListedSpace(space, [space.default()]))


def test_a_builder_that_uses_the_scope_is_refused():
    def builder() -> nn.Module:
        with nas.scope("recipe"):
            nas.choose("depth", [1, 2])
        return nn.Identity()

    with pytest.raises(SpaceError, match=r"recipe.depth.*taken"):
        both(nas.Space(builder)).default()
