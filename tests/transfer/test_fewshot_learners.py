"""Each learner against an independent computation: scikit-learn, numpy, closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from torch import nn
from torch.nn import functional as F

from archsmith._support.errors import DataError, InputError
from archsmith.transfer.fewshot import FewShotLearner, learners
from archsmith.transfer.fewshot.centroids import Prototypical, SimpleShot
from archsmith.transfer.fewshot.distances import class_logsumexp, within_span
from archsmith.transfer.fewshot.heads import BaselinePlusPlus, FineTuning
from archsmith.transfer.fewshot.heads import Ridge as RidgeHead
from archsmith.transfer.fewshot.mahalanobis import Mahalanobis
from archsmith.transfer.fewshot.maml import ANIL, MAML
from archsmith.transfer.fewshot.neighbours import Matching, NearestNeighbour
from archsmith.transfer.fewshot.pairs import Relation, Siamese
from archsmith.transfer.fewshot.propagation import LabelPropagation


def problem(dim: int = 6, seed: int = 0, sizes=(2, 3, 4), asked: int = 30):
    """Overlapping classes: support (S, D), codes (S,), queries (M, D), as numpy float64."""
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(len(sizes)), sizes)
    centres = rng.normal(size=(len(sizes), dim))
    support = centres[codes] + 0.7 * rng.normal(size=(len(codes), dim))
    query = centres[rng.integers(len(sizes), size=asked)] + rng.normal(size=(asked, dim))
    return support, codes, query


def logits(learner: FewShotLearner, support, codes, query) -> np.ndarray:
    return learner.double().fit(support, codes).logits(query).detach().numpy()


def test_prototypical_is_the_nearest_centroid():
    support, codes, query = problem()
    found = Prototypical().fit(support, codes).predict(query)
    assert found == NearestCentroid().fit(support, codes).predict(query).tolist()
    means = np.stack([support[codes == c].mean(axis=0) for c in range(3)])
    np.testing.assert_allclose(
        logits(Prototypical(scale=0.5), support, codes, query),
        -0.5 * cdist(query, means, "sqeuclidean"),
    )
    np.testing.assert_allclose(
        logits(Prototypical(metric="cosine"), support, codes, query),
        1 - cdist(query, means, "cosine"),
    )


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_the_nearest_neighbour_is_that_of_scikit_learn(metric):
    support, codes, query = problem()
    other = KNeighborsClassifier(1, metric=metric).fit(support, codes)
    assert NearestNeighbour(metric=metric).fit(support, codes).predict(query) == (
        other.predict(query).tolist()
    )


def test_distances_far_from_the_origin_keep_their_digits():
    support, codes, query = problem()
    near = (
        NearestNeighbour().fit(support.astype(np.float32), codes).logits(query.astype(np.float32))
    )
    far = (
        NearestNeighbour()
        .fit((support + 1000).astype(np.float32), codes)
        .logits((query + 1000).astype(np.float32))
    )
    torch.testing.assert_close(near, far, rtol=1e-2, atol=1e-2)


def test_matching_is_attention_over_cosines():
    support, codes, query = problem()
    weights = np.exp(3 * (1 - cdist(query, support, "cosine")))
    attention = weights / weights.sum(axis=1, keepdims=True)
    expected = attention @ np.eye(3)[codes]
    found = Matching(scale=3.0).fit(support, codes).probabilities(query)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)


def test_a_class_that_is_far_away_still_has_a_logit():
    values, members = torch.tensor([[[0.0, -2000.0]]]), torch.eye(2)[None]
    assert class_logsumexp(values, members).tolist() == [[[0.0, -2000.0]]]


@pytest.mark.parametrize("transform", ["un", "l2n", "cl2n"])
def test_simpleshot_transforms_before_it_takes_means(transform):
    support, codes, query = problem()
    base = np.full(6, 0.3)

    def change(x):
        x = x - base if transform == "cl2n" else x
        return x if transform == "un" else x / np.linalg.norm(x, axis=1, keepdims=True)

    means = np.stack([change(support)[codes == c].mean(axis=0) for c in range(3)])
    learner = SimpleShot(transform=transform, base_mean=torch.from_numpy(base))
    np.testing.assert_allclose(
        logits(learner, support, codes, query), -cdist(change(query), means, "sqeuclidean")
    )


def test_simpleshot_needs_a_base_mean_to_centre():
    support, codes, _ = problem()
    with pytest.raises(InputError, match=r"length 6 for cl2n, got none"):
        SimpleShot(transform="cl2n").fit(support, codes)
    with pytest.raises(InputError, match=r"length 6 for cl2n, got shape \(5,\)"):
        SimpleShot(transform="cl2n", base_mean=torch.zeros(5)).fit(support, codes)


def test_siamese_weighs_the_difference():
    support, codes, query = problem()
    learner = Siamese(dim=6)
    weight = torch.tensor([-1.0, 0.5, -0.2, 0.0, 0.3, -2.0])
    with torch.no_grad():
        learner.weight.copy_(weight)
    pairs = np.abs(query[:, None] - support[None]) @ weight.double().numpy()
    expected = np.stack([pairs[:, codes == c].mean(axis=1) for c in range(3)], axis=1)
    np.testing.assert_allclose(logits(learner, support, codes, query), expected, rtol=1e-5)


def test_relation_judges_the_concatenated_pair():
    support, codes, query = problem()
    learner = Relation(dim=6, hidden=5).double()
    found = logits(learner, support, codes, query)
    first = torch.cat([learner.of_query.weight, learner.of_class.weight], dim=1)
    for m, c in ((0, 0), (3, 2), (7, 1)):
        pair = np.concatenate([query[m], support[codes == c].mean(axis=0)])
        hidden = first @ torch.from_numpy(pair) + learner.of_query.bias
        assert learner.judge(hidden).item() == pytest.approx(found[m, c])


@pytest.mark.parametrize("dim", [4, 40])  # both sides of Woodbury's identity
def test_ridge_is_ridge_regression(dim):
    support, codes, query = problem(dim)
    other = Ridge(alpha=2.5, fit_intercept=False).fit(support, np.eye(3)[codes])
    found = logits(RidgeHead(strength=2.5, scale=4.0), support, codes, query)
    np.testing.assert_allclose(found, 4 * other.predict(query), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dim", [4, 40])
@pytest.mark.parametrize("strength", [0.1, 10.0])
def test_fine_tuning_is_logistic_regression(dim, strength):
    support, codes, query = problem(dim)
    other = LogisticRegression(C=strength, tol=1e-10, max_iter=10_000).fit(support, codes)
    learner = FineTuning(inverse_strength=strength, steps=300).double().fit(support, codes)
    found = learner.probabilities(query).numpy()
    np.testing.assert_allclose(found, other.predict_proba(query), atol=2e-5)


def test_a_hundred_steps_of_fine_tuning_are_enough():
    support, codes, query = problem(32, sizes=(5,) * 5)
    other = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000).fit(support, codes)
    found = FineTuning().fit(support, codes).probabilities(query).numpy()
    np.testing.assert_allclose(found, other.predict_proba(query), atol=2e-3)


def test_baseline_plus_plus_is_descent_on_the_sphere():
    support, codes, query = problem(5)
    inputs, asked = (F.normalize(torch.from_numpy(x), dim=1) for x in (support, query))
    means = [inputs[torch.from_numpy(codes == c)].mean(dim=0) for c in range(3)]
    weights = F.normalize(torch.stack(means), dim=1)
    weights.requires_grad_()
    loss = F.cross_entropy(6 * inputs @ F.normalize(weights, dim=1).T, torch.from_numpy(codes))
    (slope,) = torch.autograd.grad(loss, weights)
    expected = 6 * asked @ F.normalize(weights.detach() - 0.2 * slope, dim=1).T
    found = logits(BaselinePlusPlus(scale=6.0, steps=1, lr=0.2), support, codes, query)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-6)


def test_baseline_plus_plus_separates_what_its_start_does_not():
    # The mean of a class lies beside the other class; directions tell them apart all the same.
    angle = np.deg2rad([0.0, 80.0, 85.0, 90.0, 100.0, 120.0])
    points, codes = np.stack([np.cos(angle), np.sin(angle)], axis=1), np.array([0, 0, 0, 0, 1, 1])
    assert BaselinePlusPlus(steps=0).fit(points, codes).predict(points) != codes.tolist()
    assert BaselinePlusPlus(steps=1000).fit(points, codes).predict(points) == codes.tolist()


@pytest.mark.parametrize("kind", [FineTuning, BaselinePlusPlus, Mahalanobis])
def test_coordinates_within_the_span_change_nothing(kind, monkeypatch):
    support, codes, query = problem(20)
    short = kind().double().fit(support, codes).probabilities(query)
    for place in ("heads", "mahalanobis"):
        module = f"archsmith.transfer.fewshot.{place}"
        monkeypatch.setattr(f"{module}.within_span", lambda support, query: (support, query))
    whole = kind().double().fit(support, codes).probabilities(query)
    torch.testing.assert_close(short, whole, rtol=1e-4, atol=1e-6)


def test_the_span_keeps_products():
    generator = torch.Generator().manual_seed(0)
    support, query = (torch.randn(2, n, 9, generator=generator) for n in (4, 7))
    some, asked = within_span(support, query)
    assert some.shape == (2, 4, 4)
    torch.testing.assert_close(asked @ some.mT, query @ support.mT)


@pytest.mark.parametrize("dim", [3, 20])
def test_mahalanobis_is_that_of_simple_cnaps(dim):
    support, codes, query = problem(dim, sizes=(1, 3, 4))
    expected = np.empty((len(query), 3))
    whole = np.cov(support.T)
    for c in range(3):
        some = support[codes == c]
        own = np.cov(some.T) if len(some) > 1 else np.zeros((dim, dim))
        share = len(some) / (len(some) + 1)
        inverse = np.linalg.inv(share * own + (1 - share) * whole + 0.5 * np.eye(dim))
        away = query - some.mean(axis=0)
        expected[:, c] = -np.einsum("md,de,me->m", away, inverse, away)
    found = logits(Mahalanobis(ridge=0.5), support, codes, query)
    # What a query has off the span of the support counts alike for all classes.
    np.testing.assert_allclose(
        found - found[:, :1], expected - expected[:, :1], rtol=1e-6, atol=1e-8
    )


def test_label_propagation_is_a_dense_solve():
    support, codes, query = problem(asked=8)
    points = np.concatenate([support, query])
    distances = cdist(points, points, "sqeuclidean")
    count, near = len(points), 4
    joined, total = np.zeros((count, count), bool), 0.0
    for i in range(count):
        nearest = [j for j in np.argsort(distances[i]) if j != i][:near]
        joined[i, nearest] = True
        total += distances[i, nearest].sum()
    width = 0.7 * total / (count * near)
    kernel = np.where(joined | joined.T, np.exp(-distances / (2 * width)), 0)
    degree = np.diag(kernel.sum(axis=1) ** -0.5)
    start = np.zeros((count, 3))
    start[np.arange(len(codes)), codes] = 1
    spread = np.linalg.inv(np.eye(count) - 0.8 * degree @ kernel @ degree) @ start
    learner = LabelPropagation(alpha=0.8, neighbours=near, width=0.7)
    found = np.exp(logits(learner, support, codes, query))
    np.testing.assert_allclose(found, spread[len(codes) :], rtol=1e-6)


def test_labels_follow_a_chain_that_distance_does_not():
    steps = torch.linspace(0, 1, 20)[:, None]
    # Two parallel chains; the end of the first is nearest to the example of the second.
    first, second = torch.cat([5 * steps, 0 * steps], 1), torch.cat([5 * steps, 0 * steps + 1], 1)
    support = torch.stack([first[0], second[-1]])
    query = torch.cat([first[1:], second[:-1]])
    truth = [0] * 19 + [1] * 19
    learner = LabelPropagation(alpha=0.99, neighbours=2)
    assert learner.fit(support, [0, 1]).predict(query) == truth
    assert Prototypical().fit(support, [0, 1]).predict(query) != truth


class Line(nn.Module):
    """Logits (w x, 0) of numbers x: logistic regression through the origin."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight, dtype=torch.float64))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.weight * inputs, 0 * inputs], dim=1)


