"""Architectures as rows of numbers."""

from __future__ import annotations

import random

import numpy as np
from torch import nn

from archsmith.predictor.features import Features, features_of
from archsmith.space import Space, choose, graph_form
from archsmith.space.architecture import Architecture
from archsmith.space.listed import ListedSpace
from archsmith.testing.strategy import flat, nested


def formed() -> Space:
    def told(architecture):
        return {f"b{architecture['b']}": 2.0, "a": float(architecture["a"])}

    return Space(graph_form(lambda a: str(dict(a)), told)(_copy()))


def _copy():
    def builder():
        return flat()

    return builder


def test_rows_begin_with_the_encoding():
    space = Space(nested)
    features = Features(space)
    architectures = [space.complete({"depth": d}) for d in (1, 2, 3)]
    found = features.matrix(architectures)
    assert found.dtype == np.float32
    assert found.shape == (3, features.width)
    for row, architecture in zip(found, architectures, strict=True):
        np.testing.assert_array_equal(row, space.encode(architecture))


def test_graph_features_follow_by_name():
    space = formed()
    features = Features(space)
    one, two = (space.complete({"a": a, "b": b, "c": 0}) for a, b in ((0, 3), (4, 1)))
    assert features.columns([one, two])[features.width :] == ["a", "b1", "b3"]
    np.testing.assert_array_equal(
        features.matrix([one, two])[:, features.width :], [[0, 0, 2], [4, 2, 0]]
    )
    assert features.row(one)[features.width :].tolist() == [2]  # a is 0, b1 is not there


def test_what_was_asked_before_changes_nothing():
    fresh, used = Features(formed()), Features(formed())
    for architecture in used.space.enumerate():
        used.row(architecture)
    some = [fresh.space.complete({"a": i, "b": 4 - i, "c": i}) for i in range(5)]
    np.testing.assert_array_equal(fresh.matrix(some), used.matrix(some))
    assert fresh.columns(some) == used.columns(some)


def wide():
    """More answers than a first look at a space takes in, each with a question of its own."""
    choose(f"kind of {choose('top', list(range(150)))}".replace(" ", "-"), ["a", "b", "c"])
    return nn.Identity()


def test_what_the_space_was_used_for_changes_nothing():
    fresh, used = Space(wide), Space(wide)
    for i in range(300):
        used.sample(random.Random(i))
    some = [fresh.sample(random.Random(i)) for i in range(20)]
    assert Features(fresh).names == Features(used).names
    np.testing.assert_array_equal(Features(fresh).matrix(some), Features(used).matrix(some))


def test_a_listed_space_has_the_rows_of_the_whole_one():
    space = Space(nested)
    some = [space.sample(random.Random(i)) for i in range(20)]
    listed = ListedSpace(ListedSpace(space, list(dict.fromkeys(some))), some[:1])
    assert Features(listed).names == Features(space).names
    np.testing.assert_array_equal(Features(listed).matrix(some), Features(space).matrix(some))


def test_what_the_builder_refuses_has_a_row():
    """It may have been drawn while the builder did not have to run, and failed as a trial."""

    def picky():
        a, b = choose("a", [0, 1, 2]), choose("b", [0, 1, 2])
        if (a, b) == (2, 2):
            raise ValueError("2 and 2 do not go together")
        return nn.Identity()

    features = Features(Space(picky))
    row = features.row(Architecture({"a": 2, "b": 2}))
    assert [n for n, x in zip(features.names, row, strict=True) if x] == ["a?", "a=2", "b?", "b=2"]


def test_groups_of_columns():
    features = Features(Space(nested))
    groups = features.groups()
    assert groups[0][0] == 0
    assert groups[-1][1] == features.width
    for start, stop in groups:
        assert features.names[start].endswith("?")
        assert stop > start + 1
    assert features.matrix([]).shape[0] == 0


def test_one_space_has_one_cache():
    space = Space(flat)
    assert features_of(space) is features_of(space)
    assert features_of(space) is not features_of(Space(flat))
