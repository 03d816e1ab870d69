"""Acquisition functions against known answers and brute force."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtri

from archsmith.strategy.acquisition import (
    chebyshev,
    expected_improvement,
    log_expected_improvement,
    log_hypervolume_improvement,
    log_noisy_expected_improvement,
    option_rate,
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
    found = log_noisy_expected_improvement(draws, means, np.array([1e-12, 1e-12]))
    np.testing.assert_allclose(np.exp(found), [1.5, 0.25], atol=1e-6)


@pytest.mark.parametrize(
    "z", [9.0, 1.0, 0.0, -0.7, -1.0, -1.0001, -5.0, -37.0, -40.0, -199.9, -200.1, -1e3, -1e4]
)
@pytest.mark.parametrize("deviation", [1e-3, 1.0, 50.0])
def test_log_expected_improvement_against_sixty_digits(z, deviation):
    from mpmath import mp

    with mp.workdps(60):
        exact = mp.mpf(z)
        # Far out ncdf needs the digits that cancel: it is erfc here, exact at any precision.
        tail = mp.erfc(-exact / mp.sqrt(2)) / 2
        improvement = mp.mpf(deviation) * (exact * tail + mp.npdf(exact))
        expected = float(mp.log(improvement))
    mean, variance = np.array([z * deviation]), np.array([deviation**2])
    found = log_expected_improvement(mean, variance, 0.0)
    assert found[0] == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_log_expected_improvement_tells_apart_what_is_zero_in_floats():
    means = np.array([-60.0, -50.0, -40.0])
    assert (expected_improvement(means, np.ones(3), 0.0) == 0.0).all()
    assert (np.diff(log_expected_improvement(means, np.ones(3), 0.0)) > 100).all()


def test_an_option_without_anything_to_learn_is_improvement_for_the_whole_cost():
    means, variances = np.array([0.0, 1.0, -30.0]), np.array([1.0, 4.0, 1.0])
    look, rest = np.array([0.1, 1.0, 0.2]), np.array([1.0, 2.0, 3.0])
    found = option_rate(means, variances, 0.5, np.zeros(3), look, rest)
    expected = log_expected_improvement(means, variances, 0.5) - np.log(look + rest)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("share", [0.3, 0.8])
def test_an_option_is_in_balance_over_draws(share):
    """At the rate, what a look brings beyond what going on costs pays for the look."""
    look, rest = np.array([0.1]), np.array([2.0])
    found = option_rate(np.array([-0.5]), np.ones(1), 0.4, np.array([share]), look, rest)
    draws = (np.arange(400_000) + 0.5) / 400_000  # evenly over the distribution
    moved = -0.5 + np.sqrt(share) * ndtri(draws)
    gains = expected_improvement(moved, np.full(len(moved), 1 - share), 0.4)
    low, high = 0.0, 10.0
    for _ in range(60):
        rate = (low + high) / 2
        pays = np.maximum(gains - rate * rest, 0.0).mean() > rate * look[0]
        low, high = (rate, high) if pays else (low, rate)
    assert np.exp(found[0]) == pytest.approx(rate, rel=0.01)


def test_a_look_that_tells_more_is_worth_more():
    learned = np.array([0.0, 0.2, 0.5, 0.9])
    ones = np.ones(4)
    rates = option_rate(-ones, ones, 0.5, learned, 0.05 * ones, ones)
    assert (np.diff(rates) > 0).all()


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


def area_added(front: np.ndarray, reference: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Of points that are known exactly."""
    return np.exp(log_hypervolume_improvement(front, reference, points, np.zeros_like(points)))


def test_area_that_a_point_adds():
    front = np.array([[1.0, 3.0], [2.0, 2.0], [3.0, 1.0], [1.5, 1.5]])
    points = np.array([[2.5, 2.5], [1.0, 1.0], [4.0, 0.5], [0.5, 4.0], [4.0, 4.0]])
    found = area_added(front, np.zeros(2), points)
    np.testing.assert_allclose(found, [1.25, 0.0, 0.5, 0.5, 10.0], atol=1e-12)


def test_area_equals_counting_random_points():
    rng = np.random.default_rng(1)
    front, some = rng.random((6, 2)), rng.random((4, 2))
    points = rng.random((200_000, 2))
    taken = (points[:, None] <= front[None]).all(-1).any(-1)
    for one in some:
        new = ((points <= one).all(-1) & ~taken).mean()
        assert area_added(front, np.zeros(2), one[None])[0] == pytest.approx(new, abs=0.005)


def test_expected_area_is_the_mean_over_draws():
    rng = np.random.default_rng(2)
    front, means = rng.random((5, 2)), rng.random((6, 2)) * 1.2
    deviations = 0.05 + 0.3 * rng.random((6, 2))
    deviations[0, 1] = deviations[1, 0] = 0.0  # one gain is known
    found = log_hypervolume_improvement(front, np.zeros(2), means, deviations**2)
    draws = means[:, None] + deviations[:, None] * rng.standard_normal((6, 20_000, 2))
    for place in range(6):
        counted = area_added(front, np.zeros(2), draws[place]).mean()
        assert np.exp(found[place]) == pytest.approx(counted, rel=0.03)


def test_expected_areas_are_told_apart_where_floats_are_too_small():
    front = np.array([[1.0, 1.0]])
    far = np.array([[-30.0, 0.0], [-40.0, 0.0], [-40.0, -1.0]])
    found = log_hypervolume_improvement(front, np.zeros(2), far, np.full((3, 2), 0.01))
    assert np.isfinite(found).all()
    assert found[0] > found[1] > found[2]


def test_without_a_front_the_whole_box_is_added():
    found = area_added(np.empty((0, 2)), np.ones(2), np.array([[3.0, 2.0]]))
    np.testing.assert_allclose(found, [2.0])
