"""Gaussian processes against closed forms and brute force."""

from __future__ import annotations

import numpy as np
import pytest

from archsmith.predictor.gaussian import (
    GaussianProcess,
    Kernel,
    _cholesky,
    _cost,
    fit,
    prior_kernel,
    robust,
    squared_distances,
)

RNG = np.random.default_rng(0)


def distances(*blocks: np.ndarray) -> np.ndarray:
    return np.stack([squared_distances(block, block) for block in blocks])


def test_squared_distances():
    a, b = RNG.normal(size=(4, 3)), RNG.normal(size=(5, 3))
    expected = ((a[:, None] - b[None]) ** 2).sum(-1)
    np.testing.assert_allclose(squared_distances(a, b), expected, atol=1e-12)


def test_distances_of_rows_far_from_zero():
    """In float32 as features are; a square of 1e6 has no digits left for differences of one."""
    a = RNG.integers(0, 5, size=(6, 3))
    expected = ((a[:, None] - a[None]) ** 2).sum(-1)
    far = (a + 1_000_000).astype(np.float32)
    np.testing.assert_allclose(squared_distances(far, far), expected, atol=1e-9)


def test_a_covariance_that_rounding_has_spoilt_has_a_root_all_the_same():
    errors = RNG.normal(size=(40, 40))
    spoilt = np.ones((40, 40)) + 1e-4 * (errors + errors.T)
    with pytest.raises(np.linalg.LinAlgError):
        np.linalg.cholesky(spoilt + 1e-6 * np.eye(40))
    root = _cholesky(spoilt, 0.0)
    np.testing.assert_allclose(root @ root.T, spoilt, atol=0.011)


def test_matern_at_known_distances():
    """(1 + sqrt5 r + 5 r^2 / 3) exp(-sqrt5 r) at r = 0, 1, 2."""
    kernel = Kernel((1.0,), 0.1)
    found = kernel(np.array([[[0.0, 1.0, 4.0]]]))
    np.testing.assert_allclose(found[0], [1.0, 0.523994, 0.138660], atol=1e-6)


def test_a_long_length_makes_a_block_unimportant():
    kernel = Kernel((1.0, 1e6), 0.1)
    assert kernel(np.array([[[0.0]], [[9.0]]]))[0, 0] == pytest.approx(1.0)
    assert kernel(np.array([[[9.0]], [[0.0]]]))[0, 0] < 0.1


def test_prediction_equals_the_formula():
    x, z = RNG.normal(size=(12, 2)), RNG.normal(size=(5, 2))
    y = RNG.normal(size=12)
    kernel = Kernel((0.8,), 0.3)
    process = GaussianProcess(kernel, distances(x), y)
    cross = squared_distances(x, z)[None]
    means, variances = process.predict(kernel(cross))
    noisy = kernel(distances(x)) + (0.3 + 1e-6) * np.eye(12)
    between = kernel(cross)
    signal = y @ np.linalg.solve(noisy, y) / 12
    np.testing.assert_allclose(means, between.T @ np.linalg.solve(noisy, y), rtol=1e-8)
    left = 1 - np.diag(between.T @ np.linalg.solve(noisy, between))
    np.testing.assert_allclose(variances, signal * left, rtol=1e-8)


def test_with_little_noise_it_passes_through_what_it_saw():
    x = np.linspace(0, 3, 8)[:, None]
    y = np.sin(x[:, 0])
    process = GaussianProcess(Kernel((1.0,), 1e-8), distances(x), y)
    means, variances = process.predict(process.kernel(distances(x)))
    np.testing.assert_allclose(means, y, atol=1e-4)
    assert variances.max() < 1e-4


def test_draws_have_the_posterior_s_mean_and_spread():
    x = RNG.normal(size=(10, 2))
    y = RNG.normal(size=10)
    process = GaussianProcess(Kernel((1.0,), 0.5), distances(x), y)
    means, covariance = process.at_seen()
    normal = RNG.standard_normal((10, 20_000))
    draws, given, variances = process.sampled(normal, process.kernel(distances(x)))
    np.testing.assert_allclose(draws.mean(axis=1), means, atol=0.03)
    np.testing.assert_allclose(np.cov(draws), covariance, atol=0.03)
    # Given the draw, what was seen is known.
    np.testing.assert_allclose(given[:, 0], draws[:, 0], atol=0.05)
    assert variances.max() < 0.01


def test_the_gradient_is_that_of_the_cost():
    blocks = distances(RNG.normal(size=(15, 2)), RNG.normal(size=(15, 3)))
    y = RNG.normal(size=15)
    point = np.array([0.3, -0.2, -1.5])
    _, gradient = _cost(point, blocks, y)
    for i in range(3):
        step = np.eye(3)[i] * 1e-5
        slope = (_cost(point + step, blocks, y)[0] - _cost(point - step, blocks, y)[0]) / 2e-5
        assert gradient[i] == pytest.approx(slope, rel=1e-5)


def test_fit_tells_a_block_that_matters_from_one_that_does_not():
    matters, idle = RNG.normal(size=(60, 1)), RNG.normal(size=(60, 1))
    y = np.sin(2 * matters[:, 0]) + 0.05 * RNG.normal(size=60)
    blocks = distances(matters, idle)
    kernel = fit(blocks, y - y.mean())
    assert kernel.lengths[1] > 4 * kernel.lengths[0]
    assert kernel.noise < 0.05
    start = prior_kernel(2)
    before = np.log([*start.lengths, start.noise])
    after = np.log([*kernel.lengths, kernel.noise])
    assert _cost(after, blocks, y - y.mean())[0] < _cost(before, blocks, y - y.mean())[0]


def test_robust_values_keep_the_order_of_the_good_half():
    values = [0.10, 0.10, 0.55, 0.88, 0.90, 0.91, 0.92, 0.93]
    found = robust(values)
    assert found.mean() == pytest.approx(0.0, abs=1e-12)
    assert found.std() == pytest.approx(1.0)
    assert (np.diff(found[3:]) > 0).all()
    assert found[0] == found[2]  # lifted alike
    assert found[0] > -2.5
    assert (robust([1.0, 1.0, 1.0]) == 0).all()
