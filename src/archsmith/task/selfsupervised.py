"""Learning from images without labels: two views of one image should have similar embeddings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from .._support.errors import InputError, unknown
from .._support.options import format_options, parse
from ..data.batches import shuffled
from ..data.source import image_options
from ..data.splits import Split, TensorSplit
from ..metric.distill import relational
from ..metric.views import barlow_twins, found_partner, nt_xent
from .base import Data, Meter, ReadOptions, Recipe
from .contracts import BatchSampling
from .embedding import EmbeddingImages, distorted, expect_embeddings

if TYPE_CHECKING:
    from PIL import Image

_LOSSES = ("barlow-twins", "simclr")


@dataclass(frozen=True)
class SelfSupervisedOptions:
    """Options after the name of the task: ``self-supervised:loss=barlow-twins``.

    Attributes:
        loss: ``simclr`` (Chen et al. 2020, arXiv:2002.05709) or ``barlow-twins`` (Zbontar et al.
            2021, arXiv:2103.03230).
        temperature: of SimCLR.
        dim: size of the embedding, which a builder receives as ``classes``.

    Raises:
        UnknownNameError: no such loss.
        InputError: a number outside its range.
    """

    loss: str = "simclr"
    temperature: float = 0.2
    dim: int = 128

    def __post_init__(self) -> None:
        if self.loss not in _LOSSES:
            raise unknown("loss without labels", self.loss, _LOSSES)
        if not 0 < self.temperature < math.inf:
            raise InputError("self-supervised, temperature", "above 0", f"{self.temperature:g}")
        if self.dim < 2:
            raise InputError("self-supervised, dim", "2 or more", str(self.dim))


class SelfSupervisedImages(EmbeddingImages, BatchSampling):
    """Images without labels: embeddings of two views of one image should be close.

    Raw inputs are bytes, (n, channels, height, width); outputs are embeddings, (n, d).

    Labels of the source are ignored, and a folder of images needs none. A batch of n holds n/2
    images twice; each copy is independently rotated, scaled, shifted, mirrored if that preserves
    its meaning, and changed in brightness and contrast. The validation and test parts hold two
    fixed views of each image; the metric ``accuracy`` is the share of views whose nearest neighbour
    among 511 others is the other view of the same image.

    The last layer plays the role of the papers' projection head: as features use its input
    (:class:`archsmith.Features`).

    Args:
        options: as text, see :class:`SelfSupervisedOptions`.

    Raises:
        InputError: options that cannot be read.
    """

    default_space = "convnet"
    classes_by = "folders or none"
    #: Without augmentation both views of an image are equal, and any model matches them.
    judged_as_is = False

    def __init__(self, options: str = "") -> None:
        self.options = parse(SelfSupervisedOptions, options, "self-supervised")
        chosen = format_options(self.options)
        self.name = "self-supervised" + (f":{chosen}" if chosen else "")  # type: ignore[misc]
        self.dim = self.options.dim

    def read(self, source: str, options: ReadOptions) -> Data:
        data = super().read(source, options)
        facts = data.facts | {"self_supervised": asdict(self.options)}
        train = TensorSplit(
            data.train.head(len(data.train)).inputs, torch.zeros(len(data.train), dtype=torch.int64)
        )
        validation, test = (
            TensorSplit(*_paired(self, part.head(len(part)).inputs, facts, seed))
            for seed, part in enumerate((data.validation, data.test))
        )
        return replace(
            data,
            task=self.name,
            train=train,
            validation=validation,
            test=test,
            facts=facts,
            summary=(data.summary[0], "labels are ignored", data.summary[2]),
        )

    def uses(self, source: str) -> frozenset[str] | None:
        return image_options(source) - {"target"}

    def recipe(self, data: Data) -> Recipe:
        usual = super().recipe(data)
        return replace(
            usual,
            epochs=2 * usual.epochs,
            batch_size=256,
            lr=3e-3,
            augment=True,
            label_smoothing=0.0,
        )

    def draw(
        self,
        index: Tensor,
        train: Split,
        size: int,
        generator: torch.Generator,
        facts: Mapping[str, Any] | None = None,
    ) -> Sequence[Tensor]:
        chunks = shuffled(index, max(2, size // 2), generator)
        return [chunk.repeat_interleave(2) for chunk in chunks]

    def augment(
        self, inputs: Tensor, generator: torch.Generator, facts: Mapping[str, Any] | None = None
    ) -> Tensor:
        """Another view of each image."""
        mirror = bool(facts and facts.get("mirror"))
        moved = distorted(inputs, generator, turn=15, scale=0.25, shift=0.12, mirror=mirror)
        # Inputs are standardised: contrast, and brightness in units of the standard deviation.
        shape = (len(inputs), inputs.shape[1], 1, 1)
        drawn = torch.rand(2, *shape, generator=generator, device=inputs.device) - 0.5
        return moved * (1 + 0.8 * drawn[0]) + 0.8 * drawn[1]

    def criterion(self, outputs: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        if self.options.loss == "simclr":
            return nt_xent(outputs, self.options.temperature)
        return barlow_twins(outputs)

    def imitation(self, outputs: Tensor, teacher: Tensor, targets: Tensor) -> Tensor:
        return relational(outputs, teacher)

    def meter(self, facts: Mapping[str, Any]) -> Meter:
        return PartnerMeter(self)

    def picture(
        self, inputs: Tensor, targets: Tensor, outputs: Tensor, facts: Mapping[str, Any]
    ) -> Image.Image:
        # Targets are the numbers of the images, not classes of the source.
        names = [f"image {number + 1}" for number in range(int(targets.max()) + 1)]
        return super().picture(inputs, targets, outputs, {**facts, "class_names": names})


class PartnerMeter(Meter):
    """Share of views whose nearest neighbour is their partner, and the loss, over batches of two
    views per image."""

    def __init__(self, task: SelfSupervisedImages) -> None:
        self.task = task
        self.found = self.loss = self.count = 0.0

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        expect_embeddings(outputs, len(targets))
        outputs = F.normalize(outputs.float()) if self.task.options.loss == "simclr" else outputs
        self.found += float(found_partner(outputs).sum())
        self.loss += float(self.task.criterion(outputs, targets)) * len(outputs)
        self.count += len(outputs)

    def result(self) -> dict[str, float]:
        count = max(1.0, self.count)
        return {"accuracy": self.found / count, "loss": self.loss / count}


def _paired(
    task: SelfSupervisedImages, images: Tensor, facts: Mapping[str, Any], seed: int
) -> tuple[Tensor, Tensor]:
    """Two fixed views of each image as raw inputs, next to each other, and the images' numbers."""
    generator = torch.Generator().manual_seed(seed)
    undo = task.normalise(facts)
    blocks = []
    for block in torch.split(images.repeat_interleave(2, 0), 512):
        view = task.augment(task.prepare(block, facts), generator, facts)
        raw = view / undo.scale + undo.shift
        blocks.append(raw if images.is_floating_point() else raw.round_().clamp_(0, 255).byte())
    return torch.cat(blocks), torch.arange(len(images)).repeat_interleave(2)
