from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from archsmith._support.errors import InputError
from archsmith.data.batches import batches
from archsmith.data.splits import TensorSplit
from archsmith.history.objective import Objective
from archsmith.history.trial import Fidelity
from archsmith.task import task
from archsmith.task.base import Data, ReadOptions, Recipe
from archsmith.train import (
    Diverged,
    TrainingCallback,
    norms_in,
    optimizer_of,
    schedule,
    score,
    train,
)
from archsmith.train.steps import Steps

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


@pytest.mark.slow
def test_digits_are_learnt_and_the_best_weights_are_kept(digits: Data) -> None:
    model = convnet()
    trained = train(model, IMAGES, digits, replace(RECIPE, epochs=6), seed=0)
    assert trained.metrics["accuracy"] > 0.95
    assert [row["epoch"] for row in trained.curve] == [1, 2, 3, 4, 5, 6]
    best = max(trained.curve, key=lambda row: (row["accuracy"], -row["loss"]))
    assert trained.best_epoch == best["epoch"]
    assert {"accuracy", "loss"} <= trained.metrics.keys()
    assert trained.metrics.items() <= best.items()
    again = convnet(1)
    again.load_state_dict(trained.best_state)
    for kept in (model, again):
        scored = score(kept, IMAGES, digits.validation, digits.facts)
        assert scored == pytest.approx(trained.metrics, rel=1e-5)  # trained in another layout
    assert 0 < trained.curve[-1]["lr"] < 1e-5
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
    recipe = replace(RECIPE, epochs=30, lr=1e-30, patience=3)
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
    assert [len(b) for b in batches(torch.arange(9), 4)] == [4, 5]
    assert [len(b) for b in batches(torch.arange(10), 4)] == [4, 4, 2]
    assert torch.cat(batches(torch.arange(9), 4)).tolist() == list(range(9))
    assert [len(b) for b in batches(torch.arange(1), 4)] == [1]
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.BatchNorm1d(10))
    few = TensorSplit(digits.train.inputs[:65], digits.train.targets[:65])
    train(model, IMAGES, replace(digits, train=few), RECIPE, Fidelity(1), seed=0)


@pytest.mark.slow
def test_a_guide_is_asked_for_rates_epochs_and_a_penalty(digits: Data) -> None:
    class Slow(TrainingCallback):
        def __init__(self) -> None:
            self.epochs: list[int] = []

        def scale(self, name: str) -> float:
            return 0.5 if name.startswith("0.") else 1.0

        def before(self, epoch: int) -> None:
            self.epochs.append(epoch)
            model[3].requires_grad_(epoch == 2)

        def penalty(self) -> torch.Tensor:
            return 0.0 * model[0].weight.sum() + 100.0

    model = convnet()
    guide, plain = Slow(), train(convnet(), IMAGES, digits, RECIPE, Fidelity(2), seed=0)
    guided = train(model, IMAGES, digits, RECIPE, Fidelity(2), seed=0, guide=guide)
    assert guide.epochs == [1, 2]
    assert guided.curve[0]["train_loss"] < 10  # the penalty is no loss of the task
    assert guided.curve != plain.curve
    same = train(convnet(), IMAGES, digits, RECIPE, Fidelity(2), seed=0, guide=TrainingCallback())
    assert [r["loss"] for r in same.curve] == [r["loss"] for r in plain.curve]


def test_rates_are_scaled_all_along_the_schedule(digits: Data) -> None:
    class Half(TrainingCallback):
        def scale(self, name: str) -> float:
            return 0.5 if name.startswith("0.") else 1.0

    run = Steps(
        convnet(), IMAGES, digits, RECIPE, Fidelity(1), 0, torch.device("cpu"), guide=Half()
    )
    for _ in range(3):
        run.learn(run.train.head(8))
        rates = {group["scale"]: group["lr"] for group in run.optimizer.param_groups}
        assert rates == {0.5: pytest.approx(run.rate / 2), 1.0: run.rate}


