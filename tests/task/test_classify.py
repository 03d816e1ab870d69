"""Metrics of classes against scikit-learn, balance of classes, temperature."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import balanced_accuracy_score, f1_score, log_loss, top_k_accuracy_score
from torch import Tensor, nn
from torch.nn import functional as F

import archsmith as nas
from archsmith._support.errors import InputError, UnknownNameError
from archsmith.data.splits import TensorSplit
from archsmith.export.predict import opened
from archsmith.history.paired import compare
from archsmith.task.base import Data, ReadOptions
from archsmith.task.classify import ClassMeter
from archsmith.task.image import ImageClassification
from archsmith.task.sampling import draw
from archsmith.task.table import TabularClassification
from archsmith.train import fitted_temperature

TASK = ImageClassification()


def answers(count: int = 400, classes: int = 7, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits that are right more often than not, uneven classes, one of them without examples, and
    one that is never predicted."""
    generator = torch.Generator().manual_seed(seed)
    targets = (torch.rand(count, generator=generator) ** 2 * classes).long()
    targets[targets == 3] = 2
    logits = 2 * torch.randn(count, classes, generator=generator)
    logits[torch.arange(count), targets] += 2
    logits[:, 5] -= 20
    return logits, targets


@pytest.mark.parametrize("classes", [3, 7])
def test_metrics_are_those_of_scikit_learn(classes: int) -> None:
    logits, targets = answers(classes=7)
    logits, targets = logits[:, :classes], targets.clamp(max=classes - 1)
    meter = ClassMeter(classes)
    for part in zip(logits.split(37), targets.split(37), strict=True):
        meter.update(*part)
    found, guesses = meter.result(), logits.argmax(1)
    true = targets.numpy()
    assert found["balanced_accuracy"] == pytest.approx(
        np.mean([(guesses.numpy() == true)[true == c].mean() for c in np.unique(true)])
    )
    if set(guesses.tolist()) <= set(true.tolist()):  # else it warns
        assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(true, guesses))
    assert found["macro_f1"] == pytest.approx(f1_score(true, guesses, average="macro"))
    labels, chances = np.arange(classes), logits.double().softmax(1).numpy()
    assert found["loss"] == pytest.approx(log_loss(true, chances, labels=labels), rel=1e-5)
    assert ("top5" in found) == (classes > 5)
    if classes > 5:
        assert found["top5"] == pytest.approx(
            top_k_accuracy_score(true, chances, k=5, labels=labels)
        )


def test_the_calibration_error_is_the_mean_gap_of_bins() -> None:
    logits, targets = answers()
    meter = ClassMeter(7)
    meter.update(logits, targets)
    sure, guesses = logits.softmax(1).max(1)
    right, expected = (guesses == targets).float(), 0.0
    for low in range(15):
        inside = (sure > low / 15) & (sure <= (low + 1) / 15)
        if inside.any():
            gap = right[inside].mean() - sure[inside].mean()
            expected += float(inside.float().mean() * gap.abs())
    assert meter.result()["ece"] == pytest.approx(expected, abs=1e-6)


def test_certain_and_right_is_calibrated_and_certain_and_wrong_is_not() -> None:
    targets = torch.arange(6)
    for shift, error in ((0, 0.0), (1, 1.0)):
        meter = ClassMeter(6)
        meter.update(100 * F.one_hot((targets + shift) % 6, 6).float(), targets)
        assert meter.result()["ece"] == pytest.approx(error)


@pytest.mark.parametrize("name", ["balanced_accuracy", "macro_f1"])
def test_models_are_compared_by_metrics_over_classes(name: str) -> None:
    """The interval is that of resampled examples whose metrics scikit-learn computes."""
    logits, targets = answers(120)
    others = answers(120, seed=1)[0]
    one, other = (TASK.parts(o, targets, {})[name].double().numpy() for o in (logits, others))
    found = compare(name, "maximize", one, other, pooled=partial(TASK.pooled, name))

    def metric(outputs: Tensor, rows: np.ndarray) -> float:
        true, guesses = targets[rows].numpy(), outputs.argmax(1)[rows].numpy()
        if name == "macro_f1":
            return float(f1_score(true, guesses, average="macro"))
        return float(np.mean([(guesses == true)[true == c].mean() for c in np.unique(true)]))

    rng, every = np.random.default_rng(0), np.arange(120)
    assert found.value == pytest.approx(metric(logits, every))
    draws = [rng.integers(0, 120, 120) for _ in range(100)]
    gaps = [metric(logits, rows) - metric(others, rows) for rows in draws]
    assert found.low == pytest.approx(np.percentile(gaps, 2.5), abs=0.05)
    assert found.high == pytest.approx(np.percentile(gaps, 97.5), abs=0.05)


