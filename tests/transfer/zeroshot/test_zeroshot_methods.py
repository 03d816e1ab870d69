"""Zero-shot classifiers against closed forms, other solvers, and a world that is linear."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import solve_sylvester
from scipy.optimize import minimize

from archsmith._support.errors import DataError, InputError
from archsmith.transfer.zeroshot import ZeroShotClassifier, ZeroShotData, zero_shot
from archsmith.transfer.zeroshot.dem import DEM
from archsmith.transfer.zeroshot.eszsl import ESZSL
from archsmith.transfer.zeroshot.folds import Prepared, best_on_held_out, class_folds
from archsmith.transfer.zeroshot.nearest import Nearest
from archsmith.transfer.zeroshot.ranking import DeViSE, ranking_loss
from archsmith.transfer.zeroshot.ridge import Ridge
from archsmith.transfer.zeroshot.sae import SAE, SAEToFeatures
from archsmith.transfer.zeroshot.scaling import Scaling

BARE = {"features_scale": "none", "descriptions_scale": "none"}
LEARNERS = [name for name in zero_shot.names() if name != "nearest"]


def problem(seed=0, classes=6, a=4, d=7, each=9):
    """Features (n, d), labels (n,) and descriptions (classes, a) without any structure."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(classes), each))
    return rng.normal(size=(classes * each, d)), labels, rng.normal(size=(classes, a))


def linear_world(noise=0.0, seed=0, seen=14, unseen=6, a=8, d=20, each=12):
    """Features that are a linear map of descriptions: unseen classes can be known exactly."""
    rng = np.random.default_rng(seed)
    described = rng.normal(size=(seen + unseen, a))
    described /= np.linalg.norm(described, axis=1, keepdims=True)
    labels = np.repeat(np.arange(seen + unseen), each)
    clean = described @ rng.normal(size=(a, d))
    features = clean[labels] + noise * rng.normal(size=(len(labels), d))
    return features, labels, described, np.arange(seen, seen + unseen)


def quick(name, seed=0):
    """A classifier; what descends by steps has its hyperparameter given."""
    make = zero_shot.get(name)
    decay = {"dem": 1e-4, "devise": 1e-3, "ale": 1e-3, "sje": 1e-3}.get(name)
    return make(seed=seed) if decay is None else make(decay, seed=seed)


def one_hot(labels, classes):
    return np.eye(classes)[labels]


def test_eszsl_is_the_closed_form():
    features, labels, described = problem()
    gamma, lam = 0.7, 0.3
    x, s = features.T, described.T
    y = 2 * one_hot(labels, 6) - 1
    left = np.linalg.solve(x @ x.T + gamma * np.eye(7), x @ y @ s.T)
    weight = np.linalg.solve((s @ s.T + lam * np.eye(4)).T, left.T).T
    others = np.random.default_rng(1).normal(size=(3, 4))
    found = ESZSL(gamma, lam, **BARE).fit(features, labels, described)
    np.testing.assert_allclose(found.scores(features, others), features @ weight @ others.T)


def test_eszsl_minimises_what_the_paper_says():
    features, labels, described = problem(classes=4, a=2, d=3)
    gamma, lam = 0.5, 0.2
    y = 2 * one_hot(labels, 4) - 1

    def loss(flat):
        v = flat.reshape(3, 2)
        return (
            ((features @ v @ described.T - y) ** 2).sum()
            + gamma * ((v @ described.T) ** 2).sum()
            + lam * ((features @ v) ** 2).sum()
            + gamma * lam * (v**2).sum()
        )

    best = minimize(loss, np.zeros(6), tol=1e-14).x.reshape(3, 2)
    found = ESZSL(gamma, lam, **BARE).fit(features, labels, described)
    np.testing.assert_allclose(
        found.scores(features, described), features @ best @ described.T, atol=1e-5
    )