def _made(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    return optimizer_of(model.named_parameters(), recipe, norms_in(model))


def test_only_matrices_are_decayed() -> None:
    optimizer = _made(convnet(), RECIPE)
    decayed, free = optimizer.param_groups
    assert decayed["weight_decay"] == RECIPE.weight_decay
    assert free["weight_decay"] == 0
    assert {p.ndim for p in decayed["params"]} == {2, 4}
    assert {p.ndim for p in free["params"]} == {1}
    sgd = _made(convnet(), replace(RECIPE, optimizer="sgd"))
    assert sgd.defaults["nesterov"] is True


def test_norms_and_biases_of_any_dimension_are_not_decayed() -> None:
    class Own(nn.LayerNorm):
        pass

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 3)
            self.norm, self.own = nn.LayerNorm((4, 8, 8)), Own((4, 8))
            self.bias = nn.Parameter(torch.zeros(1, 4, 1, 1))
            self.frozen = nn.Parameter(torch.zeros(2, 2), requires_grad=False)

    model = Net()
    decayed, free = _made(model, RECIPE).param_groups
    assert [id(p) for p in decayed["params"]] == [id(model.conv.weight)]
    assert len(free["params"]) == 6


def test_schedule_rises_then_falls_as_a_cosine() -> None:
    rates = [schedule(step, 100, 0.1) for step in range(100)]
    assert rates[:11] == pytest.approx([i / 11 for i in range(1, 12)])
    assert rates[55] == pytest.approx(0.5)  # half of the 90 steps that fall
    assert rates[-1] == pytest.approx(0.5 * (1 - math.cos(math.pi / 90)))
    assert schedule(100, 100, 0.1) == pytest.approx(0)
    # cos of 0, 60 and 120 degrees
    assert [schedule(step, 3, 0.0) for step in range(3)] == pytest.approx([1, 0.75, 0.25])


@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.5, 1.0])
def test_every_step_of_a_short_training_learns(warmup: float) -> None:
    assert schedule(0, 1, warmup) == 1
    for steps in range(1, 12):
        rates = [schedule(step, steps, warmup) for step in range(steps)]
        assert min(rates) > 0
        assert max(rates) == 1


def test_the_rate_of_each_step_reaches_the_optimiser(digits: Data) -> None:
    few = replace(digits, train=TensorSplit(digits.train.inputs[:6], digits.train.targets[:6]))
    recipe = replace(RECIPE, epochs=1, batch_size=2, warmup=0.0, lr=0.4)
    run, rates = prepared(linear(), few, recipe), []
    run.optimizer.register_step_pre_hook(lambda o, *_: rates.append(o.param_groups[0]["lr"]))
    run.epoch(1)
    assert rates == pytest.approx([0.4, 0.3, 0.1])


@pytest.mark.parametrize(
    ("goal", "best"),
    [
        (None, 1),
        (Objective("accuracy", "maximize"), 1),
        (Objective("loss", "minimize"), 2),
        (Objective("params", "minimize"), 1),  # no metric of the task
    ],
)
def test_the_goal_decides_which_epoch_is_best(
    digits: Data, monkeypatch: pytest.MonkeyPatch, goal: Objective | None, best: int
) -> None:
    scores = iter([(0.9, 0.5), (0.8, 0.2), (0.7, 0.3)])

    def scored(*_: Any, **__: Any) -> dict[str, float]:
        return dict(zip(("accuracy", "loss"), next(scores), strict=True))

    monkeypatch.setitem(train.__globals__, "score", scored)
    trained = train(linear(), IMAGES, digits, RECIPE, Fidelity(3, 0.1), seed=0, goal=goal)
    assert trained.best_epoch == best
    assert trained.metrics == {n: trained.curve[best - 1][n] for n in ("accuracy", "loss")}


def linear() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


def prepared(model: nn.Module, data: Data, recipe: Recipe) -> Steps:
    return Steps(model, IMAGES, data, recipe, Fidelity(), 0, torch.device("cpu"))


