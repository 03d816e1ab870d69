from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from archsmith.errors import InputError
from archsmith.task import task
from archsmith.task.base import Data, Part, ReadOptions, Recipe
from archsmith.train import Diverged, _batches, _optimizer, schedule, score, train
from archsmith.trial import Fidelity

IMAGES = task("image-classification")
RECIPE = Recipe(epochs=3, batch_size=64, lr=5e-3, label_smoothing=0.05)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def digits() -> Data:
    return IMAGES.read("digits", ReadOptions())


def convnet(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(128, 10),
    )


def test_digits_are_learnt_and_the_best_weights_are_kept(digits: Data) -> None:
    model = convnet()
    trained = train(model, IMAGES, digits, replace(RECIPE, epochs=6), seed=0)
    assert trained.metrics["accuracy"] > 0.95
    assert [row["epoch"] for row in trained.curve] == [1, 2, 3, 4, 5, 6]
    best = max(trained.curve, key=lambda row: (row["accuracy"], -row["loss"]))
    assert trained.best_epoch == best["epoch"]
    assert trained.metrics == {name: best[name] for name in ("accuracy", "loss")}
    again = convnet(1)
    again.load_state_dict(trained.best_state)
    for kept in (model, again):
        assert score(kept, IMAGES, digits.validation, digits.facts) == trained.metrics
    assert trained.curve[-1]["lr"] < 1e-6
    assert trained.curve[-1]["train_loss"] < trained.curve[0]["train_loss"]


def test_the_same_seed_gives_the_same_curve(digits: Data) -> None:
    recipe = replace(RECIPE, augment=True)
    global_state = torch.random.get_rng_state()
    curves = []
    for seed in (5, 5, 6):
        torch.random.set_rng_state(global_state)
        model = convnet()
        before = torch.random.get_rng_state()
        curve = train(model, IMAGES, digits, recipe, Fidelity(2, 0.3), seed=seed).curve
        assert torch.equal(before, torch.random.get_rng_state())
        curves.append([{k: v for k, v in row.items() if k != "seconds"} for row in curve])
    assert curves[0] == curves[1]
    assert curves[0] != curves[2]


def test_fidelity_sets_epochs_and_share(digits: Data) -> None:
    seen: list[int] = []

    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(64, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.training:
                seen.append(len(x))
            return self.inner(x.flatten(1))

    trained = train(Counting(), IMAGES, digits, RECIPE, Fidelity(2, 0.25), seed=0)
    assert len(trained.curve) == 2
    assert sum(seen) == pytest.approx(2 * 0.25 * 1079, abs=12)
    for bad in (Fidelity(0), Fidelity(1, 0.0), Fidelity(1, 1.5)):
        with pytest.raises(InputError, match="share in"):
            train(Counting(), IMAGES, digits, RECIPE, bad, seed=0)


class Exploding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(64, 10)
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += self.training
        outputs: torch.Tensor = self.inner(x.flatten(1))
        return outputs * (float("nan") if self.calls > 20 else 1.0)


def test_nan_is_divergence_with_its_epoch(digits: Data) -> None:
    with pytest.raises(Diverged) as error:
        train(Exploding(), IMAGES, digits, RECIPE, seed=0)
    assert error.value.epoch == 2
    assert error.value.reason == "training loss nan in epoch 2"


def test_a_learning_rate_that_is_too_high_diverges(digits: Data) -> None:
    recipe = replace(RECIPE, optimizer="sgd", lr=1e30, clip=0.0, warmup=0.0)
    with pytest.raises(Diverged, match="epoch 1"):
        train(convnet(), IMAGES, digits, recipe, seed=0)


def test_early_stopping_waits_as_long_as_patience(digits: Data) -> None:
    recipe = replace(RECIPE, epochs=30, lr=0.0, patience=3)
    trained = train(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), IMAGES, digits, recipe, seed=0)
    assert trained.best_epoch == 1
    assert len(trained.curve) == 4


def test_epochs_are_told_and_may_stop_the_training(digits: Data) -> None:
    told = []

    def stop(row: Any) -> None:
        told.append(row["epoch"])
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(convnet(), IMAGES, digits, RECIPE, Fidelity(5, 0.1), seed=0, on_epoch=stop)
    assert told == [1, 2]


def test_a_last_batch_of_one_joins_the_one_before(digits: Data) -> None:
    assert [len(b) for b in _batches(torch.arange(9), 4)] == [4, 5]
    assert [len(b) for b in _batches(torch.arange(10), 4)] == [4, 4, 2]
    assert torch.cat(_batches(torch.arange(9), 4)).tolist() == list(range(9))
    assert [len(b) for b in _batches(torch.arange(1), 4)] == [1]
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.BatchNorm1d(10))
    few = Part(digits.train.inputs[:65], digits.train.targets[:65])
    train(model, IMAGES, replace(digits, train=few), RECIPE, Fidelity(1), seed=0)


def test_only_matrices_are_decayed() -> None:
    optimizer = _optimizer(convnet(), RECIPE)
    decayed, free = optimizer.param_groups
    assert decayed["weight_decay"] == RECIPE.weight_decay
    assert free["weight_decay"] == 0
    assert {p.ndim for p in decayed["params"]} == {2, 4}
    assert {p.ndim for p in free["params"]} == {1}
    sgd = _optimizer(convnet(), replace(RECIPE, optimizer="sgd"))
    assert sgd.defaults["nesterov"] is True


def test_schedule_rises_then_falls_as_a_cosine() -> None:
    rates = [schedule(step, 100, 0.1) for step in range(1, 101)]
    assert rates[:10] == pytest.approx([i / 10 for i in range(1, 11)])
    assert rates[54] == pytest.approx(0.5)
    assert rates[-1] == pytest.approx(0)
    assert schedule(1, 10, 0.0) < 1
    assert schedule(1, 1, 0.1) == pytest.approx(0, abs=0.5)


def test_scoring_leaves_mode_and_weights(digits: Data) -> None:
    model = convnet().train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    whole = score(model, IMAGES, digits.test, digits.facts)
    small = score(model, IMAGES, digits.test, digits.facts, batch_size=50)
    assert model.training
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert whole == pytest.approx(small, rel=1e-5)


def test_regression_learns_a_line_in_the_users_units() -> None:
    regression = task("tabular-regression")
    data = regression.read("diabetes", ReadOptions())
    torch.manual_seed(0)
    model = nn.Linear(data.facts["features"], 1)
    trained = train(model, regression, data, Recipe(epochs=30, batch_size=16, lr=5e-3), seed=0)
    # Least squares reaches about 0.5 on these data (Efron et al. 2004).
    assert trained.metrics["r2"] > 0.4
    assert 40 < trained.metrics["rmse"] < 65