def test_of_very_many_classes_only_means_over_examples_are_kept() -> None:
    parts = TASK.parts(torch.randn(4, 300), torch.arange(4), {})
    assert set(parts) == {"accuracy", "loss"}


def uneven(path: Path, counts: tuple[int, ...] = (60, 30, 10)) -> Path:
    labels = np.repeat(np.arange(len(counts)), counts)
    images = np.random.default_rng(0).integers(0, 256, (len(labels), 8, 8), dtype=np.uint8)
    np.savez(path / "uneven.npz", x=images, y=labels, classes=np.array(["cat", "dog", "owl"]))
    return path / "uneven.npz"


def test_weights_give_each_class_the_same_part_of_the_loss(tmp_path: Path) -> None:
    task = ImageClassification("balance=weights")
    data = task.read(str(uneven(tmp_path)), ReadOptions())
    assert task.name == data.task == "image-classification:balance=weights"
    targets, logits = data.train.targets, torch.randn(len(data.train), 3)
    losses = F.cross_entropy(logits, targets, reduction="none")
    expected = torch.stack([losses[targets == c].mean() for c in range(3)]).mean()
    ready = task.prepare_targets(targets, data.facts)
    assert float(task.criterion(logits, ready)) == pytest.approx(float(expected), rel=1e-5)
    plain = TASK.read(str(uneven(tmp_path)), ReadOptions())
    assert torch.equal(TASK.prepare_targets(targets, plain.facts), targets)


def test_sampling_draws_each_class_as_often(tmp_path: Path) -> None:
    task = ImageClassification("balance=sampling")
    data = task.read(str(uneven(tmp_path)), ReadOptions())
    index = torch.arange(len(data.train))
    generator = torch.Generator().manual_seed(0)
    epochs = [draw(task, index, data.train, 16, generator, data.facts) for _ in range(60)]
    usual = draw(TASK, index, data.train, 16, generator, data.facts)
    assert {len(epoch) for epoch in epochs} == {len(usual)}
    drawn = data.train.targets[torch.cat([torch.cat(epoch) for epoch in epochs])]
    shares = torch.bincount(drawn) / len(drawn)
    assert shares.tolist() == pytest.approx([1 / 3] * 3, abs=0.03)
    some = torch.arange(0, len(index), 2)  # a smaller share of the training part
    assert set(torch.cat(draw(task, some, data.train, 16, generator, {})).tolist()) <= set(
        some.tolist()
    )


def test_very_uneven_classes_are_told_with_the_option(tmp_path: Path) -> None:
    told = TASK.read(str(uneven(tmp_path)), ReadOptions()).summary
    assert any("6 times" in line and "balance=weights" in line for line in told)
    even = TASK.read(str(uneven(tmp_path, (40, 30, 20))), ReadOptions()).summary
    assert not any("balance" in line for line in even)
    with pytest.raises(UnknownNameError, match="did you mean 'weights'"):
        ImageClassification("balance=weigths")
    with pytest.raises(InputError, match="option"):
        ImageClassification("balanced=yes")


def test_a_class_without_validation_examples_is_told(tmp_path: Path) -> None:
    data = TASK.read(str(uneven(tmp_path, (40, 30, 2))), ReadOptions())
    assert "no test examples of 'owl': test figures say nothing about them" in data.summary