def meta_loss(kind: type[MAML], weight: float, steps: int) -> tuple[float, float]:
    """Loss of the queries after the inner steps, and its slope by the first weight."""
    model = Line(weight)
    support = torch.tensor([[[1.0], [2.0], [-1.5]]], dtype=torch.float64)
    query = torch.tensor([[[0.5], [-1.0]]], dtype=torch.float64)
    members = torch.tensor([[[1.0, 0], [0, 1], [0, 1]]], dtype=torch.float64)
    learner = kind(model, lr=0.3, steps=steps)
    loss = F.cross_entropy(learner(support, members, query)[0], torch.tensor([0, 1]))
    loss.backward()
    return float(loss.detach()), float(model.weight.grad)


@pytest.mark.parametrize("steps", [1, 3])
def test_maml_differentiates_through_its_steps(steps):
    _, slope = meta_loss(MAML, 0.4, steps)
    above, below = (meta_loss(MAML, 0.4 + e, steps)[0] for e in (1e-5, -1e-5))
    assert slope == pytest.approx((above - below) / 2e-5, rel=1e-6)


def test_maml_is_its_closed_form_and_first_order_leaves_out_the_curvature():
    x, y = np.array([1.0, 2.0, -1.5]), np.array([1.0, 0.0, 0.0])
    probability = 1 / (1 + np.exp(-0.4 * x))
    fast = 0.4 - 0.3 * ((probability - y) * x).mean()
    curvature = (probability * (1 - probability) * x**2).mean()
    asked, right = np.array([0.5, -1.0]), np.array([1.0, 0.0])
    outer = ((1 / (1 + np.exp(-fast * asked)) - right) * asked).mean()
    assert meta_loss(MAML, 0.4, 1)[1] == pytest.approx(outer * (1 - 0.3 * curvature))
    assert meta_loss(learners.get("fomaml"), 0.4, 1)[1] == pytest.approx(outer)


