from __future__ import annotations

import pickle
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from archsmith.evaluate.base import TrialFailed, TrialPruned, Watch
from archsmith.evaluate.training import TrainingEvaluator
from archsmith.history.objective import Objective
from archsmith.history.trial import Fidelity
from archsmith.space import Space, choose
from archsmith.space.architecture import Architecture
from archsmith.task.base import ReadOptions, Recipe
from archsmith.train import train

SHORT = Fidelity(2, 0.5)


class Nan(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * float("nan") if self.training else x


def builder(channels: int, classes: int) -> nn.Module:
    width = choose("width", [8, 16])
    fault = choose("fault", ["none", "shape", "classes", "raises", "nan"])
    if fault == "raises":
        raise RuntimeError("no such layer")
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1),
        Nan() if fault == "nan" else nn.ReLU(),
        nn.Flatten(),
        nn.Linear(width * (63 if fault == "shape" else 64), classes + (fault == "classes")),
    )


class Recording(Watch):
    def __init__(self) -> None:
        self.rows: list[Mapping[str, float]] = []
        self.weights: Mapping[str, Tensor] = {}

    def epoch(self, metrics: Mapping[str, float]) -> None:
        self.rows.append(metrics)

    def keep(self, weights: Mapping[str, Tensor]) -> None:
        self.weights = weights


@pytest.fixture
def evaluator() -> TrainingEvaluator:
    space = Space(builder, channels=1, classes=10)
    recipe = Recipe(batch_size=64, lr=5e-3)
    return TrainingEvaluator(
        space, "digits", ReadOptions(), "image-classification", recipe, threads=1
    )


def architecture(fault: str = "none") -> Architecture:
    return Architecture({"width": 8, "fault": fault})


def test_it_trains_tells_and_keeps(evaluator: TrainingEvaluator) -> None:
    watch = Recording()
    metrics = evaluator.evaluate(architecture(), SHORT, 3, watch)
    assert tuple(metrics) == evaluator.provides
    assert {"accuracy", "balanced_accuracy", "loss"} <= metrics.keys()
    assert metrics["accuracy"] > 0.8
    assert [row["epoch"] for row in watch.rows] == [1, 2]
    assert metrics["accuracy"] == max(row["accuracy"] for row in watch.rows)
    model = evaluator.space.build(architecture())
    model.load_state_dict(dict(watch.weights))


def test_a_pickled_one_leaves_the_data_and_gives_the_same(evaluator: TrainingEvaluator) -> None:
    first = evaluator.evaluate(architecture(), SHORT, 3, Watch())
    packed = pickle.dumps(evaluator)
    assert len(packed) < 5000
    assert pickle.loads(packed).evaluate(architecture(), SHORT, 3, Watch()) == first
    assert evaluator.evaluate(architecture(), SHORT, 4, Watch()) != first


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("shape", "mat1 and mat2"),
        ("classes", r"\(2, 11\), not \(2, 10\)"),
        ("raises", "no such layer"),
    ],
)
def test_a_model_that_cannot_be_fails_with_its_decisions(
    evaluator: TrainingEvaluator, fault: str, said: str
) -> None:
    with pytest.raises(TrialFailed, match=said) as error:
        evaluator.evaluate(architecture(fault), SHORT, 0, Watch())
    assert f"width=8, fault='{fault}'" in error.value.reason


def test_divergence_fails_the_trial_with_its_reason(evaluator: TrainingEvaluator) -> None:
    with pytest.raises(TrialFailed) as error:
        evaluator.evaluate(architecture("nan"), SHORT, 0, Watch())
    assert error.value.reason == "diverged: training loss nan in epoch 1"
    assert not isinstance(error.value, TrialPruned)


def test_what_the_watch_raises_passes(evaluator: TrainingEvaluator) -> None:
    class Stop(Watch):
        def epoch(self, metrics: Mapping[str, float]) -> None:
            raise TrialPruned("no promise", metrics)

    with pytest.raises(TrialPruned, match="no promise"):
        evaluator.evaluate(architecture(), SHORT, 0, Stop())


def test_threads_are_set_where_it_evaluates(evaluator: TrainingEvaluator) -> None:
    torch.set_num_threads(2)
    evaluator.evaluate(architecture(), Fidelity(1, 0.1), 0, Watch())
    assert torch.get_num_threads() == 1


def test_the_goal_decides_which_epoch_counts(
    evaluator: TrainingEvaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def scored(*_: object, **__: object) -> dict[str, float]:
        asked.append(1)
        score = {"accuracy": 1 - 0.1 * len(asked), "loss": 2 - 0.1 * len(asked)}
        return dict.fromkeys(evaluator.provides, 0.0) | score

    monkeypatch.setitem(train.__globals__, "score", scored)
    first = evaluator.evaluate(architecture(), SHORT, 0, Watch())
    assert (first["accuracy"], first["loss"]) == pytest.approx((0.9, 1.9))
    asked.clear()
    evaluator.goal = Objective("loss", "minimize")
    travelled = pickle.loads(pickle.dumps(evaluator))
    second = travelled.evaluate(architecture(), SHORT, 0, Watch())
    assert (second["accuracy"], second["loss"]) == pytest.approx((0.8, 1.8))


def test_it_may_be_asked_for_every_number_of_epochs_of_the_recipe(
    evaluator: TrainingEvaluator,
) -> None:
    evaluator.recipe = Recipe(epochs=4)
    assert list(evaluator.fidelities) == [1, 2, 3, 4]
