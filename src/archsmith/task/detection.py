"""Object detection: a box and a class for each object in an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from .._support.errors import DataError, InputError
from .._support.options import format_options, parse
from .._support.trees import call, take
from ..data import folder
from ..data.boxes import Boxed, holds_boxes, load_image, read_boxes
from ..data.names import shown
from ..data.partition import drawn_parts, split
from ..data.source import locate
from ..data.splits import Batch, TensorSplit
from ..history.objective import Metric
from ..history.trial import Fidelity
from ..metric.boxes import detection_loss
from .base import Data, Meter, ReadOptions, Recipe, Signature, Task
from .boxed import Deployed, DetectionMeter, augmented, padded
from .contracts import Deployment, OutputLoss, Pictures
from .image import in_usual_layout, may_mirror
from .normalising import Normalise

if TYPE_CHECKING:
    from PIL import Image

#: Lowest score of an object that is reported.
_MIN_SCORE = 0.3


@dataclass(frozen=True)
class DetectionOptions:
    """Options after the name of the task: ``detection:size=320``.

    Attributes:
        size: height and width that images are stretched to, in pixels.
        upright: whether up and down differ; if not (microscopy, aerial images), augmentation also
            turns images upside down.
        most: highest number of objects that are detected in an image.

    Raises:
        InputError: a number outside its range.
    """

    size: int = 160
    upright: bool = True
    most: int = 100

    def __post_init__(self) -> None:
        rules = {
            "size": (32 <= self.size <= 2048, "from 32 to 2048 pixels"),
            "most": (1 <= self.most <= 1000, "from 1 to 1000"),
        }
        for name, (holds, expected) in rules.items():
            if not holds:
                raise InputError(f"detection, {name}", expected, f"{getattr(self, name)}")


class Detection(Task, OutputLoss, Deployment, Pictures):
    """Boxes around objects, and the classes of the objects.

    Raw inputs are ``images``, uint8 (n, 3, size, size), and ``sizes``, int64 (n, 2), their width
    and height before they were stretched. A model takes the prepared images and returns ``heat``
    (n, classes, h, w) and ``sides`` (n, 4, h, w), as :func:`~archsmith.metric.boxes.detection_loss`
    takes them. Targets are ``boxes`` (n, m, 4), shares of width and height, ``classes`` (n, m), and
    the number of boxes of each image, ``count`` (n,).

    Args:
        options: as text, see :class:`DetectionOptions`.

    Raises:
        InputError: options that cannot be read.
    """

    metrics = (Metric("map", "", "maximize"), Metric("map50", "", "maximize"))
    default_space = "detector"

    def __init__(self, options: str = "") -> None:
        self.options = parse(DetectionOptions, options, "detection")
        chosen = format_options(self.options)
        self.name = "detection" + (f":{chosen}" if chosen else "")  # type: ignore[misc]

    def suits(self, source: str, options: ReadOptions | None = None) -> bool:
        place = locate(source)
        return not isinstance(place, str) and holds_boxes(place)

    def read(self, source: str, options: ReadOptions) -> Data:
        place = locate(source)
        if isinstance(place, str):
            raise DataError(source, "a file of images and boxes", "a data set without boxes")
        read = read_boxes(place, self.options.size, options.unreadable)
        groups = np.zeros(len(read.images), dtype=np.int64)
        indices = split(
            groups, read.parts, options.validation, options.test, options.seed, read.name
        )
        whole = padded(read)
        images = in_usual_layout(torch.from_numpy(read.images))
        inputs = {"images": images, "sizes": torch.from_numpy(read.sizes)}
        parts = [TensorSplit(*take((inputs, whole), torch.from_numpy(i))) for i in indices]
        for name, part in zip(("training", "validation", "test"), parts, strict=True):
            if not int(part.targets["count"].sum()):
                raise DataError(str(place), f"boxes in the {name} part", "none")
        train, validation, test = parts
        facts = {
            "channels": 3,
            "height": self.options.size,
            "width": self.options.size,
            "classes": len(read.class_names),
            "class_names": list(read.class_names),
            "mirror": may_mirror(read.class_names),
            **_spread(train.inputs["images"]),
            "detection": asdict(self.options),
        }
        return Data(
            read.name,
            str(place),
            self.name,
            train,
            validation,
            test,
            facts,
            _summary(read, parts),
            drawn_parts(read.parts),
        )

    def uses(self, source: str) -> frozenset[str] | None:
        return frozenset({"unreadable"})

    def arguments(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        return {name: facts[name] for name in ("channels", "classes", "height", "width")}

    def example(self, facts: Mapping[str, Any], batch: int = 1) -> Tensor:
        return torch.zeros(batch, facts["channels"], facts["height"], facts["width"])

    def expect_outputs(self, outputs: Any, facts: Mapping[str, Any]) -> None:
        expected = f"heat (n, {facts['classes']}, h, w) and sides (n, 4, h, w) by these names"
        if not isinstance(outputs, Mapping) or {*outputs} != {"heat", "sides"}:
            raise ValueError(f"the model does not give {expected}")
        heat, sides = tuple(outputs["heat"].shape), tuple(outputs["sides"].shape)
        fits = heat[1:2] == (facts["classes"],) and sides == (heat[0], 4, *heat[2:])
        if len(heat) != 4 or not fits:
            raise ValueError(f"the model gave {heat} and {sides}, not {expected}")

    def recipe(self, data: Data) -> Recipe:
        # Enough steps for a few hundred images, without taking too long for thousands.
        epochs = max(12, min(60, 12_000 // len(data.train)))
        return Recipe(epochs=epochs, batch_size=8, lr=2e-3, weight_decay=0.05, augment=True)

    def search_fidelity(self, data: Data) -> Fidelity:
        seen = 1_600  # about a minute of one core for the default space, at 160 pixels
        epochs = max(1, min(8, seen // len(data.train)))
        return Fidelity(epochs=epochs, share=min(1.0, seen / (epochs * len(data.train))))

    def prepare(self, inputs: Any, facts: Mapping[str, Any]) -> Tensor:
        images: Tensor = inputs["images"]
        prepared: Tensor = Normalise(facts).to(images.device)(images)
        return prepared

    def prepare_batch(
        self, batch: Batch, facts: Mapping[str, Any], noise: torch.Generator | None = None
    ) -> Batch:
        images = self.prepare(batch.inputs, facts)
        if noise is None:
            return Batch(images, batch.targets)
        upright = facts["detection"]["upright"]
        return augmented(images, batch.targets, noise, facts["mirror"], not upright)

    def loss(self, model: nn.Module, batch: Batch, smoothing: float = 0.0) -> Tensor:
        return self.criterion(call(model, batch.inputs), batch.targets, smoothing)

    def criterion(self, outputs: Any, targets: Any, smoothing: float = 0.0) -> Tensor:
        """The loss of centres and boxes. ``smoothing`` is ignored: the targets near a centre are
        soft already."""
        return detection_loss(outputs["heat"], outputs["sides"], targets)

    def meter(self, facts: Mapping[str, Any]) -> Meter:
        return DetectionMeter(facts["classes"], facts["detection"]["most"])

    def deployable(self, model: nn.Module, facts: Mapping[str, Any]) -> nn.Module:
        return Deployed(Normalise(facts), model, facts["detection"]["most"])

    def signature(self, data: Data) -> Signature:
        size, most = data.facts["height"], data.facts["detection"]["most"]
        return Signature(
            data.validation.take(torch.tensor([0, min(1, len(data.validation) - 1)])).inputs,
            "images",
            ("boxes", "scores", "classes"),
            f"images: uint8 (n, 3, {size}, {size}), RGB, stretched to the square; sizes: int64 "
            f"(n, 2), width and height before; boxes: float32 (n, k, 4), xmin, ymin, xmax, ymax in "
            f"pixels of that size; scores: float32 (n, k), 0 where there is nothing; classes: "
            f"int64 (n, k); k up to {most}, not in the order of scores",
        )

    def load_input(self, path: Path, facts: Mapping[str, Any]) -> Any:
        files = _files(path)
        if not files:
            raise DataError(str(path), "an image, or images in the folder", "none")
        read = []
        for file in files:
            try:
                read.append(load_image(file, facts["height"]))
            except Exception as error:  # damaged files make pillow raise nearly anything
                raise DataError(str(file), "an image that can be read", str(error)) from error
        images, sizes = zip(*read, strict=True)
        return {"images": torch.from_numpy(np.stack(images)), "sizes": torch.tensor(sizes)}

    def names_in(self, path: Path) -> Sequence[str] | None:
        return [shown(file.name) for file in _files(path)] if path.is_dir() else None

    def describe(self, outputs: Any, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The objects of each image with a score of 0.3 or more, best first."""
        answers = []
        for boxes, scores, classes in zip(*outputs, strict=True):
            best = scores.argsort(descending=True, stable=True)
            objects = [
                {
                    "class": facts["class_names"][int(classes[n])],
                    "score": float(scores[n]),
                    "box": [round(value, 1) for value in boxes[n].tolist()],
                }
                for n in best[scores[best] >= _MIN_SCORE]
            ]
            answers.append({"objects": objects})
        return answers

    def picture(
        self, inputs: Any, targets: Any, outputs: Any, facts: Mapping[str, Any]
    ) -> Image.Image:
        from .boxpicture import box_grid

        boxes, scores, classes = outputs
        shares = boxes / inputs["sizes"].repeat(1, 2)[:, None]
        kept = [score >= _MIN_SCORE for score in scores]
        count = targets["count"].tolist()
        return box_grid(
            inputs["images"],
            inputs["sizes"],
            [
                (box[:n], own[:n])
                for box, own, n in zip(targets["boxes"], targets["classes"], count)
            ],
            [(box[k], own[k]) for box, own, k in zip(shares, classes, kept)],
            facts["class_names"],
        )


def _spread(images: Tensor) -> dict[str, list[float]]:
    """Mean and spread of each channel, white being 1."""
    values = [images[:, n].double() / 255 for n in range(images.shape[1])]
    spread = [float(channel.std(correction=0)) for channel in values]
    return {
        "mean": [float(channel.mean()) for channel in values],
        "std": [std if std > 1e-6 else 1.0 for std in spread],
    }


def _summary(read: Boxed, parts: Sequence[TensorSplit]) -> tuple[str, ...]:
    counts = np.bincount(read.labels, minlength=len(read.class_names))
    named = [f"{n:,} {name}" for n, name in zip(counts, read.class_names, strict=True)]
    listed = ", ".join(named[:12]) + (", ..." if len(named) > 12 else "")
    train, validation, test = map(len, parts)
    drawn = "drawn by seed" if drawn_parts(read.parts) else "as the source brings them"
    size = read.images.shape[2]
    return (
        f"{len(read.images):,} RGB images, stretched to {size} x {size}",
        f"{len(read.boxes):,} boxes: {listed}",
        f"{train:,} training, {validation:,} validation, {test:,} test ({drawn})",
        *read.notes,
    )


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.iterdir() if folder.is_picture(file))
    return [path] if path.exists() else []
