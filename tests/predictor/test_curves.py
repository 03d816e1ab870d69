"""Extrapolation of learning curves: known laws, honest uncertainty."""

from __future__ import annotations

import numpy as np
import pytest

from archsmith._support.errors import InputError
from archsmith.predictor.curves import _NOISE, CurveModel


def power(top: float, fall: float, alpha: float, epochs: int = 50) -> np.ndarray:
    return top - fall * np.arange(1.0, epochs + 1) ** -alpha


@pytest.mark.parametrize(("top", "fall", "alpha"), [(0.9, 0.5, 0.5), (70.0, 40.0, 1.0)])
def test_a_power_law_is_recovered(top, fall, alpha):
    curve = power(top, fall, alpha)
    found = CurveModel(50).outlook(curve[:15].tolist())
    left = curve[-1] - curve[14]
    assert abs(found.mean - curve[-1]) < 0.25 * left
    assert abs(found.mean - curve[-1]) < 3 * found.std


def test_an_exponential_is_recovered():
    curve = 0.8 - 0.6 * np.exp(-np.arange(1.0, 51.0) / 8)
    found = CurveModel(50).outlook(curve[:15].tolist())
    assert found.mean == pytest.approx(curve[-1], abs=0.02)


def test_a_flat_curve_stays_flat():
    found = CurveModel(30).outlook([0.5] * 12)
    assert found.mean == pytest.approx(0.5, abs=1e-3)
    assert found.std < 0.01


def test_more_epochs_make_it_surer():
    curve = power(0.9, 0.5, 0.6) + np.random.default_rng(0).normal(0, 0.01, 50)
    model = CurveModel(50)
    spreads = [model.outlook(curve[:n].tolist()).std for n in (5, 15, 40)]
    assert spreads[0] > spreads[1] > spreads[2]


def test_one_part_against_the_normal_equations():
    """Mean and deviation of each part against a least-squares solution with prior rows."""
    seen = np.array([0.1, 0.4, 0.45, 0.55])
    model = CurveModel(9)
    weights, means, stds = model._posterior(seen, model._prior)
    assert weights.sum() == pytest.approx(1.0)
    scale, shape, level = np.ptp(seen), 7, 2
    noise = _NOISE[level]
    design = np.stack([np.ones(4), model._shapes.falls[shape, :4]], axis=1)
    rows = np.concatenate([design / noise, np.diag([1 / 1.0, 1 / 3.0])])
    wanted = np.concatenate([(seen - seen[-1]) / scale / noise, np.zeros(2)])
    solved, *_ = np.linalg.lstsq(rows, wanted, rcond=None)
    spread = np.linalg.inv(rows.T @ rows)[0, 0]
    assert means[shape, level] == pytest.approx(seen[-1] + scale * solved[0])
    assert stds[shape, level] == pytest.approx(scale * np.sqrt(spread + noise**2))


def test_the_weights_are_the_evidence():
    """Against the density of the values, which are jointly normal before anything is seen."""
    from scipy.stats import multivariate_normal

    seen = np.array([0.1, 0.4, 0.45, 0.55])
    model = CurveModel(9)
    weights, _, _ = model._posterior(seen, model._prior)
    rest = (seen - seen[-1]) / np.ptp(seen)

    def density(shape: int, noise: float) -> float:
        fall = model._shapes.falls[shape, :4]
        covariance = 1.0 + 9.0 * np.outer(fall, fall) + noise**2 * np.eye(4)
        return float(multivariate_normal(np.zeros(4), covariance).pdf(rest))

    told = weights[3, 2] / weights[20, 3]
    wanted = density(3, _NOISE[2]) / density(20, _NOISE[3])
    assert told == pytest.approx(wanted, rel=1e-6)


def test_ended_curves_teach_what_no_family_would_guess():
    """A schedule that lets all accuracy come in the last third."""
    rise = 1 / (1 + np.exp(-(np.arange(1, 31) - 22) / 1.5))
    rng = np.random.default_rng(0)

    def curve(top: float) -> list[float]:
        return (0.2 + (top - 0.2) * (0.3 * np.arange(1, 31) / 30 + 0.7 * rise)).tolist()

    ended = [curve(top) for top in rng.uniform(0.5, 0.9, 8)]
    asked = curve(0.8)
    plain = CurveModel(30).outlook(asked[:12])
    taught = CurveModel(30, ended).outlook(asked[:12])
    assert abs(taught.mean - asked[-1]) < abs(plain.mean - asked[-1])


def test_intervals_hold_what_they_promise():
    """80 % intervals of noisy power laws hold 65 to 95 % of the ends."""
    rng = np.random.default_rng(1)
    model = CurveModel(40)
    inside = []
    for _ in range(60):
        curve = power(rng.uniform(0.6, 0.95), rng.uniform(0.2, 0.6), rng.uniform(0.3, 1.5), 40)
        curve += rng.normal(0, 0.01, 40)
        found = model.outlook(curve[:12].tolist())
        inside.append(0.1 < found.chance_below(curve[-1]) < 0.9)
    assert 0.65 <= np.mean(inside) <= 0.95


def test_losses_over_orders_of_magnitude_are_seen_as_logarithms():
    curves = [(np.exp(6 - 3 * (1 - np.arange(1, 21) ** -s))).tolist() for s in (0.5, 1.0)]
    model = CurveModel(20, curves)
    assert model.logarithmic
    assert model.chance_below(curves[0][:8], curves[0][-1] * 1.5) > 0.8
    assert model.chance_below(curves[0][:8], curves[0][-1] / 1.5) < 0.2


def test_wrong_curves_are_refused():
    for wrong in ([0.1], [0.1] * 10, [0.1, float("nan")]):
        with pytest.raises(InputError):
            CurveModel(10).outlook(wrong)
    with pytest.raises(InputError):
        CurveModel(1)
    with pytest.raises(InputError):
        CurveModel(10, [[0.1, 0.2]])