def sae_weight(features, labels, described, lam):
    """The weight (a, d), read off the classifier's own solver."""
    solve = SAE(lam, **BARE).prepare(features, labels, described)
    return solve(lam=lam).weight


@pytest.mark.parametrize("lam", [0.01, 1.0, 30.0])
def test_sae_solves_its_sylvester_equation(lam):
    features, labels, described = problem()
    s, x = described[labels].T, features.T
    a, b, c = s @ s.T, lam * x @ x.T, (1 + lam) * s @ x.T
    weight = sae_weight(features, labels, described, lam)
    np.testing.assert_allclose(a @ weight + weight @ b, c, atol=1e-9)
    np.testing.assert_allclose(weight, solve_sylvester(a, b, c))
    # vec(A W + W B) = (I kron A + B' kron I) vec(W), columns stacked
    big = np.kron(np.eye(7), a) + np.kron(b.T, np.eye(4))
    vector = np.linalg.solve(big, c.reshape(-1, order="F"))
    np.testing.assert_allclose(weight, vector.reshape(4, 7, order="F"))


def test_sae_takes_the_least_weight_where_the_equation_is_singular():
    features, labels, described = problem(classes=3, a=5, d=40, each=4)
    weight = sae_weight(features, labels, described, 0.5)
    s, x = described[labels].T, features.T
    a, b, c = s @ s.T, 0.5 * x @ x.T, 1.5 * s @ x.T
    big = np.kron(np.eye(40), a) + np.kron(b.T, np.eye(5))
    vector = np.linalg.lstsq(big, c.reshape(-1, order="F"), rcond=1e-10)[0]
    np.testing.assert_allclose(weight, vector.reshape(5, 40, order="F"), atol=1e-8)


def test_sae_scores_by_cosine_both_ways():
    features, labels, described = problem()
    weight = sae_weight(features, labels, described, 2.0)

    def cosine(a, b):
        return np.array([[u @ v / np.sqrt(u @ u * (v @ v)) for v in b] for u in a])

    there = SAE(2.0, **BARE).fit(features, labels, described)
    back = SAEToFeatures(2.0, **BARE).fit(features, labels, described)
    np.testing.assert_allclose(
        there.scores(features, described), cosine(features @ weight.T, described)
    )
    np.testing.assert_allclose(
        back.scores(features, described), cosine(features, described @ weight)
    )


def test_ridge_is_scikit_learns_on_every_example():
    from sklearn.linear_model import Ridge as Reference

    features, labels, described = problem()
    reference = Reference(alpha=0.9).fit(described[labels], features)
    places = reference.predict(described)
    wanted = -((features[:, None] - places[None]) ** 2).sum(axis=2)
    found = Ridge(0.9, **BARE).fit(features, labels, described)
    np.testing.assert_allclose(found.scores(features, described), wanted)


def loss_by_hand(scores, labels, margin, kind):
    total = 0.0
    for row, label in zip(scores, labels):
        hinge = [max(0.0, margin + row[j] - row[label]) for j in range(len(row)) if j != label]
        above = sum(h > 0 for h in hinge)
        if kind == "devise":
            total += sum(hinge)
        elif kind == "sje":
            total += max(hinge)
        elif above:
            total += sum(1 / k for k in range(1, above + 1)) * sum(hinge) / above
    return total / len(scores)


@pytest.mark.parametrize("kind", ["devise", "ale", "sje"])
@given(seed=st.integers(0, 10**6), margin=st.sampled_from([0.1, 1.0]))
@settings(max_examples=20, deadline=None)
def test_ranking_losses_are_those_of_the_papers(kind, seed, margin):
    rng = np.random.default_rng(seed)
    scores, labels = rng.normal(size=(5, 4)), rng.integers(4, size=5)
    found = ranking_loss(torch.tensor(scores), torch.tensor(labels), margin, kind)
    assert float(found) == pytest.approx(loss_by_hand(scores, labels, margin, kind))


