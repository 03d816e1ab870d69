"""Semantic segmentation: a class for each pixel of an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from .._support.errors import DataError, InputError, unknown
from .._support.options import format_options, parse
from ..data import masks
from ..data.masks import UNLABELLED, MaskedImages
from ..data.partition import drawn_parts, split
from ..data.source import locate
from ..data.splits import Batch, TensorSplit
from ..history.objective import Metric
from ..history.trial import Fidelity
from .base import Data, Meter, ReadOptions, Recipe, Signature
from .classify import expect_shape, two
from .contracts import (
    Deployment,
    ExampleMetrics,
    Mixing,
    Pictures,
    References,
    Resolution,
    resized,
)
from .cutmix import patched
from .image import ImageClassification, facts_of, in_usual_layout, sized
from .normalising import as_bytes
from .pixelwise import (
    AT_ONCE,
    LOSSES,
    PixelProbabilities,
    SegmentationMeter,
    moved_together,
    pixel_loss,
)
from .references import NetworkReference
from .tensor import TensorTask

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

#: Up to so many classes have a metric of their own.
_NAMED = 32
#: Smaller images than this are not trained on.
_LEAST_SIDE = 32
#: Longest side of images that crops are cut from.
_MOST_SIDE = 1024


@dataclass(frozen=True)
class SegmentationOptions:
    """Options after the name of the task: ``segmentation:ignore=0``.

    Attributes:
        ignore: class number that marks pixels without a label, in addition to 255 and to a class
            named unlabelled or void.
        loss: of training, one or several of ``cross-entropy``, ``focal`` and ``dice``, such as
            ``cross-entropy+dice``; see :func:`~archsmith.task.pixelwise.pixel_loss`.
        crop: side in pixels of random squares that are trained on in place of whole images. Then
            images keep their size, up to 1,024 pixels; validation, test and deployed models see
            whole ones.

    Raises:
        InputError: an unknown loss, or a crop of less than 16 pixels.
    """

    ignore: int | None = None
    loss: str = "cross-entropy"
    crop: int | None = None

    def __post_init__(self) -> None:
        for name in self.losses:
            if name not in LOSSES:
                raise unknown("segmentation loss", name, LOSSES)
        if self.crop is not None and self.crop < 16:
            raise InputError("segmentation, crop", "16 pixels or more", str(self.crop))

    @property
    def losses(self) -> list[str]:
        """Names of the losses that are added."""
        return self.loss.split("+")


class Segmentation(
    TensorTask, ExampleMetrics, Deployment, Pictures, References, Resolution, Mixing
):
    """The class of each pixel.

    Raw inputs are images, (n, channels, height, width); targets are masks, uint8,
    (n, height, width), with 255 for pixels without a label, which count neither in the loss nor in
    the metrics. Outputs are logits, (n, classes, height, width).

    The first metric is the mean intersection over union (Everingham et al. 2010,
    doi:10.1007/s11263-009-0275-4), see :class:`SegmentationMeter`.

    Args:
        options: as text, see :class:`SegmentationOptions`.

    Raises:
        InputError: options that cannot be read.
    """

    metrics = (
        Metric("miou", "", "maximize"),
        Metric("pixel_accuracy", "", "maximize"),
        Metric("loss", "", "minimize"),
    )
    default_space = "unet"
    backbone_space = "segmenter"
    judged_at_once = AT_ONCE

    def __init__(self, options: str = "") -> None:
        self.options = parse(SegmentationOptions, options, "segmentation")
        chosen = format_options(self.options)
        self.name = "segmentation" + (f":{chosen}" if chosen else "")  # type: ignore[misc]
        #: Images are handled as in classification; only the targets and answers differ.
        self._images = ImageClassification()

    def suits(self, source: str, options: ReadOptions | None = None) -> int:
        place = locate(source)
        # Other tasks would read a folder of images and masks as one of two classes.
        return 2 if isinstance(place, Path) and masks.has_masks(place) else 0

    def read(self, source: str, options: ReadOptions) -> Data:
        place = locate(source)
        if isinstance(place, str) or not (place.is_dir() or place.suffix.lower() == ".npz"):
            raise DataError(source, "an .npz file or a folder of images and masks", str(place))
        largest = masks.LARGEST if self.options.crop is None else _MOST_SIDE
        masked = masks.read(
            place, options.image_size, options.channels, self.options.ignore, largest
        )
        raw = masked.images
        # Parts of the source are kept. All labels are equal, since no image has a single class.
        indices = split(
            raw.labels, raw.parts, options.validation, options.test, options.seed, raw.name
        )
        train, validation, test = (_part_of(masked, index) for index in indices)
        facts = facts_of(raw, indices[0])
        shares = _shares(train, validation, test, raw.class_names, str(place))
        return Data(
            raw.name,
            str(place),
            self.name,
            train,
            validation,
            test,
            facts,
            (
                sized(raw),
                *shares,
                f"{len(train):,} training, {len(validation):,} validation, {len(test):,} test",
                *raw.notes,
            ),
            drawn_parts(raw.parts),
        )

    def uses(self, source: str) -> frozenset[str] | None:
        place = locate(source)
        folder = not isinstance(place, str) and place.is_dir()
        return frozenset({"image_size"} if folder else {"channels"})

    def arguments(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        return {name: facts[name] for name in ("channels", "classes", "height", "width")}

    def example(self, facts: Mapping[str, Any], batch: int = 1) -> Tensor:
        return self._images.example(facts, batch)

    def expect_output(self, output: Tensor, facts: Mapping[str, Any]) -> None:
        size = facts["classes"], facts["height"], facts["width"]
        expect_shape(output, (len(output), *size))

    def recipe(self, data: Data) -> Recipe:
        count = len(data.train)
        return Recipe(
            epochs=max(10, min(60, round(600 / count**0.5))),
            batch_size=max(4, min(16, count // 8)),
            lr=4e-3,
            weight_decay=0.02,
            augment=True,
        )

    def search_fidelity(self, data: Data) -> Fidelity:
        return Fidelity(epochs=6)

    def prepare(self, inputs: Tensor, facts: Mapping[str, Any]) -> Tensor:
        return self._images.prepare(inputs, facts)

    def prepare_targets(self, targets: Tensor, facts: Mapping[str, Any]) -> Tensor:
        return targets.long()

    def prepare_batch(
        self, batch: Batch, facts: Mapping[str, Any], noise: torch.Generator | None = None
    ) -> Batch:
        inputs, targets = self.prepare(batch.inputs, facts), batch.targets
        if noise is not None:
            mirror = bool(facts.get("mirror"))
            inputs, targets = moved_together(inputs, targets, noise, mirror, self.options.crop)
        return Batch(inputs, self.prepare_targets(targets, facts))

    def mixed(self, batch: Batch, generator: torch.Generator, facts: Mapping[str, Any]) -> Batch:
        patch, others = patched(batch.inputs, generator)
        return Batch(*(torch.where(patch, x[others], x) for x in (batch.inputs, batch.targets)))

    def augment(
        self, inputs: Tensor, generator: torch.Generator, facts: Mapping[str, Any] | None = None
    ) -> Tensor:
        """Moves images only; :meth:`prepare_batch` moves them together with their masks."""
        none = inputs.new_zeros(len(inputs), *inputs.shape[2:], dtype=torch.uint8)
        mirror = bool(facts and facts.get("mirror"))
        return moved_together(inputs, none, generator, mirror)[0]

    def criterion(self, outputs: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        return pixel_loss(outputs, targets, self.options.losses, smoothing)

    def imitation(self, outputs: Tensor, teacher: Tensor, targets: Tensor) -> Tensor:
        labelled = targets != UNLABELLED
        student, goal = (values.movedim(1, -1)[labelled] for values in (outputs, teacher))
        return super().imitation(student, goal, targets[labelled])

    def meter(self, facts: Mapping[str, Any]) -> Meter:
        names = facts["class_names"]
        return SegmentationMeter(facts["classes"], names if len(names) <= _NAMED else ())

    def parts(
        self, outputs: Tensor, targets: Tensor, facts: Mapping[str, Any]
    ) -> dict[str, Tensor]:
        """For mIoU the correct pixels of each class, then those that are or were taken for it; for
        the share of correct pixels their number, then that of all labelled ones."""
        counts = []
        for output, target in zip(outputs, targets, strict=True):
            meter = SegmentationMeter(facts["classes"])
            meter.update(output[None], target[None])
            counts.append(meter.confusion.cpu())
        confusion = torch.stack(counts)
        right = confusion.diagonal(dim1=1, dim2=2)
        union = confusion.sum(1) + confusion.sum(2) - right
        pixels = torch.stack([right.sum(1), confusion.sum((1, 2))], dim=1)
        return {"miou": torch.cat([right, union], 1), "pixel_accuracy": pixels}

    def pooled(self, name: str, sums: NDArray[Any]) -> NDArray[Any]:
        right, union = np.split(sums, 2, axis=-1)
        shares = right / np.maximum(union, 1)
        there = np.maximum((union > 0).sum(-1), 1)
        pooled: NDArray[Any] = shares.sum(-1) / there
        return pooled

    def references(self) -> tuple[NetworkReference, ...]:
        return (NetworkReference("unet", "archsmith.zoo.unet:plain_unet"),)

    def shrunk(self, data: Data, factor: float) -> Data | None:
        return None if self.options.crop else resized(data, factor, _LEAST_SIDE, masks=True)

    def deployable(self, model: nn.Module, facts: Mapping[str, Any]) -> nn.Module:
        return PixelProbabilities(self._images.normalise(facts), model)

    def signature(self, data: Data) -> Signature:
        about = self._images.signature(data).description.partition("; ")[0]
        size = ", ".join(str(data.facts[name]) for name in ("classes", "height", "width"))
        return Signature(
            two(data.validation),
            "images",
            "probabilities",
            f"{about}; probabilities: float32 (n, {size}), of each class at each pixel",
        )

    def load_input(self, path: Path, facts: Mapping[str, Any]) -> Tensor:
        return self._images.load_input(path, facts)

    def names_in(self, path: Path) -> Sequence[str] | None:
        return self._images.names_in(path)

    def describe(self, outputs: Tensor, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The classes that are present with their share of the pixels, largest first, the size of
        the mask, and the mask itself as text, which :func:`mask_of` reads."""
        names = facts["class_names"]
        answers = []
        for mask in outputs.argmax(1).cpu().numpy():
            counts = np.bincount(mask.ravel(), minlength=len(names))
            present = [n for n in np.argsort(-counts, kind="stable").tolist() if counts[n]]
            answers.append(
                {
                    "classes": {names[n]: float(counts[n] / mask.size) for n in present},
                    "height": mask.shape[0],
                    "width": mask.shape[1],
                    "class_names": names,
                    "mask": _runs(mask),
                }
            )
        return answers

    def picture(
        self, inputs: Tensor, targets: Tensor, outputs: Tensor, facts: Mapping[str, Any]
    ) -> Image.Image:
        from .segmentation_picture import side_by_side

        images = as_bytes(inputs, facts)
        return side_by_side(images, targets, outputs.argmax(1), facts["class_names"])


