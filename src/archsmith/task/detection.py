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
from ..data.boxes import Boxed, holds_boxes, load_image, read_boxes, without_classes
from ..data.marks import rarest
from ..data.names import shown
from ..data.partition import drawn_parts, split
from ..data.source import locate
from ..data.splits import Batch, TensorSplit
from ..history.objective import Metric
from ..history.trial import Fidelity
from ..metric.boxes import EXTRA, detection_loss, maps_of
from .base import Data, Meter, ReadOptions, Recipe, Signature, Task
from .boxed import Deployed, DetectionMeter, augmented, padded, pasted
from .contracts import Deployment, Mixing, OutputLoss, Pictures, References, Resolution, resized
from .image import in_usual_layout, may_mirror
from .normalising import Normalise
from .references import NetworkReference

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

#: Lowest score of an object that is reported; see ``docs/decisions.md``.
_MIN_SCORE = 0.3
#: Up to so many classes have a metric of their own.
_NAMED = 32
#: Smaller images than this are not trained on.
_LEAST_SIDE = 64


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


class Detection(Task, OutputLoss, Deployment, Pictures, References, Resolution, Mixing):
    """Boxes around objects, and the classes of the objects.

    Raw inputs are ``images``, uint8 (n, 3, size, size), and ``sizes``, int64 (n, 2), their width
    and height before they were stretched. A model takes the prepared images and returns a map
    (n, classes + 5, h, w) or a sequence of maps, the finest first, as
    :mod:`archsmith.metric.boxes` describes them. Targets are ``boxes`` (n, m, 4), shares of width
    and height, ``classes`` (n, m), and the number of boxes of each image, ``count`` (n,).

    Args:
        options: as text, see :class:`DetectionOptions`.

    Raises:
        InputError: options that cannot be read.
    """

    metrics = (Metric("map", "", "maximize"), Metric("map50", "", "maximize"))
    default_space = backbone_space = "detector"
    judged_at_once = 32  # the boxes of an image are compared with each other

    def __init__(self, options: str = "") -> None:
        self.options = parse(DetectionOptions, options, "detection")
        chosen = format_options(self.options)
        self.name = "detection" + (f":{chosen}" if chosen else "")  # type: ignore[misc]

    def suits(self, source: str, options: ReadOptions | None = None) -> int:
        place = locate(source)
        # Other tasks would read the folder of images in a folder of VOC as a class.
        return 2 if isinstance(place, Path) and holds_boxes(place) else 0

    def read(self, source: str, options: ReadOptions) -> Data:
        place = locate(source)
        if isinstance(place, str):
            raise DataError(source, "a file of images and boxes", "a data set without boxes")
        read = read_boxes(place, self.options.size, options.unreadable)
        indices = split(
            rarest(_marks(read)),
            read.parts,
            options.validation,
            options.test,
            options.seed,
            read.name,
        )
        read = _learnable(read, indices[0], str(place), options.unreadable == "skip")
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
        wide = facts["classes"] + EXTRA
        expected = f"a map (n, {wide}, h, w) or several, the finest first"
        maps = list(maps_of(outputs)) if isinstance(outputs, Tensor | list | tuple) else []
        if not maps or not all(isinstance(each, Tensor) for each in maps):
            raise ValueError(f"the model does not give {expected}")
        shapes = [tuple(each.shape) for each in maps]
        sizes = [
            shape[2] * shape[3] if shape[1:2] == (wide,) and len(shape) == 4 else 0
            for shape in shapes
        ]
        if 0 in sizes or sizes != sorted(sizes, reverse=True):
            raise ValueError(f"the model gave {' and '.join(map(str, shapes))}, not {expected}")

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

    def mixed(self, batch: Batch, generator: torch.Generator, facts: Mapping[str, Any]) -> Batch:
        return pasted(batch, generator)

    def loss(self, model: nn.Module, batch: Batch, smoothing: float = 0.0) -> Tensor:
        return self.criterion(call(model, batch.inputs), batch.targets, smoothing)

    def criterion(self, outputs: Any, targets: Any, smoothing: float = 0.0) -> Tensor:
        """The loss of classes and boxes. ``smoothing`` is ignored: most cells have no class."""
        return detection_loss(outputs, targets)

    def meter(self, facts: Mapping[str, Any]) -> Meter:
        names = facts["class_names"]
        most = facts["detection"]["most"]
        return DetectionMeter(facts["classes"], most, names if len(names) <= _NAMED else ())

    def references(self) -> tuple[NetworkReference, ...]:
        return (NetworkReference("plain-fcos", "archsmith.zoo.detector:plain_fcos"),)

    def shrunk(self, data: Data, factor: float) -> Data | None:
        return resized(data, factor, _LEAST_SIDE)

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


def _marks(read: Boxed) -> NDArray[np.uint8]:
    """Which classes (n, classes) each image has."""
    marks = np.zeros((len(read.images), len(read.class_names)), dtype=np.uint8)
    marks[read.owners, read.labels] = 1
    return marks


def _learnable(read: Boxed, train: NDArray[np.int64], where: str, skip: bool) -> Boxed:
    """What can be learned: the classes that the training part has boxes of. Raises DataError if
    these must be all."""
    absent = np.flatnonzero(~_marks(read)[train].any(0))
    if len(absent) and (not skip or len(absent) == len(read.class_names)):
        listed = ", ".join(repr(read.class_names[n]) for n in absent)
        hint = "add some, or leave these classes out: --unreadable skip"
        raise DataError(where, "training boxes of every class", f"none of {listed}", hint)
    return without_classes(read, absent)


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
