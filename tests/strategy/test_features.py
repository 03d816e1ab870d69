"""Architectures as rows of numbers."""

from __future__ import annotations

import numpy as np

from archsmith.space import Space, graph_form
from archsmith.strategy.features import Features, features_of
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