def mask_of(answer: Mapping[str, Any]) -> NDArray[np.uint8]:
    """The mask, uint8 (height, width), of an answer of ``predict``: indices of ``class_names``."""
    runs = [run.split("x") for run in answer["mask"].split()]
    values = np.array([int(number) for number, _ in runs], dtype=np.uint8)
    flat: NDArray[np.uint8] = np.repeat(values, [int(length) for _, length in runs])
    return flat.reshape(answer["height"], answer["width"])


def _runs(mask: NDArray[np.int64]) -> str:
    """Run-length encoding of a mask, row by row, as class and length: ``0x310 4x12 0x78``."""
    flat = mask.ravel()
    starts = np.flatnonzero(np.diff(flat, prepend=-1))
    lengths = np.diff(starts, append=len(flat))
    return " ".join(f"{flat[at]}x{n}" for at, n in zip(starts, lengths, strict=True))


def _part_of(source: MaskedImages, index: NDArray[np.int64]) -> TensorSplit:
    images, drawn = (np.ascontiguousarray(a[index]) for a in (source.images.images, source.masks))
    return TensorSplit(in_usual_layout(torch.from_numpy(images)), torch.from_numpy(drawn))


def _shares(
    train: TensorSplit,
    validation: TensorSplit,
    test: TensorSplit,
    names: Sequence[str],
    where: str,
) -> tuple[str, str]:
    """Readable lines: the share of each class in the training pixels, and that without a label.

    Raises:
        DataError: a part without a labelled pixel, or fewer than two classes to learn.
    """
    counts = []
    for part, part_name in ((train, "training"), (validation, "validation"), (test, "test")):
        counts.append(torch.bincount(part.targets.flatten(), minlength=256).double())
        if not counts[-1][:UNLABELLED].any():
            raise DataError(where, f"labelled pixels in the {part_name} part", "none")
    pixels, unlabelled = counts[0][: len(names)], counts[0][UNLABELLED]
    if int((pixels > 0).sum()) < 2:
        raise DataError(where, "training pixels of at least two classes", "of one")
    shares = (100 * pixels / pixels.sum()).tolist()
    listed = [f"{name} {share:.3g} %" for name, share in zip(names, shares, strict=True)]
    shown = ", ".join(listed[:12]) + (", ..." if len(listed) > 12 else "")
    without = 100 * float(unlabelled / counts[0].sum())
    return f"{len(names)} classes: {shown}", f"{without:.3g} % of the pixels without a label"
