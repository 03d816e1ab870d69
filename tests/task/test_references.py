"""References by task: which there are, how they are built, and how those of tables are fitted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import Ridge

from archsmith.data.splits import TensorSplit
from archsmith.task import task, tasks
from archsmith.task.base import Data, ReadOptions
from archsmith.task.contracts import references_of
from archsmith.task.estimators import GradientBoosting, LinearModel, _folded
from archsmith.task.references import NetworkReference
from archsmith.train import score


def names(of: str) -> list[str]:
    return [reference.name for reference in references_of(task(of))]


def test_the_usual_reference_comes_first() -> None:
    images = ["resnet-20", "wrn-16-4", "resnet-18", "mobilenet-v3-small"]
    assert names("image-classification") == images
    assert names("tabular-classification") == ["gradient-boosting", "logistic-regression"]
    assert names("tabular-regression") == ["gradient-boosting", "ridge-regression"]
    assert names("multi-label") == images
    assert names("segmentation") == ["unet"]
    assert names("detection") == ["plain-fcos"]
    assert names("text-classification") == ["tf-idf-logistic-regression", "kim-cnn"]
    # Embeddings are read as images of classes are, but their models have no logits.
    named = {"image-classification", "tabular-classification", "tabular-regression"}
    named |= {"multi-label", "segmentation", "detection", "text-classification"}
    assert not [name for name in tasks.names() if name not in named and names(name)]


@pytest.mark.slow
def test_a_network_is_built_for_the_data_by_a_seed() -> None:
    digits = task("image-classification")
    reference = references_of(digits)[0]
    assert isinstance(reference, NetworkReference)
    arguments = {"channels": 1, "classes": 10, "height": 8, "width": 8, "mean": [0.5]}
    before = torch.random.get_rng_state()
    one, same, other = (reference.build(arguments, seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)
    outline = reference.build(arguments, 0, 0.5, "meta")
    assert {p.device.type for p in outline.parameters()} == {"meta"}
    assert sum(p.numel() for p in outline.parameters()) < 80_000


@pytest.fixture(scope="module")
def parity(tmp_path_factory: pytest.TempPathFactory) -> Data:
    """A class that depends on which of 12 letters comes, in no order, and on a number's sign."""
    rng = np.random.default_rng(0)
    path: Path = tmp_path_factory.mktemp("table") / "parity.csv"
    lines = ["letter,size,class"]
    for _ in range(1200):
        letter, size = rng.integers(12), rng.normal()
        label = "odd" if (letter * 5 % 12 % 2) ^ (size > 0) else "even"
        lines.append(f"{'abcdefghijkl'[letter]},{size:.4f},{label}")
    path.write_text("\n".join(lines))
    return task("tabular-classification").read(str(path), ReadOptions())


def test_one_hot_features_are_categories_again(parity: Data) -> None:
    rows = task("tabular-classification").prepare(parity.train.inputs, parity.facts).numpy()
    columns = _folded(parity.facts, rows)
    assert columns.categorical.tolist() == [True, False]
    encoded = columns.encode(rows)
    letters = parity.train.inputs[:, 0].long().numpy()
    # The most frequent letter is 0, and two letters never share a number.
    assert encoded[letters == np.bincount(letters).argmax(), 0].max() == 0
    assert len({(a, b) for a, b in zip(letters, encoded[:, 0], strict=True)}) == 12
    np.testing.assert_allclose(encoded[:, 1], rows[:, 12], rtol=1e-6)


def test_many_categories_are_lumped() -> None:
    count = 400
    facts = {
        "columns": [{"name": "id", "categories": [str(i) for i in range(count)]}],
        "expansion": {"column": [0] * count, "code": list(range(count))},
    }
    codes = np.repeat(np.arange(count), 2)[: 2 * count - 1]  # the last occurs once
    rows = np.eye(count)[codes]
    encoded = _folded(facts, rows).encode(rows)[:, 0]
    assert encoded.min() == 0
    assert encoded.max() == 254
    assert encoded[-1] == 254


