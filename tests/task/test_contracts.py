"""Every task of the registry keeps the contract of tasks and readers."""

from __future__ import annotations

import inspect
import random
from pathlib import Path

import numpy as np
import pytest
from torch import nn

import archsmith as nas
from archsmith.task import tasks
from archsmith.task.detection import Detection
from archsmith.task.fewshot import FewShotImages
from archsmith.task.image import ImageClassification
from archsmith.task.masked import MaskedPrediction
from archsmith.task.multilabel import MultiLabel
from archsmith.task.segmentation import Segmentation
from archsmith.task.selfsupervised import SelfSupervisedImages
from archsmith.task.table import TabularClassification, TabularRegression
from archsmith.task.translation import Translation
from archsmith.testing.reader import ReaderContract
from archsmith.testing.task import TaskContract

from . import blocks
from .test_segmentation import NAMES, scenes


def shapes(count: int, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Bright bars, whose place is their class, on noise."""
    generator = np.random.default_rng(0)
    labels = np.arange(count) % classes
    images = generator.integers(0, 60, (count, 12, 12, 1), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[:, 3 * label : 3 * label + 3] = 220
    return images, labels


def small(channels: int, classes: int) -> nn.Module:
    width = nas.choose("width", [6, 8])
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(16 * width, classes),
    )


def layer(features: int, outputs: int) -> nn.Module:
    width = nas.choose("width", [8, 12])
    return nn.Sequential(nn.Linear(features, width), nn.ReLU(), nn.Linear(width, outputs))


def reader(vocabulary: int, length: int) -> nn.Module:
    width = nas.choose("width", [8, 12])
    return nn.Sequential(
        nn.Embedding(vocabulary, width),
        nn.Linear(width, 2 * width),
        nn.ReLU(),
        nn.Linear(2 * width, vocabulary),
    )


class TestImageClassification(TaskContract):
    task = ImageClassification()
    builder = staticmethod(small)

    def write(self, folder: Path) -> Path:
        images, labels = shapes(60)
        np.savez(folder / "bars.npz", x=images, y=labels)
        return folder / "bars.npz"


class TestWeightedClasses(TestImageClassification):
    task = ImageClassification("balance=weights")

    def write(self, folder: Path) -> Path:
        images, labels = shapes(90)
        kept = (labels > 0) | (np.arange(90) % 2 == 0)
        np.savez(folder / "bars.npz", x=images[kept], y=labels[kept])
        return folder / "bars.npz"


class TestSampledClasses(TestWeightedClasses):
    task = ImageClassification("balance=sampling")


class TestMultiLabel(TestImageClassification):
    task = MultiLabel()

    def write(self, folder: Path) -> Path:
        generator = np.random.default_rng(0)
        marks = generator.integers(0, 2, (60, 3))
        images = generator.integers(0, 60, (60, 12, 12, 1), dtype=np.uint8)
        images[np.repeat(marks, 4, axis=1).astype(bool)[:, None].repeat(12, 1)] += 160
        np.savez(folder / "bars.npz", x=images, y=marks)
        return folder / "bars.npz"


class TestFewShot(TestImageClassification):
    task = FewShotImages("ways=2,shots=1,queries=2,episodes=20")

    def write(self, folder: Path) -> Path:
        images, _ = shapes(120)
        np.savez(folder / "many.npz", x=images, y=np.arange(120) % 12)
        return folder / "many.npz"


class TestSelfSupervised(TestImageClassification):
    task = SelfSupervisedImages()


class TestTabularClassification(TaskContract):
    task = TabularClassification()
    builder = staticmethod(layer)

    def write(self, folder: Path) -> Path:
        lines = [f"{i % 7},{(i * 5) % 11 / 2},{'ab'[i % 2]},{'xyz'[i % 3]}" for i in range(60)]
        path = folder / "t.csv"
        path.write_text("one,two,kind,target\n" + "\n".join(lines) + "\n", encoding="utf-8")
        return path


class TestTabularRegression(TestTabularClassification):
    task = TabularRegression()

    def write(self, folder: Path) -> Path:
        lines = [f"{i % 7},{(i * 5) % 11 / 2},{'ab'[i % 2]},{i % 7 + i / 97}" for i in range(60)]
        path = folder / "t.csv"
        path.write_text("one,two,kind,price\n" + "\n".join(lines) + "\n", encoding="utf-8")
        return path


class TestMaskedPrediction(TaskContract):
    task = MaskedPrediction("length=16")
    builder = staticmethod(reader)

    def write(self, folder: Path) -> Path:
        path = folder / "text.txt"
        path.write_text("the quick brown fox jumps over the lazy dog. " * 30, encoding="utf-8")
        return path


class TestSegmentation(TaskContract):
    task = Segmentation()

    def write(self, folder: Path) -> Path:
        images, truth = scenes(24)
        np.savez(folder / "scenes.npz", image=images, mask=truth, classes=np.array(NAMES))
        return folder / "scenes.npz"


@pytest.mark.slow
class TestDetection(TaskContract):
    task = Detection("size=64,most=20")

    def write(self, folder: Path) -> Path:
        return blocks.save(folder / "blocks.npz", 30)


class TestDetectionInFolders(ReaderContract):
    task = Detection("size=32,most=20")

    def write(self, folder: Path) -> Path:
        return blocks.save_voc(folder / "blocks", 30)


class TestTranslation(TaskContract):
    task = Translation("source=de,target=en,merges=30")

    def write(self, folder: Path) -> Path:
        rng, rows = random.Random(0), ["split,de,en"]
        for number in range(80):
            said = rng.choices(["eins", "zwei", "drei"], k=rng.randint(2, 4))
            part = ("train", "train", "train", "val", "test")[number % 5]
            rows.append(f"{part},{' '.join(said)},{' '.join(word[::-1] for word in said)}")
        path = folder / "pairs.csv"
        path.write_text("\n".join(rows) + "\n", encoding="utf-8")
        return path


def test_every_task_has_its_contract_tested():
    here = Path(__file__).parent
    told = "\n".join(path.read_text(encoding="utf-8") for path in here.glob("test_*.py"))
    for name in tasks.names():
        kind = inspect.unwrap(tasks.get(name)).__name__
        assert f"task = {kind}(" in told, f"{name}: subclass TaskContract"
