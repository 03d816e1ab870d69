"""Images with any number of labels each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..data.marks import has_marks
from ..data.source import locate
from ..history.objective import Metric
from .base import Data, Meter, ReadOptions, Recipe
from .classify import Probabilities, expect_shape, mean_share
from .image import LabelledImages
from .normalising import as_bytes

if TYPE_CHECKING:
    from PIL import Image

#: Probability from which a label is predicted.
_LEAST = 0.5


class MultiLabel(LabelledImages):
    """Any number of labels for an image.

    Raw inputs are images as in classification; targets are uint8, (n, classes), 1 for the labels
    that an image has. Outputs are logits, (n, classes), trained by the binary cross entropy of each
    label; deployed models give the probability of each.

    The first metric is the mean average precision over labels, see :class:`MultiLabelMeter`.
    """

    name = "multi-label"
    metrics = (
        Metric("map", "", "maximize"),
        Metric("micro_f1", "", "maximize"),
        Metric("loss", "", "minimize"),
    )
    reads = "images and labels.csv (file,labels), or an .npz of images and rows of 0 and 1"
    classes_by = "rows"

    def suits(self, source: str, options: ReadOptions | None = None) -> int:
        place = locate(source)
        # Classification would refuse such rows, or read a folder of images as a class.
        return 2 if isinstance(place, Path) and has_marks(place) else 0

    def recipe(self, data: Data) -> Recipe:
        # Of many labels an image has few: smoothing would make all of the others likely.
        return replace(super().recipe(data), label_smoothing=0.0)

    def prepare_targets(self, targets: Tensor, facts: Mapping[str, Any]) -> Tensor:
        return targets.float()

    def criterion(self, outputs: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        """Binary cross entropy of logits and targets (n, classes), the mean over both."""
        smooth = targets * (1 - smoothing) + smoothing / 2
        return F.binary_cross_entropy_with_logits(outputs.float(), smooth)

    def imitation(self, outputs: Tensor, teacher: Tensor, targets: Tensor) -> Tensor:
        return self.criterion(outputs, teacher.float().sigmoid())

    def meter(self, facts: Mapping[str, Any]) -> Meter:
        return MultiLabelMeter(facts["classes"])

    def parts(
        self, outputs: Tensor, targets: Tensor, facts: Mapping[str, Any]
    ) -> dict[str, Tensor]:
        losses = nn.BCEWithLogitsLoss(reduction="none")(outputs.float(), targets.float())
        return {"micro_f1": _agreement(outputs, targets), "loss": losses.mean(1)}

    def deployable(self, model: nn.Module, facts: Mapping[str, Any]) -> nn.Module:
        return LabelProbabilities(self.normalise(facts), model)

    def describe(self, outputs: Tensor, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The labels with a probability of at least 0.5, and all probabilities."""
        rows = outputs.detach().cpu().double().tolist()
        named = [dict(zip(facts["class_names"], row, strict=True)) for row in rows]
        return [
            {"classes": [n for n, p in row.items() if p >= _LEAST], "probabilities": row}
            for row in named
        ]

    def picture(
        self, inputs: Tensor, targets: Tensor, outputs: Tensor, facts: Mapping[str, Any]
    ) -> Image.Image:
        """The images with the surest mistakes about a label."""
        from .picture import sheet_of

        names, off = facts["class_names"], (outputs - targets).abs()
        worst, label = off.max(1)
        order, captions = worst.argsort(descending=True, stable=True)[:18], []
        for row in order.tolist():
            which, own = int(label[row]), targets[row].nonzero().flatten().tolist()
            lines = [(names[which], f", {outputs[row, which]:.0%}")]
            lines.append((f"has {', '.join(names[n] for n in own) or 'none'}", ""))
            captions.append(lines if worst[row] >= _LEAST else lines[:1])
        title = f"{float((off < _LEAST).float().mean()):.1%} of {off.numel():,} labels correct"
        legend = "the surest mistakes: a label, its probability, and what the image has"
        return sheet_of(as_bytes(inputs[order], facts), captions, title, legend)


class MultiLabelMeter(Meter):
    """Metrics of logits (n, classes) over all batches together.

    ``map`` is the mean over labels of the average precision as scikit-learn defines it (the area
    under the steps of precision over recall); labels that no image has are left out. ``micro_f1``
    counts all labels of all images together, and ``loss`` is the mean binary cross entropy.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.seen: list[tuple[Tensor, Tensor]] = []

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        expect_shape(outputs, (len(targets), self.classes))
        self.seen.append((outputs.float(), targets))

    def result(self) -> dict[str, float]:
        from sklearn.metrics import average_precision_score

        outputs, targets = (torch.cat(column).cpu() for column in zip(*self.seen, strict=True))
        loss = float(F.binary_cross_entropy_with_logits(outputs, targets.float()))
        there, scores = targets.any(0), outputs.nan_to_num().numpy()
        precise = [
            average_precision_score(targets[:, n].numpy(), scores[:, n])
            for n in there.nonzero().flatten().tolist()
        ]
        f1 = float(mean_share(_agreement(outputs, targets).sum(0).numpy()))
        return {"map": float(np.mean(precise or [0.0])), "micro_f1": f1, "loss": loss}


class LabelProbabilities(Probabilities):
    """Raw images in, the probability of each label out, (n, classes)."""

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.model(self.prepare(inputs))
        return logits.float().sigmoid()


def _agreement(outputs: Tensor, targets: Tensor) -> Tensor:
    """Numerator and denominator (n, 2) of the F1 score of each example's labels."""
    found, true = outputs >= 0, targets > 0
    return torch.stack([2 * (found & true).sum(1), found.sum(1) + true.sum(1)], 1)