@pytest.mark.parametrize("clip", [0.0, 1e-3, 1e3])
def test_the_gradient_is_clipped_before_it_reaches_the_optimiser(digits: Data, clip: float) -> None:
    model = linear()
    run, norms = prepared(model, digits, replace(RECIPE, clip=clip)), []

    def note(*_: Any) -> None:
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        norms.append(float(torch.cat([g.flatten() for g in gradients]).norm()))

    run.optimizer.register_step_pre_hook(note)
    run.learn(run.train.head(32))
    if clip == 1e-3:
        assert norms == pytest.approx([1e-3], rel=1e-3)
    else:
        assert 0.1 < norms[0] < 1e3


class Constant(nn.Module):
    """The same logits for every example."""

    def __init__(self, logits: list[float]) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.logits.expand(len(x), -1)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.4])
def test_label_smoothing_reaches_the_loss(digits: Data, smoothing: float) -> None:
    logits = [0.5 * k for k in range(10)]
    run = prepared(Constant(logits), digits, replace(RECIPE, label_smoothing=smoothing))
    batch = torch.nonzero(digits.train.targets == 3).flatten()[:8]
    # The target is 1 - s on the class and s spread over all classes (Szegedy et al. 2016).
    total = math.log(sum(math.exp(z) for z in logits))
    mean = sum(total - z for z in logits) / 10
    expected = (1 - smoothing) * (total - logits[3]) + smoothing * mean
    assert float(run.learn(run.train.take(batch))) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("device", "amp", "half"),
    [("cpu", True, False), ("cuda", True, True), ("cuda:1", True, True), ("cuda:0", False, False)],
)
def test_mixed_precision_is_for_the_forward_pass_on_a_gpu(
    digits: Data, monkeypatch: pytest.MonkeyPatch, device: str, amp: bool, half: bool
) -> None:
    inside: list[tuple[Any, ...]] = []
    seen: list[list[tuple[Any, ...]]] = []

    @contextmanager
    def autocast(*arguments: Any) -> Iterator[None]:
        inside.append(arguments)
        yield
        inside.pop()

    class Noting(Constant):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(list(inside))
            return super().forward(x)

    monkeypatch.setattr(torch, "autocast", autocast)
    run = prepared(Noting([0.0] * 10), digits, replace(RECIPE, amp=amp))
    run.device = torch.device(device)  # tensors stay where they are: there need be no GPU
    run.learn(run.train.head(4))
    assert seen == [[("cuda", torch.bfloat16)] if half else []]
    assert inside == []


@pytest.mark.parametrize("augment", [True, False])
def test_augmentation_is_for_training_and_not_for_scoring(
    digits: Data, monkeypatch: pytest.MonkeyPatch, augment: bool
) -> None:
    changed: dict[bool, set[bool]] = {True: set(), False: set()}

    class Noting(Constant):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            changed[self.training].add(bool((x == 77).all()))
            return super().forward(x)

    monkeypatch.setattr(IMAGES, "augment", lambda inputs, *_: torch.full_like(inputs, 77))
    recipe = replace(RECIPE, augment=augment)
    train(Noting([0.0] * 10), IMAGES, digits, recipe, Fidelity(1, 0.2), seed=0)
    assert changed == {True: {augment}, False: {False}}


def test_scoring_leaves_mode_and_weights(digits: Data) -> None:
    model = convnet().train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    whole = score(model, IMAGES, digits.test, digits.facts)
    small = score(model, IMAGES, digits.test, digits.facts, batch_size=50)
    assert model.training
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert whole == pytest.approx(small, rel=1e-5)


@pytest.mark.slow
def test_regression_learns_a_line_in_the_users_units() -> None:
    regression = task("tabular-regression")
    data = regression.read("diabetes", ReadOptions())
    torch.manual_seed(0)
    model = nn.Linear(data.facts["features"], 1)
    trained = train(model, regression, data, Recipe(epochs=30, batch_size=16, lr=5e-3), seed=0)
    # Least squares reaches about 0.5 on these data (Efron et al. 2004).
    assert trained.metrics["r2"] > 0.4
    assert 40 < trained.metrics["rmse"] < 65