@pytest.mark.parametrize("kind", ["devise", "ale", "sje"])
def test_gradients_of_ranking_losses_are_right(kind):
    rng = np.random.default_rng(3)
    scores = torch.tensor(rng.normal(size=(6, 5)), requires_grad=True)
    labels = torch.tensor(rng.integers(5, size=6))
    ranking_loss(scores, labels, 0.8, kind).backward()
    step = 1e-6
    for i in range(6):
        for j in range(5):
            moved = scores.detach().numpy().copy()
            moved[i, j] += step
            up = loss_by_hand(moved, labels.numpy(), 0.8, kind)
            moved[i, j] -= 2 * step
            down = loss_by_hand(moved, labels.numpy(), 0.8, kind)
            assert float(scores.grad[i, j]) == pytest.approx((up - down) / (2 * step), abs=1e-6)


@pytest.mark.slow
def test_linear_devise_comes_near_the_least_of_its_convex_loss():
    features, labels, described = problem(classes=3, a=2, d=2, each=5)
    decay = 0.05

    def loss(flat):
        scores = features @ flat.reshape(2, 2).T @ described.T
        return loss_by_hand(scores, labels, 1.0, "devise") + decay * (flat**2).sum()

    best = minimize(loss, np.zeros(4), method="Powell", options={"maxfev": 2000}).fun
    solve = DeViSE(decay, steps=800, rate=0.03, **BARE).prepare(features, labels, described)
    # Scores of unit rows of features and descriptions are the projection's entries.
    weight = solve(decay=decay)(np.eye(2), np.eye(2)).T
    assert loss(weight.ravel()) < best * 1.005


@pytest.mark.slow
@pytest.mark.parametrize("name", LEARNERS)
def test_unseen_classes_of_a_linear_world_are_known(name):
    features, labels, described, unseen = linear_world()
    known = ~np.isin(labels, unseen)
    found = quick(name).fit(features[known], labels[known], described)
    predicted = found.predict(features[~known], described, among=unseen)
    right = (predicted == labels[~known]).mean()
    assert right == 1.0 if name in ("ridge", "sae", "dem") else right > 0.8


