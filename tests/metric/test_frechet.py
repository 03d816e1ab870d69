"""The Fréchet distance against closed forms and against the root of the product of covariances."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg

from archsmith.metric.frechet import frechet_distance


def test_one_dimension_has_a_closed_form() -> None:
    one, two = np.array([[0.0], [2.0]]), np.array([[3.0], [9.0]])
    # means 1 and 6, deviations root 2 and 3 root 2
    assert frechet_distance(one, two) == pytest.approx((6 - 1) ** 2 + (3 * 2**0.5 - 2**0.5) ** 2)


@pytest.mark.parametrize("count", [40, 5])
def test_it_is_that_of_the_definition(count: int) -> None:
    rng = np.random.default_rng(0)
    one = rng.normal(size=(50, 8)) @ rng.normal(size=(8, 8))
    two = rng.normal(size=(count, 8)) @ rng.normal(size=(8, 8)) + rng.normal(size=8)
    covariances = [np.cov(features, rowvar=False) for features in (one, two)]
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    expected = np.square(one.mean(0) - two.mean(0)).sum()
    expected += np.trace(covariances[0] + covariances[1] - 2 * root)
    assert frechet_distance(one, two) == pytest.approx(expected, rel=1e-4)
    assert frechet_distance(two, one) == pytest.approx(frechet_distance(one, two))


def test_a_set_is_as_far_from_itself_as_from_its_shuffled_self() -> None:
    features = np.random.default_rng(0).normal(size=(30, 4))
    assert frechet_distance(features, features[::-1]) == pytest.approx(0, abs=1e-9)
