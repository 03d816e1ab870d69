"""Acquisition functions against known answers and brute force."""

from __future__ import annotations

import numpy as np
import pytest

from archsmith.strategy.acquisition import (
    chebyshev,
    expected_improvement,
    hypervolume_improvement,
    noisy_expected_improvement,
    probability_below,
)


def test_expected_improvement_at_the_best_and_far_off():
    found = expected_improvement(np.array([0.0, 3.0, -50.0]), np.array([1.0, 1e-12, 1.0]), 0.0)
    np.testing.assert_allclose(found, [1 / np.sqrt(2 * np.pi), 3.0, 0.0], atol=1e-9)


def test_expected_improvement_equals_the_average_over_draws():
    draws = 0.3 + 0.7 * np.random.default_rng(0).standard_normal(200_000)
    expected = np.maximum(draws - 0.5, 0).mean()
    found = expected_improvement(np.array([0.3]), np.array([0.49]), 0.5)
    assert found[0] == pytest.approx(expected, rel=0.01)


def test_noisy_improvement_is_on_the_best_of_each_draw():
    draws = np.array([[0.0, 2.0], [1.0, 0.0]])  # bests 1 and 2
    means = np.array([[3.0, 3.0], [1.0, 2.5]])
    found = noisy_expected_improvement(draws, means, np.array([1e-12, 1e-12]))
    np.testing.assert_allclose(found, [1.5, 0.25], atol=1e-6)


def test_probability_below():
    found = probability_below(np.array([0.0, 0.0]), np.array([1.0, 4.0]), 2.0)
    np.testing.assert_allclose(found, [0.977250, 0.841345], atol=1e-6)


def test_chebyshev_prefers_the_balanced():
    gains = np.array([[1.0, 0.0], [0.5, 0.5]])
    balanced = chebyshev(gains, np.array([0.5, 0.5]), np.zeros(2))
    assert balanced[1] > balanced[0]
    np.testing.assert_allclose(balanced, [0.025, 0.275])


def test_chebyshev_goes_nearest_to_the_best_of_what_weighs_most():
    """Of a front around zero, as scaled values are, whose every point is the best for some weights.

    The one for weights w has the same weighted distance from the ideal in both, so w1 / w0 is the
    ratio of the distances.
    """
    first = np.linspace(-1, 1, 201)
    front = np.stack([first, -first], axis=1)
    for weight in (0.1, 0.3, 0.5, 0.8):
        weights = np.array([weight, 1 - weight])
        scores = chebyshev(front, weights, front.max(axis=0), rho=0.0)
        assert front[scores.argmax(), 0] == pytest.approx(2 * weight - 1, abs=0.01)


def test_area_that_a_point_adds():
    front = np.array([[1.0, 3.0], [2.0, 2.0], [3.0, 1.0], [1.5, 1.5]])
    samples = np.array([[2.5, 2.5], [1.0, 1.0], [4.0, 0.5], [0.5, 4.0], [4.0, 4.0]])
    found = hypervolume_improvement(front, np.zeros(2), samples)
    np.testing.assert_allclose(found, [1.25, 0.0, 0.5, 0.5, 10.0])


def test_area_equals_counting_random_points():
    rng = np.random.default_rng(1)
    front, samples = rng.random((6, 2)), rng.random((4, 2))
    points = rng.random((200_000, 2))
    taken = (points[:, None] <= front[None]).all(-1).any(-1)
    for sample in samples:
        new = ((points <= sample).all(-1) & ~taken).mean()
        found = hypervolume_improvement(front, np.zeros(2), sample[None])
        assert found[0] == pytest.approx(new, abs=0.005)


def test_without_a_front_the_whole_box_is_added():
    found = hypervolume_improvement(np.empty((0, 2)), np.ones(2), np.array([[3.0, 2.0]]))
    np.testing.assert_allclose(found, [2.0])
