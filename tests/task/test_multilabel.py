"""Several labels an image: readers, loss, metrics, answers."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import average_precision_score, f1_score
from torch import nn
from torch.nn import functional as F

import archsmith as nas
from archsmith._support.errors import DataError
from archsmith.data.marks import rarest
from archsmith.task import task_for
from archsmith.task.base import ReadOptions
from archsmith.task.multilabel import MultiLabel

TASK = MultiLabel()


def folder(root: Path, change: Callable[[list[str]], list[str]] = list) -> str:
    """30 images: one is cat, two is dog, three is both."""
    (root / "img").mkdir(exist_ok=True)
    rows = ["file,labels"]
    for i in range(30):
        Image.new("L", (8, 8), 8 * i).save(root / "img" / f"{i}.png")
        rows.append(f"img/{i}.png,{('cat', 'wild dog', 'cat;wild dog')[i % 3]}")
    (root / "labels.csv").write_text("\n".join(change(rows)), encoding="utf-8")
    return str(root)


def test_a_list_of_labels_is_read(tmp_path: Path) -> None:
    data = TASK.read(folder(tmp_path), ReadOptions())
    assert task_for(folder(tmp_path)).name == "multi-label"
    assert data.facts["class_names"] == ["cat", "wild dog"]
    for part in (data.train, data.validation, data.test):
        numbers = part.inputs[:, 0, 0, 0].long() // 8
        expected = [[(1, 0), (0, 1), (1, 1)][n % 3] for n in numbers.tolist()]
        assert part.targets.tolist() == [list(marks) for marks in expected]
    assert (len(data.train), len(data.validation), len(data.test)) == (18, 6, 6)


def test_spaces_separate_labels_without_other_marks_and_parts_are_kept(tmp_path: Path) -> None:
    def change(rows: list[str]) -> list[str]:
        return [
            f"{r},{('test', 'train')[i % 5 > 0]}".replace(";", " ")
            for i, r in enumerate(row.replace("wild dog", "dog") for row in rows[1:])
        ]

    data = TASK.read(folder(tmp_path, change), ReadOptions())
    assert data.facts["class_names"] == ["cat", "dog"]
    assert sorted((data.test.inputs[:, 0, 0, 0].long() // 8).tolist()) == [0, 5, 10, 15, 20, 25]
    assert data.drawn == ("validation",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: [*rows, "img/x.png,cat"], r"files that are there, got others: 'img/x\.png'"),
        (lambda rows: [*rows, rows[1]], r"each file once, got others: 'img/0\.png'"),
        (lambda rows: [*rows[:2], "img/1.png,;", *rows[3:]], r"labels for each file.*'img/1\.png'"),
        (lambda rows: [*rows[:2], "img/1.png"], r"rows of a file and its labels.*img/1\.png"),
        (lambda rows: rows[:1], "rows of a file and its labels.*none"),
        (lambda rows: [r.split(",")[0] + ",cat" for r in rows], "two labels, got only 'cat'"),
        (lambda rows: [r + ",tset" for r in rows], "train, val or test as the part, got.*'tset'"),
    ],
)
def test_lists_that_do_not_fit_are_refused(
    tmp_path: Path, change: Callable[[list[str]], list[str]], message: str
) -> None:
    with pytest.raises(DataError, match=message) as error:
        TASK.read(folder(tmp_path, change), ReadOptions())
    assert "labels.csv" in str(error.value)
    assert error.value.exit_status == 2


def test_unreadable_images_can_be_skipped(tmp_path: Path) -> None:
    source = folder(tmp_path)
    (tmp_path / "img" / "3.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"1 of 30 unreadable: img/3\.png") as error:
        TASK.read(source, ReadOptions())
    assert "--unreadable skip" in str(error.value)
    data = TASK.read(source, ReadOptions(unreadable="skip"))
    assert len(data.train) + len(data.validation) + len(data.test) == 29


def save(path: Path, marks: np.ndarray, **more: np.ndarray) -> str:
    images = np.zeros((len(marks), 8, 8), np.uint8)
    np.savez(path / "m.npz", x=images, y=marks, **more)
    return str(path / "m.npz")


def test_rows_of_marks_are_read_and_one_hot_rows_stay_classes(tmp_path: Path) -> None:
    marks = np.random.default_rng(0).integers(0, 2, (60, 4))
    source = save(tmp_path, marks, classes=np.array(list("abcd")))
    assert task_for(source).name == "multi-label"
    data = TASK.read(source, ReadOptions())
    assert data.facts["class_names"] == list("abcd")
    parts = [part.targets for part in (data.train, data.validation, data.test)]
    assert torch.cat(parts).sum(0).tolist() == marks.sum(0).tolist()
    assert task_for(save(tmp_path, np.eye(3, dtype=int)[np.arange(60) % 3])).name == (
        "image-classification"
    )


@pytest.mark.parametrize(
    ("marks", "message"),
    [
        (np.full((60, 3), 2), r"rows \(60, labels\) of 0 and 1"),
        (np.arange(60) % 3, r"rows \(60, labels\) of 0 and 1"),
        (np.tile([1, 0], (60, 1)), "training examples of every class, got none of '1'"),
    ],
)
def test_other_rows_are_refused(tmp_path: Path, marks: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        TASK.read(save(tmp_path, marks), ReadOptions())
    with pytest.raises(DataError, match="one label each"):
        TASK.read("digits", ReadOptions())


def test_the_rarest_label_of_an_image_is_its_stratum() -> None:
    marks = np.array([[1, 0, 0], [1, 1, 0], [1, 1, 1], [0, 0, 0]], np.uint8)
    assert rarest(marks).tolist() == [0, 1, 2, 3]


def test_metrics_are_those_of_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    targets = generator.integers(0, 2, (200, 5))
    targets[:, 3] = 0  # a label that no image has
    scores = generator.normal(size=(200, 5)) + targets
    meter = TASK.meter({"classes": 5})
    for rows in np.array_split(np.arange(200), 3):
        meter.update(torch.from_numpy(scores[rows]), torch.from_numpy(targets[rows]).byte())
    found, kept = meter.result(), [0, 1, 2, 4]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        every = average_precision_score(targets, scores, average=None)
    assert found["map"] == pytest.approx(np.mean(every[kept]), abs=1e-6)
    assert found["micro_f1"] == pytest.approx(f1_score(targets, scores >= 0, average="micro"))
    chances = 1 / (1 + np.exp(-scores))
    loss = -(targets * np.log(chances) + (1 - targets) * np.log(1 - chances)).mean()
    assert found["loss"] == pytest.approx(loss, rel=1e-5)


def test_the_loss_is_least_where_outputs_are_the_targets() -> None:
    targets = torch.tensor([[1.0, 0.0, 1.0]])
    right = 20 * (2 * targets - 1)
    assert float(TASK.criterion(right, targets)) < 1e-6
    assert float(TASK.criterion(torch.zeros(1, 3), targets)) == pytest.approx(np.log(2))
    smooth = targets * 0.9 + 0.05
    entropy = float(F.binary_cross_entropy(smooth, smooth))
    assert float(TASK.criterion(smooth.logit(), targets, 0.1)) == pytest.approx(entropy, rel=1e-5)


def test_answers_name_likely_labels() -> None:
    found = TASK.describe(
        torch.tensor([[0.9, 0.2, 0.6], [0.1, 0.2, 0.3]]), {"class_names": ["cat", "dog", "sun"]}
    )
    assert [answer["classes"] for answer in found] == [["cat", "sun"], []]
    assert found[0]["probabilities"]["dog"] == pytest.approx(0.2)


def test_deployed_models_give_a_probability_of_each_label(tmp_path: Path) -> None:
    data = TASK.read(folder(tmp_path), ReadOptions())
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    inputs = data.validation.head(3).inputs
    with torch.no_grad():
        expected = model(TASK.prepare(inputs, data.facts)).sigmoid()
        assert torch.allclose(TASK.deployable(model, data.facts)(inputs), expected, atol=1e-6)


@pytest.mark.slow
def test_the_ready_space_of_images_learns_and_exports_labels(tmp_path: Path) -> None:
    """Bars at the left, in the middle and at the right are the labels."""
    generator = np.random.default_rng(0)
    marks = generator.integers(0, 2, (240, 3))
    images = generator.integers(0, 60, (240, 12, 12), dtype=np.uint8)
    images[np.repeat(marks, 4, axis=1).astype(bool)[:, None].repeat(12, 1)] += 160
    np.savez(tmp_path / "bars.npz", x=images, y=marks)
    found = nas.search(
        data=str(tmp_path / "bars.npz"), trials=1, epochs=2, final_epochs=6, finalists=1
    )
    assert found.problem.task.name == "multi-label"
    assert found.best is not None
    assert found.best.test["map"] > 0.9
    assert found.best.export(tmp_path / "out").ok