def test_what_is_cut_off_long_images_is_told(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(5):
            Image.new("L", (30, 10), 20 * i).save(tmp_path / name / f"{i}.png")
            Image.new("L", (20, 20), 20 * i).save(tmp_path / name / f"{i}.bmp")
    summary = TASK.read(str(tmp_path), ReadOptions()).summary
    assert any("resized to 15 x 15, 33% of which is cut off" in line for line in summary)


class Scaled(nn.Module):
    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, inputs: Tensor) -> Tensor:
        return self.logits[: len(inputs)]


def test_the_temperature_undoes_what_makes_logits_too_large() -> None:
    """Classes are drawn from the softmax of logits: these have temperature 1, their triple 3."""
    generator = torch.Generator().manual_seed(0)
    logits = 1.5 * torch.randn(4000, 5, generator=generator)
    targets = torch.multinomial(logits.softmax(1), 1, generator=generator).flatten()
    facts = {"classes": 5, "channels": 1, "mean": [0.0], "std": [1.0], "low": 0, "high": 255}
    part = TensorSplit(torch.zeros(4000, 1, 1, 1, dtype=torch.uint8), targets)
    task = Whole()
    for factor in (1.0, 3.0, 0.25):
        found = fitted_temperature(Scaled(factor * logits), task, part, facts)
        assert found == pytest.approx(factor, rel=0.06)
    meters = [task.meter(facts | {"temperature": at}) for at in (1.0, 3.0)]
    for meter in meters:
        meter.update(3 * logits, targets)
    before, after = (meter.result() for meter in meters)
    assert before["ece"] > 0.2 > 0.03 > after["ece"]
    assert before["accuracy"] == after["accuracy"]


class Whole(ImageClassification):
    judged_at_once = 4000


def test_without_mistakes_there_is_nothing_to_calibrate() -> None:
    targets = torch.arange(20) % 2
    part = TensorSplit(torch.zeros(20, 1, 1, 1, dtype=torch.uint8), targets)
    facts = {"classes": 2, "channels": 1, "mean": [0.0], "std": [1.0], "low": 0, "high": 255}
    assert fitted_temperature(Scaled(F.one_hot(targets).float()), TASK, part, facts) == 1.0


@pytest.mark.parametrize("task", [TASK, TabularClassification()])
def test_deployed_probabilities_are_at_the_temperature(task: ImageClassification) -> None:
    data = task.read("digits" if task is TASK else "iris", ReadOptions())
    size = task.example(data.facts).numel()
    model = nn.Sequential(nn.Flatten(), nn.Linear(size, data.facts["classes"]))
    facts = data.facts | {"temperature": 2.5}
    inputs = data.validation.head(5).inputs
    with torch.no_grad():
        expected = (model(task.prepare(inputs, facts)) / 2.5).softmax(1)
        assert torch.allclose(task.deployable(model, facts)(inputs), expected, atol=1e-6)
    described = task.signature(Data(**(vars(data) | {"facts": facts}))).description
    assert "of logits divided by 2.5" in described


def small(channels: int, classes: int) -> nn.Module:
    width = nas.choose("width", [6, 8])
    return nn.Sequential(
        nn.Conv2d(channels, width, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(36 * width, classes),
    )


@pytest.mark.slow
def test_a_search_calibrates_its_winner_and_exports_it(tmp_path: Path) -> None:
    found = nas.search(
        small,
        data="digits",
        task="image-classification:balance=sampling",
        maximize="balanced_accuracy",
        trials=2,
        epochs=1,
        final_epochs=3,
        finalists=1,
        run=tmp_path / "run",
    )
    best = found.best
    assert best is not None
    assert best.temperature != 1
    assert best.test["ece_calibrated"] < best.test["ece"]
    assert best.export(tmp_path / "out").ok
    record, _, predict = opened(tmp_path / "out", space=found.problem.space)
    assert record["facts"]["temperature"] == best.temperature
    problem = found.problem
    inputs = problem.data.test.head(5).inputs
    with torch.no_grad():
        logits = best.model(problem.task.prepare(inputs, problem.data.facts))
    expected = (logits / best.temperature).softmax(1)
    assert torch.allclose(predict(inputs), expected, atol=1e-5)
    kept = nas.Run(tmp_path / "run").trained(best.architecture)
    assert kept is not None
    assert kept.temperature == best.temperature