@pytest.mark.slow
@pytest.mark.parametrize("name", LEARNERS)
def test_the_same_seed_gives_the_same_scores_and_leaves_random_state_alone(name):
    features, labels, described, _ = linear_world(noise=0.3, seen=5, unseen=2)
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first, second = (quick(name, seed=3).fit(features, labels, described) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert first.chosen == second.chosen
    np.testing.assert_array_equal(
        first.scores(features, described), second.scores(features, described)
    )


def test_tensors_are_taken_as_well():
    features, labels, described = problem()
    found = Ridge(1.0).fit(features, labels, described).scores(features, described)
    tensors = [torch.from_numpy(array) for array in (features, labels, described)]
    np.testing.assert_allclose(Ridge(1.0).fit(*tensors).scores(tensors[0], tensors[2]), found)


def test_nearest_is_the_cosine_and_needs_one_space():
    rng = np.random.default_rng(0)
    given_, described = rng.normal(size=(4, 5)), rng.normal(size=(3, 5))
    found = Nearest().scores(given_, described)
    for i in range(4):
        for j in range(3):
            size = np.linalg.norm(given_[i]) * np.linalg.norm(described[j])
            assert found[i, j] == pytest.approx(given_[i] @ described[j] / size)
    with pytest.raises(DataError, match=r"expected 5 columns.*got 4"):
        Nearest().fit(given_, np.zeros(4, int), described[:, :4])


# -- choosing on held-out classes


@given(st.integers(4, 60), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_folds_partition_the_classes_and_leave_two_on_each_side(count, seed):
    classes = np.arange(10, 10 + count)
    folds = list(class_folds(classes, seed))
    assert all(2 <= len(fold) <= count - 2 for fold in folds)
    assert len(folds) <= 12
    size = min(3, count // 2)
    for start in range(0, len(folds), size):
        together = np.concatenate(folds[start : start + size])
        np.testing.assert_array_equal(np.sort(together), classes)


def test_validation_classes_are_never_trained_on():
    features, labels, described = problem(classes=8)
    trained, judged = [], []

    def prepare(some, own, rows):
        classes = {int(np.flatnonzero((described == row).all(axis=1))[0]) for row in rows}
        trained.append(classes)
        assert set(own) == set(range(len(rows)))

        def solve(value):
            def score(_, held):
                judged.append(
                    {int(np.flatnonzero((described == row).all(axis=1))[0]) for row in held}
                )
                return np.zeros((len(_), len(held)))

            return score

        return Prepared(solve, lambda rows: rows, lambda rows: rows)

    best_on_held_out(prepare, features, labels, described, [{"value": 1}], seed=0)
    assert trained
    for learned, held in zip(trained, judged):
        assert not learned & held
        assert learned | held == set(range(8))


def test_the_best_on_held_out_classes_is_chosen():
    features, labels, described, _ = linear_world(noise=0.5)
    found = Ridge().fit(features, labels, described)
    accuracy = {}
    for lam in Ridge.grid["lam"]:
        again = Ridge(lam).fit(features, labels, described)
        assert again.validation is None
        accuracy[lam] = best_on_held_out(
            again._prepare_scaled, features, labels, described, [{"lam": lam}], 0
        )[1]
    assert found.validation == max(accuracy.values())
    assert accuracy[found.chosen["lam"]] == found.validation


def test_too_few_classes_to_hold_out_are_told():
    features, labels, described = problem(classes=3, a=2)
    found = Ridge().fit(features, labels, described)
    assert found.validation is None
    assert "3 seen classes are too few" in found.notes[0]


# -- scaling


@given(st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_scales_do_what_they_say(seed):
    values = np.random.default_rng(seed).normal(3, 5, size=(8, 4))
    values[:, 2] = 1.5
    centred = Scaling("centre", values)(values)
    assert np.allclose(centred.mean(axis=0), 0)
    assert (centred**2).mean() == pytest.approx(1)
    np.testing.assert_allclose(np.linalg.norm(Scaling("unit", values)(values), axis=1), 1)
    standard = Scaling("standard", values)(values)
    np.testing.assert_allclose(standard.std(axis=0), [1, 1, 0, 1])
    assert Scaling("none", values)(values) is values


# -- bad input


def test_a_class_without_attributes_is_named():
    features, labels, described = problem()
    for wrong in (np.nan, 0.0):
        bad = described.copy()
        bad[2] = wrong
        with pytest.raises(DataError, match=r"attributes of every class.*class 2"):
            Ridge(1.0).fit(features, labels, bad)
        with pytest.raises(DataError, match="class 'fox'"):
            ZeroShotData.of(features, labels, bad, [0, 1], class_names=[*"ab", "fox", *"def"])
    for unseen, got in (([0, 12], "12"), ([-1], "-1"), ([], "none")):
        with pytest.raises(DataError, match=f"unseen: expected numbers of classes.*got {got}"):
            ZeroShotData.of(features, labels, described, unseen)


def test_attributes_that_never_change_are_left_out_and_named():
    features, labels, described = problem()
    with_constant = np.column_stack([described, np.full(6, 2.0)])
    plain = Ridge(1.0, descriptions_scale="none").fit(features, labels, described)
    found = Ridge(1.0, descriptions_scale="none").fit(features, labels, with_constant)
    assert found.notes == ("left out, the same for all seen classes: attribute 4",)
    np.testing.assert_allclose(
        found.scores(features, with_constant), plain.scores(features, described)
    )


def test_classes_that_are_described_alike_are_named():
    features, labels, described = problem()
    described[4] = described[1]
    with pytest.raises(DataError, match="the same for classes 1 and 4"):
        ESZSL(1.0, 1.0).fit(features, labels, described)
    # They differ in what seen classes have in common: nothing of that can be learned.
    rows = np.array([[1.0, 0, 5], [0, 1, 5], [1, 1, 5], [1, 0, 6]])
    found = Ridge(1.0).fit(features[:3], np.arange(3), rows)
    with pytest.raises(DataError, match="the same for classes 0 and 3"):
        found.predict(features, rows)
    with pytest.raises(DataError, match="the same for classes 0 and 1"):
        Ridge(1.0).fit(*problem()).predict(features, np.stack([described[2], 3 * described[2]]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": np.zeros((54, 0))}, r"features: expected rows of numbers"),
        ({"features": np.full((54, 7), np.inf)}, "finite numbers, got NaN or infinity in rows 0"),
        ({"features": np.full((54, 7), "a")}, "features: expected rows of numbers"),
        ({"labels": np.zeros(3, int)}, r"labels: expected whole numbers \(54,\)"),
        ({"labels": np.full(54, 6)}, r"rows of the 6 descriptions, 0 to 5, got 6"),
        ({"labels": np.zeros(54)}, "whole numbers"),
        ({"labels": np.zeros(54, int)}, "examples of two classes or more, got class 0"),
        ({"descriptions": np.zeros(6)}, "rows of numbers"),
    ],
)
def test_bad_input_is_refused(change, message):
    features, labels, described = problem()
    given_ = {"features": features, "labels": labels, "descriptions": described} | change
    with pytest.raises(DataError, match=message):
        Ridge(1.0).fit(**given_)


def test_other_widths_and_unfitted_classifiers_are_refused():
    features, labels, described = problem()
    with pytest.raises(InputError, match="fit before scores"):
        Ridge(1.0).scores(features, described)
    found = Ridge(1.0).fit(features, labels, described)
    with pytest.raises(DataError, match="features: expected 7 columns, as in fit, got 6"):
        found.scores(features[:, :6], described)
    with pytest.raises(DataError, match="descriptions: expected 4 columns"):
        found.scores(features, described[:, :3])
    with pytest.raises(DataError, match="among"):
        found.predict(features, described, among=[6])
    with pytest.raises(DataError, match="among: expected one class or more"):
        found.predict(features, described, among=np.zeros(0, int))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Ridge(-1.0),
        lambda: ESZSL(float("nan")),
        lambda: DeViSE(steps=0),
        lambda: DeViSE(margin=0),
        lambda: DEM(hidden=-1),
        lambda: DeViSE(rate=0),
        lambda: Ridge(1.0, features_scale="max").fit(*problem()),
    ],
)
def test_settings_outside_their_range_are_refused(make):
    with pytest.raises(InputError):
        make()


def test_a_classifier_of_ones_own_is_one_method():
    class Means(ZeroShotClassifier):
        name = "means"

        def prepare(self, features, labels, descriptions):
            return lambda: lambda given_, described: given_[:, :1] * described[:, 0]

    features, labels, described = problem()
    found = Means(**BARE).fit(features, labels, described)
    np.testing.assert_allclose(
        found.scores(features, described), np.outer(features[:, 0], described[:, 0])
    )


def test_what_descends_chooses_its_hyperparameter_as_well():
    features, labels, described, _ = linear_world(noise=0.3, seen=4, unseen=2)
    found = DeViSE(steps=20).fit(features, labels, described)
    assert found.chosen["decay"] in DeViSE.grid["decay"]
    assert found.validation is not None


def test_eszsl_without_penalties_is_the_pseudo_inverse():
    features, labels, described = problem(classes=3, a=5, d=40, each=4)
    x, s, y = features.T, described.T, 2 * one_hot(labels, 3) - 1
    weight = np.linalg.pinv(x @ x.T) @ x @ y @ s.T @ np.linalg.pinv(s @ s.T)
    found = ESZSL(0.0, 0.0, **BARE).fit(features, labels, described)
    np.testing.assert_allclose(
        found.scores(features, described), features @ weight @ described.T, atol=1e-8
    )