@pytest.mark.slow
def test_boosting_beats_a_linear_model_where_features_interact(parity: Data) -> None:
    judged = task("tabular-classification")
    boosted, linear = (
        reference(name, True).fit(judged, parity, seed=0)
        for reference, name in ((GradientBoosting, "b"), (LinearModel, "l"))
    )
    accuracy = [
        score(fitted.model, judged, parity.test, parity.facts)["accuracy"]
        for fitted in (boosted, linear)
    ]
    assert accuracy[0] > 0.97
    assert accuracy[1] < 0.7
    assert set(boosted.settings) == {"learning_rate", "leaves", "trees"}
    assert boosted.settings["trees"] % 20 == 0


@pytest.mark.slow
def test_boosting_is_scikit_learns_with_the_settings_that_it_tells(parity: Data) -> None:
    judged = task("tabular-classification")
    fitted = GradientBoosting("b", True).fit(judged, parity, seed=0)
    settings = fitted.settings
    own = HistGradientBoostingClassifier(
        learning_rate=settings["learning_rate"],
        max_leaf_nodes=int(settings["leaves"]),
        max_iter=int(settings["trees"]),
        categorical_features=[True, False],
        early_stopping=False,
        random_state=0,
    )
    ready = judged.prepare(parity.test.inputs, parity.facts)
    train = judged.prepare(parity.train.inputs, parity.facts).numpy()
    columns = _folded(parity.facts, train)
    own.fit(columns.encode(train), parity.train.targets.numpy())
    expected = own.predict_proba(columns.encode(ready.numpy()))
    chances = fitted.model(ready).softmax(1).numpy()
    np.testing.assert_allclose(chances, expected, atol=1e-5)


def test_ridge_is_the_closed_form_and_the_last_part_counts() -> None:
    judged = task("tabular-regression")
    data = judged.read("diabetes", ReadOptions())
    fitted = LinearModel("ridge", False).fit(judged, data, seed=0)
    x = judged.prepare(data.train.inputs, data.facts).double().numpy()
    y = judged.prepare_batch(data.train.head(10**6), data.facts).targets.double().numpy()
    centred, mean = x - x.mean(0), y.mean()
    penalty = fitted.settings["penalty"] * np.eye(x.shape[1])
    weights = np.linalg.solve(centred.T @ centred + penalty, centred.T @ (y - mean))
    tested = judged.prepare(data.test.inputs, data.facts)
    expected = (tested.double().numpy() - x.mean(0)) @ weights + mean
    np.testing.assert_allclose(fitted.model(tested).numpy()[:, 0], expected, atol=1e-5)
    metrics = score(fitted.model, judged, data.test, data.facts)
    assert 0.3 < metrics["r2"] < 0.7

    few = TensorSplit(data.train.inputs[:40], data.train.targets[:40])
    again = LinearModel("ridge", False).fit(judged, data, seed=0, last=few)
    assert again.settings == fitted.settings
    own = Ridge(fitted.settings["penalty"]).fit(x[:40], y[:40])
    np.testing.assert_allclose(
        again.model(tested).numpy()[:, 0], own.predict(tested.double().numpy()), atol=1e-5
    )


def test_a_short_time_tries_the_usual_settings_alone() -> None:
    judged = task("tabular-classification")
    data = judged.read("iris", ReadOptions())
    whole = LinearModel("l", True).fit(judged, data, seed=0)
    hurried = LinearModel("l", True).fit(judged, data, seed=0, seconds=1e-9)
    assert hurried.settings == LinearModel.tried[0]
    losses = [
        score(fitted.model, judged, data.validation, data.facts)["loss"]
        for fitted in (whole, hurried)
    ]
    assert losses[0] <= losses[1]


@pytest.mark.slow
def test_the_same_seed_fits_the_same_model(parity: Data) -> None:
    judged = task("tabular-classification")
    small = replace(parity, train=TensorSplit(*(t[:200] for t in parity.train.head(10**6))))
    ready = judged.prepare(parity.test.inputs, parity.facts)
    one, two = (
        GradientBoosting("b", True).fit(judged, small, seed=3, seconds=1e-9).model(ready)
        for _ in range(2)
    )
    assert torch.equal(one, two)
