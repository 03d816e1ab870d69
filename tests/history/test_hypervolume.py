"""Hypervolume: known values, and the definition by counting."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

import archsmith as nas
from archsmith.history.objective import hypervolume


@pytest.mark.parametrize(
    ("losses", "reference", "expected"),
    [
        ([], (1.0, 1.0), 0.0),
        ([(0.25,)], (1.0,), 0.75),
        ([(0.0, 0.0)], (2.0, 3.0), 6.0),
        ([(1, 3), (2, 2), (3, 1)], (4, 4), 6.0),
        ([(1, 3), (2, 2), (3, 1), (3, 3), (2, 2)], (4, 4), 6.0),
        ([(4, 0), (5, 5)], (4, 4), 0.0),
        ([(0, 0, 0)], (1, 2, 3), 6.0),
        # Two boxes of 1 x 1 x 2 and 2 x 2 x 1 that share 1 x 1 x 1.
        ([(2, 2, 1), (1, 1, 2)], (3, 3, 3), 5.0),
        # Three plates of 1 x 2 x 2 that meet in the middle (inclusion and exclusion: 12 - 6 + 1).
        ([(1, 0, 0), (0, 1, 0), (0, 0, 1)], (2, 2, 2), 7.0),
        ([(0, 0, 0, 0)], (2, 2, 2, 2), 16.0),
        # Four of them in four dimensions: all but the corner cell.
        ([(1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)], (2, 2, 2, 2), 15.0),
    ],
)
def test_known_values(losses, reference, expected):
    assert hypervolume(losses, reference) == pytest.approx(expected)


@pytest.mark.slow
@pytest.mark.parametrize("axes", [1, 2, 3, 4])
@given(data=st.data())
def test_by_counting_cells(axes, data):
    losses = data.draw(st.lists(st.tuples(*[st.integers(0, 5)] * axes), max_size=12))
    cells = itertools.product(range(4), repeat=axes)
    expected = sum(
        any(all(x <= c for x, c in zip(point, cell, strict=True)) for point in losses)
        for cell in cells
    )
    assert hypervolume(losses, (4,) * axes) == expected


def test_missing_values_add_nothing():
    inf = float("inf")
    assert hypervolume([(0.5, inf), (float("nan"), 0.0), (0.5, 0.5)], (1, 1)) == 0.25


def test_lengths_must_agree():
    with pytest.raises(nas.InputError, match="hypervolume"):
        hypervolume([(1, 2, 3)], (4, 4))
    with pytest.raises(nas.InputError, match="hypervolume"):
        hypervolume([], ())