def test_anil_changes_the_last_layer_alone():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3)).double()
    support, codes, _ = problem()
    inputs, members = torch.from_numpy(support), torch.eye(3).double()[torch.from_numpy(codes)]
    learner = ANIL(model, lr=0.2, steps=1)
    fast = learner.adapt(inputs, members)
    assert list(fast) == ["2.weight", "2.bias"]
    model.zero_grad()
    F.cross_entropy(model(inputs), torch.from_numpy(codes)).backward()
    torch.testing.assert_close(fast["2.weight"], model[2].weight - 0.2 * model[2].weight.grad)


def test_inner_steps_leave_batch_statistics_alone():
    model = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)).double()
    support, codes, query = problem()
    before = model[1].running_mean.clone()
    learner = MAML(model)
    learner.fit(support, codes).predict(query)
    assert torch.equal(model[1].running_mean, before)
    members = torch.eye(3).double()[torch.from_numpy(codes)][None]
    learner.train()(torch.from_numpy(support)[None], members, torch.from_numpy(query)[None])
    assert int(model[1].num_batches_tracked) == 1  # of the queries


def test_maml_needs_enough_outputs():
    support, codes, _ = problem()
    with pytest.raises(InputError, match=r"logits \(n, 3\)"):
        MAML(nn.Linear(6, 2).double()).fit(support, codes)
    with pytest.raises(InputError, match="a model to adapt"):
        MAML()
    frozen = nn.Linear(6, 3).requires_grad_(False)
    with pytest.raises(InputError, match="trainable parameters"):
        MAML(frozen)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("prototypical", {"metric": "manhattan"}, "metric: expected one of .*'cosine'"),
        ("nearest-neighbour", {"scale": 0}, "scale: expected a number above 0, got 0"),
        ("matching", {"scale": -1}, "scale"),
        ("simpleshot", {"transform": "cl3n"}, "transform: expected one of"),
        ("siamese", {}, "dim: expected the length of an embedding, got None"),
        ("relation", {}, "dim: expected the length of an embedding, got None"),
        ("relation", {"dim": 4, "hidden": 0}, "hidden"),
        ("ridge", {"strength": 0}, "strength"),
        ("fine-tuning", {"inverse_strength": 0}, "inverse_strength"),
        ("baseline++", {"lr": 0}, "lr"),
        ("mahalanobis", {"ridge": -1}, "ridge"),
        ("label-propagation", {"alpha": 1}, "alpha: expected a number between 0 and 1"),
        ("maml", {"embed": nn.Linear(2, 2), "steps": 0}, "steps"),
        ("prototypical", {"dim": 0}, "dim: expected 1 or more"),
    ],
)
def test_settings_out_of_range_are_refused(name, arguments, message):
    with pytest.raises(InputError, match=message):
        learners.get(name)(**arguments)


