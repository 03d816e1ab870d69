"""What image and tabular classification share: loss, meter, deployed module, answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .._support.errors import DataError
from .._support.trees import Tree
from ..data.splits import Split
from ..history.objective import Metric
from .base import Meter

METRICS = (Metric("accuracy", "", "maximize"), Metric("loss", "", "minimize"))


def expect_shape(outputs: Tensor, shape: tuple[int, ...]) -> None:
    """Raises ValueError if a model's outputs do not have the shape that the task needs."""
    if tuple(outputs.shape) != shape:
        raise ValueError(f"the model gave outputs of shape {tuple(outputs.shape)}, not {shape}")


def class_loss(outputs: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """Cross entropy of logits (n, classes) and class indices (n,), or shares of the classes
    (n, classes), with label smoothing."""
    return F.cross_entropy(outputs.float(), targets, label_smoothing=smoothing)


class ClassMeter(Meter):
    """Accuracy (0 to 1) and mean cross entropy over batches of logits (n, classes)."""

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.count = 0
        self.sums: Tensor = torch.zeros(2, dtype=torch.float64)

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        expect_shape(outputs, (len(targets), self.classes))
        correct = (outputs.argmax(1) == targets).sum()
        loss = F.cross_entropy(outputs.float(), targets, reduction="sum")
        # Added up on the device of the outputs: one transfer at the end, not one per batch.
        self.sums = self.sums.to(outputs.device) + torch.stack([correct.double(), loss.double()])
        self.count += len(targets)

    def result(self) -> dict[str, float]:
        correct, loss = (self.sums / max(1, self.count)).tolist()
        return {"accuracy": correct, "loss": loss}


def class_parts(outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
    """Whether each example (n,) is classified correctly, and its cross entropy (n,)."""
    right = outputs.argmax(1) == targets
    return {
        "accuracy": right.float(),
        "loss": F.cross_entropy(outputs.float(), targets, reduction="none"),
    }


class Probabilities(nn.Module):
    """Preparation, model and softmax in one: raw inputs in, probabilities (n, classes) out."""

    def __init__(self, prepare: nn.Module, model: nn.Module) -> None:
        super().__init__()
        self.prepare = prepare
        self.model = model

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.model(self.prepare(inputs))
        return logits.float().softmax(-1)


def describe_classes(outputs: Tensor, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The likeliest class of each example, its probability, and all probabilities."""
    names = facts["class_names"]
    answers = []
    for row in outputs.detach().cpu().double().tolist():
        best = max(range(len(row)), key=row.__getitem__)
        chances = dict(zip(names, row, strict=True))
        answers.append({"class": names[best], "probability": row[best], "probabilities": chances})
    return answers


def classes_of(part: Split) -> Tensor:
    """The class (n,) of each example of a labelled part."""
    labels = part.labels
    assert labels is not None
    return labels


def check_classes(train: Split, names: Sequence[str], where: str) -> None:
    """Raises DataError if a class has no training examples."""
    counts = torch.bincount(classes_of(train), minlength=len(names)).tolist()
    empty = [name for name, count in zip(names, counts, strict=True) if count == 0]
    if empty:
        got = "none of " + ", ".join(map(repr, empty))
        raise DataError(where, "training examples of every class", got)


def class_lines(train: Split, names: Sequence[str]) -> str:
    """A readable line: how many classes there are, and how many training examples they have."""
    counts = torch.bincount(classes_of(train), minlength=len(names)).tolist()
    shown = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
    low, high = min(counts), max(counts)
    spread = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    return f"{len(names)} classes ({shown}), {spread} training examples each"


def two(part: Split) -> Tree:
    """The first two raw inputs. A single one is repeated, since an exporter treats a batch size of
    1 as a constant."""
    return part.take(torch.tensor([0, min(1, len(part) - 1)])).inputs
