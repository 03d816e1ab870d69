"""What classification of images and of rows shares: loss, metrics, deployed module, answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .._support.errors import DataError
from .._support.trees import Tree
from ..data.mapped import Labelled
from ..data.splits import Split
from ..history.objective import Metric
from .base import Meter
from .contracts import Deployment, ExampleMetrics
from .tensor import TensorTask

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Metrics of tasks that predict something other than the classes of the source.
PLAIN_METRICS = (Metric("accuracy", "", "maximize"), Metric("loss", "", "minimize"))
METRICS: tuple[Metric, ...] = (
    PLAIN_METRICS[0],
    Metric("balanced_accuracy", "", "maximize"),
    Metric("macro_f1", "", "maximize"),
    Metric("ece", "", "minimize"),
    PLAIN_METRICS[1],
)
_BINS = 15  # of the calibration error, as in Guo et al. 2017
#: With more classes, what each example gives to the metrics over classes is too much to keep.
_MOST_COUNTED = 256


def expect_shape(outputs: Tensor, shape: tuple[int, ...]) -> None:
    """Raises ValueError if a model's outputs do not have the shape that the task needs."""
    if tuple(outputs.shape) != shape:
        raise ValueError(f"the model gave outputs of shape {tuple(outputs.shape)}, not {shape}")