@pytest.mark.parametrize("name", ["prototypical", "relation", "maml", "ridge"])
def test_arrays_of_double_precision_go_into_single(name):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(12, 6)) + 4 * np.eye(6)[np.arange(12) % 3]
    own = {"dim": 6} if name == "relation" else {"embed": nn.Linear(6, 6)}
    learner = learners.get(name)(**own)
    assert len(learner.fit(x, np.arange(12) % 3).predict(x[::-1])) == 12
    assert learner.logits(x).dtype == torch.float32


def test_what_is_no_row_of_features_is_refused():
    pictures, labels = torch.randn(4, 1, 3, 3), [0, 1, 0, 1]
    with pytest.raises(DataError, match=r"support: expected examples \(n, features\)"):
        learners.get("prototypical")().fit(pictures, labels)
    for embed in (nn.Flatten(0), nn.LSTM(3, 2)):
        with pytest.raises(InputError, match=r"embed: expected a tensor \(n, features\)"):
            learners.get("prototypical")(embed).fit(torch.randn(4, 3), labels)


def test_a_column_of_texts_is_taken():
    column = np.array(["cat", "dog", "cat", "dog"], dtype=object)
    x = torch.tensor([[0.0, 0], [5, 5], [0, 1], [5, 4]])
    assert learners.get("prototypical")().fit(x, column).predict(x) == column.tolist()
