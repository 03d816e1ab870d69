"""Accuracies, calibrated stacking and the curve of seen against unseen, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from archsmith._support.errors import DataError, InputError
from archsmith.transfer.zeroshot import ZeroShotData, evaluate_zero_shot
from archsmith.transfer.zeroshot.evaluate import choose_gamma
from archsmith.transfer.zeroshot.measure import (
    class_accuracy,
    generalised,
    harmonic_mean,
    seen_unseen_curve,
    stacked,
    wilson,
)
from archsmith.transfer.zeroshot.ridge import Ridge

SEEN = np.array([0, 1])


def small():
    """Classes 0 and 1 are seen, 2 and 3 are not; margins of seen over unseen are easy to read."""
    scores = np.array(
        [
            [5.0, 0, 2, 1],  # class 0, right while gamma < 3
            [4.0, 0, 3, 1],  # class 0, right while gamma < 1
            [0, 4.0, 2, 1],  # class 1, right while gamma < 2
            [4.0, 1, 2, 1],  # class 1, never right
            [3.0, 0, 1, 0],  # class 2, right once gamma > 2
            [0, 1.0, 1.5, 0],  # class 2, right once gamma > -0.5
            [2.0, 0, 0, 1.5],  # class 3, right once gamma > 0.5
        ]
    )
    return scores, np.array([0, 0, 1, 1, 2, 2, 3])


def test_class_accuracy_weighs_classes_alike():
    labels = np.array([0, 0, 0, 0, 1])
    found = class_accuracy(np.array([0, 0, 0, 1, 0]), labels)
    assert found.value == pytest.approx((3 / 4 + 0) / 2)
    # Two classes of 4 and 1 examples tell their mean as 2**2 / (1/4 + 1) = 3.2 would.
    assert found == wilson(0.375, 3.2)


@given(st.integers(0, 50), st.integers(1, 50))
@settings(max_examples=50, deadline=None)
def test_wilson_is_scipys(right, wrong):
    total = right + wrong
    found = wilson(right / total, total)
    wanted = binomtest(right, total).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high))
    assert found.low <= found.value <= found.high


def test_the_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [10, 25, 60])
    shares = np.array([0.9, 0.6, 0.7])
    covered = 0
    for _ in range(1000):
        right = rng.random(len(labels)) < shares[labels]
        found = class_accuracy(np.where(right, labels, -1), labels)
        covered += found.low <= shares.mean() <= found.high
    assert 930 <= covered <= 990


def test_harmonic_mean_by_hand():
    assert harmonic_mean(0.6, 0.3) == pytest.approx(0.4)
    assert harmonic_mean(0.0, 1.0) == 0.0
    assert harmonic_mean(1.0, 1.0) == 1.0


def test_generalised_accuracy_by_hand():
    scores, labels = small()
    found = generalised(scores, labels, SEEN)
    assert found.seen.value == pytest.approx((2 / 2 + 1 / 2) / 2)
    assert found.unseen.value == pytest.approx((1 / 2 + 0) / 2)
    assert found.harmonic.value == pytest.approx(2 * 0.75 * 0.25)
    moved = generalised(scores, labels, SEEN, gamma=1.5)
    assert (moved.seen.value, moved.unseen.value) == pytest.approx((0.5, 0.75))
    assert set(moved.to_json()) == {"seen", "unseen", "harmonic"}


def test_the_curve_and_its_area_by_hand():
    scores, labels = small()
    curve = seen_unseen_curve(scores, labels, SEEN)
    np.testing.assert_allclose(curve.edges, [-0.5, 0.5, 1, 2, 3])
    np.testing.assert_allclose(curve.seen, [0.75, 0.75, 0.75, 0.5, 0.25, 0])
    np.testing.assert_allclose(curve.unseen, [0, 0.25, 0.75, 0.75, 1, 1])
    # At gamma = 2 an example of each side changes at once: a slanted step.
    assert curve.area == pytest.approx(0.75 * 0.75 + 0.25 * (0.5 + 0.25) / 2)
    np.testing.assert_allclose(curve.harmonic_at(np.array([0.7, 1.5])), [0.75, 0.6])


@pytest.mark.slow
@given(st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_stacking_is_monotone_and_the_curve_agrees_with_it(seed):
    rng = np.random.default_rng(seed)
    classes = 6
    labels = np.concatenate([np.arange(classes), rng.integers(classes, size=25)])
    scores = rng.normal(size=(len(labels), classes))
    seen = np.sort(rng.choice(classes, 3, replace=False))
    curve = seen_unseen_curve(scores, labels, seen)
    gammas = np.linspace(-6, 6, 41)
    found = [generalised(scores, labels, seen, gamma) for gamma in gammas]
    s, u = (np.array([getattr(f, k).value for f in found]) for k in ("seen", "unseen"))
    assert (np.diff(s) <= 1e-12).all()
    assert (np.diff(u) >= -1e-12).all()
    place = np.searchsorted(curve.edges, gammas)
    np.testing.assert_allclose(s, curve.seen[place])
    np.testing.assert_allclose(u, curve.unseen[place])
    harmonic = [f.harmonic.value for f in found]
    np.testing.assert_allclose(curve.harmonic_at(gammas), harmonic)
    assert 0 <= curve.area <= 1


def test_the_area_is_that_of_a_fine_sum():
    rng = np.random.default_rng(5)
    labels = np.repeat(np.arange(4), 30)
    scores = rng.normal(size=(120, 4)) + 1.5 * np.eye(4)[labels]
    curve = seen_unseen_curve(scores, labels, SEEN)
    s, u = [], []
    for gamma in np.linspace(-8, 8, 4001):
        predicted = stacked(scores, SEEN, gamma).argmax(axis=1)
        right = predicted == labels
        s.append(right[labels < 2].mean())
        u.append(right[labels >= 2].mean())
    assert curve.area == pytest.approx(np.trapezoid(s, u), abs=2e-3)


def test_a_curve_needs_both_sides():
    scores, labels = small()
    with pytest.raises(InputError, match="one side is empty"):
        seen_unseen_curve(scores[:4], labels[:4], SEEN)


# -- the whole evaluation


def world(noise, seed=0, classes=20, unseen=5):
    rng = np.random.default_rng(seed)
    described = rng.normal(size=(classes, 8))
    labels = np.repeat(np.arange(classes), 20)
    features = described[labels] @ rng.normal(size=(8, 16))
    features += noise * rng.normal(size=features.shape)
    return ZeroShotData.of(features, labels, described, range(classes - unseen, classes))


def test_a_world_without_noise_is_known_in_every_way():
    found = evaluate_zero_shot("ridge", world(0.0))
    assert found.accuracy.value == 1.0
    assert found.accuracy.low < 1.0
    assert found.generalised.harmonic.value == 1.0
    assert found.calibrated.harmonic.value == 1.0
    assert found.ausuc == pytest.approx(1.0)
    assert found.chance == 1 / 5
    assert found.to_json()["hyperparameters"] == found.hyperparameters


def test_it_measures_what_the_classifier_does():
    data = world(3.0)
    found = evaluate_zero_shot(Ridge(1.0), data)
    again = Ridge(1.0).fit(data.features[data.train], data.labels[data.train], data.descriptions)
    tested = data.test_unseen
    own = again.predict(data.features[tested], data.descriptions, among=data.unseen)
    assert found.accuracy == class_accuracy(own, data.labels[tested])
    every = again.predict(data.features[tested], data.descriptions)
    assert found.generalised.unseen == class_accuracy(every, data.labels[tested])
    every = again.predict(data.features[data.test_seen], data.descriptions)
    assert found.generalised.seen == class_accuracy(every, data.labels[data.test_seen])


def test_calibration_helps_what_leans_to_the_seen_classes():
    class Leaning(Ridge):
        def scores(self, features, descriptions):
            found = super().scores(features, descriptions)
            # What it was taught is preferred by far, wherever it stands among the descriptions.
            taught = [(self.taught == row).all(axis=1).any() for row in np.asarray(descriptions)]
            return found + 30.0 * np.array(taught)

        def fit(self, features, labels, descriptions):
            self.taught = np.asarray(descriptions)[np.unique(labels)]
            return super().fit(features, labels, descriptions)

    data = world(1.0)
    found = evaluate_zero_shot(Leaning(1.0), data)
    assert found.generalised.unseen.value < 0.2
    assert found.gamma == pytest.approx(30, abs=5)
    assert found.calibrated.harmonic.value > found.generalised.harmonic.value + 0.3


def test_gamma_is_chosen_without_test_examples():
    data = world(2.0)
    fitted = Ridge(1.0).fit(data.features[data.train], data.labels[data.train], data.descriptions)
    found = choose_gamma(fitted, data)
    spoiled = data.features.copy()
    spoiled[np.concatenate([data.test_seen, data.test_unseen])] = 1e6
    other = ZeroShotData(
        spoiled,
        data.labels,
        data.descriptions,
        data.class_names,
        data.train,
        data.test_seen,
        data.test_unseen,
    )
    assert choose_gamma(fitted, other) == found


def test_few_seen_classes_and_no_seen_examples_leave_parts_out():
    few = world(0.0, classes=5, unseen=2)
    found = evaluate_zero_shot("ridge", few)
    assert found.generalised is not None
    assert found.calibrated is None
    assert found.gamma is None
    data = world(0.0)
    none = ZeroShotData(
        data.features,
        data.labels,
        data.descriptions,
        data.class_names,
        data.train,
        np.zeros(0, int),
        data.test_unseen,
    )
    found = evaluate_zero_shot("ridge", none)
    assert found.accuracy.value == 1.0
    assert found.generalised is None
    assert found.ausuc is None
    assert found.to_json()["generalised"] is None


def test_one_unseen_class_cannot_be_told_apart():
    with pytest.raises(InputError, match="two or more, to be distinguished, got 1"):
        evaluate_zero_shot("ridge", world(0.0, unseen=1))


def test_seen_and_unseen_may_not_overlap():
    data = world(0.0)
    wrong = np.concatenate([data.test_unseen, data.test_seen[:1]])
    with pytest.raises(DataError, match=r"classes without training examples, got class '0'"):
        ZeroShotData(
            data.features,
            data.labels,
            data.descriptions,
            data.class_names,
            data.train,
            data.test_seen[1:],
            wrong,
        )
    with pytest.raises(DataError, match="no training examples, got row 0"):
        ZeroShotData(
            data.features,
            data.labels,
            data.descriptions,
            data.class_names,
            np.arange(40),
            np.arange(1),
            data.test_unseen,
        )


def test_of_holds_out_a_share_of_each_seen_class():
    data = world(0.0)
    assert sorted([*data.train, *data.test_seen, *data.test_unseen]) == list(range(400))
    assert set(np.bincount(data.labels[data.test_seen])) == {4}
    assert data.unseen.tolist() == [15, 16, 17, 18, 19]


def test_an_attribute_that_two_classes_alone_have_survives_the_folds():
    data = world(0.5, classes=9, unseen=2)
    described = np.eye(9)[:, :7]
    # Classes 0 and 1 differ in one attribute that no other class has: with both held out nothing
    # can be learned of it, which is no reason to refuse.
    described[:2] = 0
    described[:2, 5:] = [[1, 1], [1, 0]]
    described[5:7] = [[1, 1, 0, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0, 0]]
    described[7:] = [[0, 1, 1, 0, 0, 0, 0], [1, 0, 0, 1, 0, 0, 0]]
    other = ZeroShotData(
        data.features,
        data.labels,
        described,
        data.class_names,
        data.train,
        data.test_seen,
        data.test_unseen,
    )
    for seed in range(3):
        assert evaluate_zero_shot("ridge", other, seed=seed).calibrated is not None