class Classification(TensorTask, ExampleMetrics, Deployment):
    """One of ``facts["class_names"]`` for each example. Outputs are logits, (n, classes)."""

    metrics = METRICS

    def expect_output(self, output: Tensor, facts: Mapping[str, Any]) -> None:
        expect_shape(output, (len(output), facts["classes"]))

    def criterion(self, outputs: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        """Cross entropy of logits and class indices (n,), or shares of the classes (n, classes),
        with label smoothing."""
        return F.cross_entropy(outputs.float(), targets, label_smoothing=smoothing)

    def meter(self, facts: Mapping[str, Any]) -> Meter:
        return ClassMeter(facts["classes"], facts.get("temperature", 1.0))

    def parts(
        self, outputs: Tensor, targets: Tensor, facts: Mapping[str, Any]
    ) -> dict[str, Tensor]:
        """As the contract says; for metrics over classes, see :func:`mean_share`."""
        classes, guesses = outputs.shape[1], outputs.argmax(1)
        parts = {
            "accuracy": (guesses == targets).float(),
            "loss": F.cross_entropy(outputs.float(), targets, reduction="none"),
        }
        if classes <= _MOST_COUNTED:
            true, guessed = (F.one_hot(of, classes).byte() for of in (targets, guesses))
            parts["balanced_accuracy"] = torch.cat([true * guessed, true], 1)
            parts["macro_f1"] = torch.cat([2 * true * guessed, true + guessed], 1)
        return parts

    def pooled(self, name: str, sums: NDArray[Any]) -> NDArray[Any]:
        return mean_share(sums)

    def describe(self, outputs: Tensor, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The likeliest class of each example, its probability, and all probabilities."""
        names = facts["class_names"]
        answers = []
        for row in outputs.detach().cpu().double().tolist():
            best = max(range(len(row)), key=row.__getitem__)
            chances = dict(zip(names, row, strict=True))
            answer = {"class": names[best], "probability": row[best], "probabilities": chances}
            answers.append(answer)
        return answers


def mean_share(sums: NDArray[Any]) -> NDArray[Any]:
    """The mean over classes of a share (...,), by all numerators, then all denominators
    (..., 2 * classes). Classes whose denominator is 0 are left out."""
    some, of = np.split(sums, 2, axis=-1)
    shares: NDArray[Any] = (some / np.maximum(of, 1)).sum(-1) / np.maximum((of > 0).sum(-1), 1)
    return shares


class ClassMeter(Meter):
    """Metrics of logits (n, classes) over all batches together.

    ``accuracy``; ``balanced_accuracy``, the mean recall of the classes that occur (Brodersen et al.
    2010, doi:10.1109/ICPR.2010.764); ``macro_f1``, the mean F1 of the classes that occur or are
    predicted; with more than five classes ``top5``, how often the class is among the five
    likeliest; ``ece``, the expected calibration error in 15 bins of equal width (Guo et al. 2017,
    arXiv:1706.04599): all from 0 to 1; and ``loss``, the mean cross entropy.

    Args:
        temperature: divides the logits, as in :class:`Probabilities`.
    """

    def __init__(self, classes: int, temperature: float = 1.0) -> None:
        self.classes, self.temperature = classes, temperature
        #: For each class how many examples are right, are of it, and are predicted to be; for each
        #: bin of the largest probability, their sum less how many are right; hits among the first
        #: five; the loss. Together on the device of the outputs: one transfer at the end.
        self.sums: Tensor = torch.zeros(3 * classes + _BINS + 2, dtype=torch.float64)

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        expect_shape(outputs, (len(targets), self.classes))
        logits, count = outputs.float() / self.temperature, self.classes
        guesses, sure = logits.argmax(1), logits.softmax(1).amax(1).double()
        right, one = (guesses == targets).double(), torch.ones_like(sure)
        bins = (sure * _BINS).ceil().long().clamp(1, _BINS) - 1
        places = [targets, targets + count, guesses + 2 * count, bins + 3 * count]
        added = torch.cat([right, one, one, sure - right])
        self.sums = self.sums.to(added.device).index_add(0, torch.cat(places), added)
        likeliest = logits.topk(min(5, count)).indices
        self.sums[-2] += (likeliest == targets[:, None]).sum()
        self.sums[-1] += F.cross_entropy(logits, targets, reduction="sum")

    def result(self) -> dict[str, float]:
        sums, classes = self.sums.cpu().numpy(), 3 * self.classes
        right, true, guessed = sums[:classes].reshape(3, -1)
        count = max(1.0, float(true.sum()))
        return {
            "accuracy": float(right.sum()) / count,
            "balanced_accuracy": float(mean_share(np.concatenate([right, true]))),
            "macro_f1": float(mean_share(np.concatenate([2 * right, true + guessed]))),
            **({"top5": float(sums[-2]) / count} if self.classes > 5 else {}),
            "ece": float(np.abs(sums[classes:-2]).sum()) / count,
            "loss": float(sums[-1]) / count,
        }


class Probabilities(nn.Module):
    """Preparation, model and softmax in one: raw inputs in, probabilities (n, classes) out.

    Args:
        temperature: divides the logits (Guo et al. 2017), see :mod:`archsmith.train.calibration`.
    """

    def __init__(self, prepare: nn.Module, model: nn.Module, temperature: float = 1.0) -> None:
        super().__init__()
        self.prepare = prepare
        self.model = model
        self.temperature = temperature

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.model(self.prepare(inputs)).float()
        return (logits if self.temperature == 1 else logits / self.temperature).softmax(-1)


def probabilities(facts: Mapping[str, Any]) -> str:
    """The outputs of deployed models in words."""
    temperature = facts.get("temperature", 1.0)
    at = f", of logits divided by {temperature:.4g}" if temperature != 1 else ""
    return f"probabilities: float32 (n, {facts['classes']}){at}"


def classes_of(part: Split) -> Tensor:
    """The class (n,) of each example of a labelled part."""
    labels = part.labels
    assert labels is not None
    return labels


def class_counts(part: Labelled, classes: int) -> Tensor:
    """How many examples (classes,) of a part are of each class."""
    targets: Tensor = part.targets
    return targets.sum(0) if targets.dim() > 1 else torch.bincount(targets, minlength=classes)


def missing(part: Labelled, names: Sequence[str]) -> str:
    """The names of classes without examples in a part, for messages; empty if there are none."""
    counts = class_counts(part, len(names)).tolist()
    empty = [repr(name) for name, count in zip(names, counts, strict=True) if count == 0]
    return ", ".join(empty[:5]) + (f" and {len(empty) - 5} more" if len(empty) > 5 else "")


def check_classes(train: Labelled, names: Sequence[str], where: str) -> None:
    """Raises DataError if a class has no training examples."""
    if empty := missing(train, names):
        hint = "add some, or remove the class from the other parts"
        raise DataError(where, "training examples of every class", f"none of {empty}", hint)


def absent_lines(parts: Sequence[Labelled], names: Sequence[str]) -> Iterator[str]:
    """Lines about classes that a part has no examples of, whose quality it cannot tell."""
    for part, name in zip(parts[1:], ("validation", "test"), strict=True):
        if empty := missing(part, names):
            yield f"no {name} examples of {empty}: {name} figures say nothing about them"


def class_lines(train: Labelled, names: Sequence[str]) -> str:
    """A readable line: how many classes there are, and how many training examples they have."""
    counts = class_counts(train, len(names)).tolist()
    shown = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
    low, high = min(counts), max(counts)
    spread = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    return f"{len(names)} classes ({shown}), {spread} training examples each"


def two(part: Split) -> Tree:
    """The first two raw inputs. A single one is repeated, since an exporter treats a batch size of
    1 as a constant."""
    return part.take(torch.tensor([0, min(1, len(part) - 1)])).inputs
