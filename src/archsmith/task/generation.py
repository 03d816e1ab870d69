"""Generation: new images like those of the data, of a class that is asked for."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from .._support.errors import DataError, InputError, unknown
from .._support.options import format_options, parse
from .._support.trees import call, take
from ..data.splits import Batch, TensorSplit
from ..history.trial import Fidelity
from .base import Data, Meter, ReadOptions, Recipe, Signature, Task
from .classify import two
from .contracts import Deployment, OutputLoss, Pictures
from .diffusion import Diffusion
from .generative import GenerationMeter, as_grey_levels, noise_at, scaled
from .image import ImageClassification
from .normalising import as_bytes
from .variational import Variational

if TYPE_CHECKING:
    from PIL import Image

_METHODS = ("diffusion", "vae")
#: Validation images that models are judged on.
_JUDGED = 2_000
#: Images that a model is trained on, over all epochs: 20 minutes on one core if they have 28 x 28
#: pixels.
_SEEN = 200_000


@dataclass(frozen=True)
class GenerationOptions:
    """Options after the name of the task: ``generation:method=vae``.

    Attributes:
        method: ``diffusion`` or ``vae`` (variational autoencoder).
        conditional: whether a class can be asked for.
        steps: of the sampler (diffusion).
        guidance: how far samples are driven towards their class, at some cost of variety; 1 is not
            at all (diffusion).

    Raises:
        UnknownNameError: no such method.
        InputError: a number outside its range.
    """

    method: str = "diffusion"
    conditional: bool = True
    steps: int = 20
    guidance: float = 1.5

    def __post_init__(self) -> None:
        if self.method not in _METHODS:
            raise unknown("method of generation", self.method, _METHODS)
        if not 1 <= self.steps <= 1000:
            raise InputError("generation, steps", "from 1 to 1000", str(self.steps))
        if not 0 <= self.guidance < math.inf:
            raise InputError("generation, guidance", "0 or more", f"{self.guidance:g}")


@dataclass(frozen=True)
class Order:
    """Which samples to draw.

    Attributes:
        label: name of their class; all classes in turn if it is ``None``.
        count: how many.
        seed: of their noise.

    Raises:
        InputError: a number outside its range.
    """

    label: str | None = None
    count: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.count <= 100_000:
            raise InputError("samples, count", "from 1 to 100,000 images", str(self.count))
        if not 0 <= self.seed < 2**63:
            raise InputError("samples, seed", "0 or more", str(self.seed))


class Generation(Task, OutputLoss, Deployment, Pictures):
    """New images from noise, of a class that is asked for.

    It reads what image classification reads. Raw inputs are ``noise`` (n, channels, height, width),
    standard normal, and, if the classes count, ``label`` (n,); the targets are the images, uint8.
    Models take the tensors that :class:`~archsmith.task.diffusion.Diffusion` or
    :class:`~archsmith.task.variational.Variational` describe, in that order.

    Batch norm is unsuited: its statistics would be those of other noise than the sampler's.

    Args:
        options: as text, see :class:`GenerationOptions`.

    Raises:
        InputError: options that cannot be read.
    """

    metrics = Diffusion.metrics
    default_space = Diffusion.space
    judged_at_once = 128

    def __init__(self, options: str = "") -> None:
        self.options = parse(GenerationOptions, options, "generation")
        chosen = format_options(self.options)
        self.name = "generation" + (f":{chosen}" if chosen else "")  # type: ignore[misc]
        self._kind = Diffusion if self.options.method == "diffusion" else Variational
        self.metrics = self._kind.metrics  # type: ignore[misc]
        self.default_space = self._kind.space  # type: ignore[misc]
        self._images = ImageClassification()
        self._images.on_disk = False  # all images of a part are its targets

    def _method(self, facts: Mapping[str, Any]) -> Diffusion | Variational:
        if self.options.method == "vae":
            return Variational(_shape(facts))
        steps, guidance = self.options.steps, self.options.guidance
        return Diffusion(steps, guidance, _shape(facts), facts["classes"])

    def suits(self, source: str, options: ReadOptions | None = None) -> int:
        return 0  # images alone do not show that they are meant for this task

    def read(self, source: str, options: ReadOptions) -> Data:
        data = self._images.read(source, options)
        facts, summary = data.facts, data.summary
        parts = [part.head(len(part)) for part in (data.train, data.validation, data.test)]
        if (spare := len(data.validation) - _JUDGED) > 0:
            # Judging takes two passes of the model for each image.
            kept = Batch(*take((parts[1].inputs, parts[1].targets), slice(_JUDGED)))
            rest = take((parts[1].inputs, parts[1].targets), slice(_JUDGED, None))
            joined = [torch.cat(both) for both in zip((parts[0].inputs, parts[0].targets), rest)]
            parts[:2] = Batch(*joined), kept
            summary += (f"{spare:,} validation images are trained on: {_JUDGED:,} are judged",)
        # In training noise is drawn anew for each batch, so that no memory is spent on it here.
        shape, counts = _shape(facts), [len(part.targets) for part in parts]
        noises = [noise_at(0, 1, shape).expand(counts[0], *shape)]
        noises += [noise_at(0, count, shape) for count in counts[1:]]
        train, validation, test = map(self._part, parts, noises, [facts] * 3)
        return replace(
            data, task=self.name, train=train, validation=validation, test=test, summary=summary
        )

    def _part(self, read: Batch, noise: Tensor, facts: Mapping[str, Any]) -> TensorSplit:
        inputs = {"noise": noise} | ({"label": read.targets} if self.options.conditional else {})
        return GeneratedSplit(inputs, as_bytes(read.inputs, facts))

    def uses(self, source: str) -> frozenset[str] | None:
        return self._images.uses(source)

    def arguments(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        classes = facts["classes"] if self.options.conditional else 0
        return {n: facts[n] for n in ("channels", "height", "width")} | {"classes": classes}

    def example(self, facts: Mapping[str, Any], batch: int = 1) -> tuple[Tensor, ...]:
        label = {"label": torch.zeros(batch, dtype=torch.int64)} if self.options.conditional else {}
        return self.prepare({"noise": torch.zeros(batch, *_shape(facts)), **label}, facts)

    def expect_outputs(self, outputs: Any, facts: Mapping[str, Any]) -> None:
        self._method(facts).expect(outputs)

    def recipe(self, data: Data) -> Recipe:
        count = len(data.train)
        return Recipe(
            epochs=max(4, min(60, round(_SEEN / count))),
            batch_size=max(8, min(64, count // 8)),
            lr=2e-3,
            weight_decay=0.01,
            clip=1.0,
            ema=0.999,
            augment=True,
        )

    def search_fidelity(self, data: Data) -> Fidelity:
        return self._images.search_fidelity(data)

    def prepare(self, inputs: Any, facts: Mapping[str, Any]) -> tuple[Tensor, ...]:
        """What a model takes in the first step of the sampler."""
        return (*self._method(facts).start(inputs["noise"]), *_labels(inputs))

    def prepare_batch(
        self, batch: Batch, facts: Mapping[str, Any], noise: torch.Generator | None = None
    ) -> Batch:
        images = batch.targets
        if noise is None:  # a batch always gets the same noise, and others get other noise
            noise = torch.Generator(images.device).manual_seed(int(images.sum()))
        method = self._method(facts)
        return Batch(*method.training(scaled(images), _labels(batch.inputs), noise))

    def loss(self, model: nn.Module, batch: Batch, smoothing: float = 0.0) -> Tensor:
        return self.criterion(call(model, batch.inputs), batch.targets)

    def criterion(self, outputs: Any, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        return self._kind.criterion(outputs, targets)

    def meter(self, facts: Mapping[str, Any]) -> Meter:
        return GenerationMeter(self._method(facts).judged)

    def deployable(self, model: nn.Module, facts: Mapping[str, Any]) -> nn.Module:
        return self._method(facts).deployable(model)

    def signature(self, data: Data) -> Signature:
        shape = ", ".join(map(str, _shape(data.facts)))
        label = "; label: int64 (n,), the number of a class" if self.options.conditional else ""
        return Signature(
            two(data.validation),
            "noise",
            ("images",),
            f"noise: float32 (n, {shape}), standard normal{label}; "
            f"images: float32 (n, {shape}), from 0 (black) to 1 (white)",
        )

    def noise_for(self, order: Order, facts: Mapping[str, Any]) -> dict[str, Tensor]:
        """Raw inputs for samples.

        Raises:
            InputError: a class that the model does not know.
        """
        generator = torch.Generator().manual_seed(order.seed)
        noise = torch.randn(order.count, *_shape(facts), generator=generator)
        names = facts["class_names"] if self.options.conditional else []
        if order.label is not None and order.label not in names:
            raise unknown("label of samples", order.label, names)
        if not names:
            return {"noise": noise}
        label = torch.arange(order.count) % len(names)
        if order.label is not None:
            label.fill_(names.index(order.label))
        return {"noise": noise, "label": label}

    def load_input(self, path: Path, facts: Mapping[str, Any]) -> dict[str, Tensor]:
        """A text file such as ``label=Coat,count=16,seed=0``, see :class:`Order`."""
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            expected = "a text file such as: label=NAME,count=16,seed=0"
            raise DataError(str(path), expected, str(error)) from None
        return self.noise_for(parse(Order, text, "samples"), facts)

    def describe(self, outputs: Tensor, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The grey levels of each image: a list for each channel, of lists for each row."""
        return [{"image": levels.tolist()} for levels in as_grey_levels(outputs)]

    def picture(
        self, inputs: Any, targets: Any, outputs: Tensor, facts: Mapping[str, Any]
    ) -> Image.Image:
        from .generation_picture import sheet

        return sheet(outputs, inputs.get("label"), facts["class_names"], most=10)


class GeneratedSplit(TensorSplit):
    """Images with noise; their classes are the labels."""

    @property
    def labels(self) -> Tensor | None:
        label: Tensor | None = self.inputs.get("label")
        return None if label is None else label.cpu()

    def update(self, digest: hashlib._Hash) -> None:
        """Add all but the noise, which is the same for all data of this shape."""
        TensorSplit(_labels(self.inputs), self.targets).update(digest)


def _shape(facts: Mapping[str, Any]) -> tuple[int, int, int]:
    return facts["channels"], facts["height"], facts["width"]


def _labels(inputs: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    return (inputs["label"],) if "label" in inputs else ()
