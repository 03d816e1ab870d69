"""Image classification: one class per image."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from .._support.errors import DataError
from ..data import arrays, folder, levels, pixels
from ..data.mapped import Labelled, MappedSplit
from ..data.marks import rarest
from ..data.names import shown
from ..data.partition import drawn_parts, split
from ..data.raw import ClassesBy, Images
from ..data.source import image_options, kind_of, locate, read_images
from ..data.splits import Batch, TensorSplit
from ..history.trial import Fidelity
from . import classify
from .balance import Balanced
from .base import Data, ReadOptions, Recipe, Signature
from .contracts import Mixing, Pictures, References, Resolution, resized
from .cutmix import cutmix
from .normalising import (
    Normalise,
    as_bytes,
    black_and_span,
    bounds_of,
    is_raw,
    normal,
    normalisation,
)
from .references import IMAGES, NetworkReference

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image


#: Smaller images than this are not trained on.
_LEAST_SIDE = 12


class ClassifiedImages(classify.Classification, Pictures, References):
    """Images with classes, which are predicted or learned from in other ways.

    Raw inputs are (n, channels, height, width), bytes, or floats if bytes would lose grey levels;
    outputs are logits, (n, classes).
    """

    default_space = "convnet"
    reads = "a folder of class folders of images, a folder of IDX files, or an .npz file of images"
    #: What determines the class of an image in a folder.
    classes_by: ClassVar[ClassesBy] = "folders"
    #: Whether images may stay on disk: batches are all that the task reads.
    on_disk: bool = False

    def suits(self, source: str, options: ReadOptions | None = None) -> int:
        return kind_of(source) == "images"

    def read(self, source: str, options: ReadOptions) -> Data:
        raw = read_images(
            source,
            options.image_size,
            options.unreadable,
            options.target,
            self.classes_by,
            options.channels,
            self.on_disk,
        )
        strata = rarest(raw.labels) if raw.labels.ndim > 1 else raw.labels
        indices = split(strata, raw.parts, options.validation, options.test, options.seed, raw.name)
        train, validation, test = (part_of(raw, index) for index in indices)
        classify.check_classes(train, raw.class_names, raw.name)
        facts = facts_of(raw, indices[0])
        return Data(
            raw.name,
            str(locate(source)),
            self.name,
            train,
            validation,
            test,
            facts,
            _summary(facts, (train, validation, test), raw),
            drawn_parts(raw.parts),
        )

    def uses(self, source: str) -> frozenset[str] | None:
        return image_options(source)

    def arguments(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        offered = ("channels", "classes", "height", "width", "mean", "std")
        return {name: facts[name] for name in offered}

    def example(self, facts: Mapping[str, Any], batch: int = 1) -> Tensor:
        return torch.zeros(batch, facts["channels"], facts["height"], facts["width"])

    def recipe(self, data: Data) -> Recipe:
        count = len(data.train)
        return Recipe(
            epochs=max(8, min(40, round(1320 / count**0.5))),
            batch_size=max(8, min(64, count // 8)),
            lr=6e-3,
            weight_decay=0.05,
            label_smoothing=0.05,
            # A shift by one pixel moves an 8 x 8 digit by an eighth, and cost half a point here.
            augment=min(data.facts["height"], data.facts["width"]) >= 16,
        )

    def search_fidelity(self, data: Data) -> Fidelity:
        count = len(data.train)
        # A trial trains on about 24,000 images of 28 x 28: 10 s on one core for the default space.
        pixels = data.facts["height"] * data.facts["width"]
        seen = 24_000 * min(1.0, 784 / pixels)
        if count * 8 <= seen:
            return Fidelity(epochs=8)
        epochs = max(2, min(8, int(seen // count)))
        return Fidelity(epochs=epochs, share=min(1.0, max(seen, 2000) / (epochs * count)))

    def prepare(self, inputs: Tensor, facts: Mapping[str, Any]) -> Tensor:
        shift, scale = normalisation(facts)
        return normal(inputs, shift.to(inputs.device), scale.to(inputs.device), bounds_of(facts))

    def augment(
        self, inputs: Tensor, generator: torch.Generator, facts: Mapping[str, Any] | None = None
    ) -> Tensor:
        """Shifted by up to a sixteenth (border pixels repeated); mirrored if ``facts`` allow it."""
        count, _, height, width = inputs.shape
        device = inputs.device
        rows = _shifted(count, height, generator, device)
        columns = _shifted(count, width, generator, device)
        if facts is not None and facts.get("mirror"):
            flip = torch.rand(count, 1, generator=generator, device=device) < 0.5
            columns = torch.where(flip, columns.flip(1), columns)
        picked = torch.arange(count, device=device)[:, None, None]
        moved = inputs.permute(0, 2, 3, 1)[picked, rows[:, :, None], columns[:, None, :]]
        return in_usual_layout(moved.permute(0, 3, 1, 2))

    def references(self) -> tuple[NetworkReference, ...]:
        return IMAGES

    def deployable(self, model: nn.Module, facts: Mapping[str, Any]) -> nn.Module:
        temperature = facts.get("temperature", 1.0)
        return classify.Probabilities(self.normalise(facts), model, temperature)

    def normalise(self, facts: Mapping[str, Any]) -> Normalise:
        """:meth:`prepare` as a module, for deployed models."""
        return Normalise(facts)

    def signature(self, data: Data) -> Signature:
        facts = data.facts
        size = f"{facts['channels']}, {facts['height']}, {facts['width']}"
        about = f"images: {_values(facts, size)}; {classify.probabilities(facts)}"
        return Signature(classify.two(data.validation), "images", "probabilities", about)

    def load_input(self, path: Path, facts: Mapping[str, Any]) -> Tensor:
        if not path.exists():
            raise DataError(str(path), "an image, a folder of images, .npy or .npz", "nothing")
        if path.suffix.lower() in (".npy", ".npz"):
            return torch.from_numpy(_from_arrays(path, facts))
        files = _images_in(path) if path.is_dir() else [path]
        if not files:
            raise DataError(str(path), "images in the folder", "none")
        return torch.from_numpy(np.stack([_from_image(file, facts) for file in files]))

    def names_in(self, path: Path) -> Sequence[str] | None:
        return [shown(file.name) for file in _images_in(path)] if path.is_dir() else None

    def picture(
        self, inputs: Tensor, targets: Tensor, outputs: Tensor, facts: Mapping[str, Any]
    ) -> Image.Image:
        from .picture import confusion, mistakes, stacked

        names = facts["class_names"]
        worst = mistakes(as_bytes(inputs, facts), targets, outputs, names)
        return stacked(confusion(targets, outputs.argmax(1), names), worst)


class LabelledImages(ClassifiedImages, Resolution, Mixing):
    """Images with labels that a model predicts; they can be made smaller, and mixed."""

    pictured = 4096
    backbone_space = "classifier"
    on_disk = True

    def shrunk(self, data: Data, factor: float) -> Data | None:
        return resized(data, factor, _LEAST_SIDE)

    def mixed(self, batch: Batch, generator: torch.Generator, facts: Mapping[str, Any]) -> Batch:
        shares = batch.targets
        if shares.dim() == 1:
            shares = nn.functional.one_hot(shares, facts["classes"]).float()
        return Batch(*cutmix(batch.inputs, shares, generator))


class ImageClassification(Balanced, LabelledImages):
    """The class of an image.

    Args:
        options: as text, see :class:`~archsmith.task.balance.BalanceOptions`.

    Raises:
        InputError: options that cannot be read.
    """

    name = "image-classification"
    calibrated = True


def _images_in(place: Path) -> list[Path]:
    return sorted(p for p in place.iterdir() if folder.is_picture(p))


def _shifted(count: int, size: int, generator: torch.Generator, device: torch.device) -> Tensor:
    """Positions (count, size) to read from, for shifts of up to a sixteenth with repeated ends."""
    # Recipes are short: shifts of an eighth, usual over hundreds of epochs, cost 4 points after
    # two epochs.
    most = size // 16
    shift = torch.randint(-most, most + 1, (count, 1), generator=generator, device=device)
    return (torch.arange(size, device=device) + shift).clamp_(0, size - 1)


def part_of(raw: Images, index: NDArray[np.int64]) -> Labelled:
    """The examples of these indices."""
    labels = torch.from_numpy(raw.labels[index])
    if isinstance(raw.images, np.memmap):
        return MappedSplit(raw.images, index, labels)
    return TensorSplit(in_usual_layout(torch.from_numpy(raw.images[index])), labels)


def in_usual_layout(images: Tensor) -> Tensor:
    """The images with the strides that torch gives to new ones.

    With the channels last in memory, a convolution's output is laid out like that as well, and a
    model that calls ``view`` on it fails. ``contiguous`` does not see this in grey images.
    """
    return images.clone(memory_format=torch.contiguous_format)


def facts_of(raw: Images, train: NDArray[np.int64]) -> dict[str, Any]:
    """Sizes, classes, and the mean and spread of each channel over the training examples."""
    _, channels, height, width = raw.images.shape
    dtype = str(raw.images.dtype)
    values = {"low": raw.low, "high": raw.high} | ({"dtype": dtype} if dtype != "uint8" else {})
    low, span = black_and_span(values)
    total, squares, pixels = np.zeros(channels), np.zeros(channels), 0
    for start in range(0, len(train), 1024):
        wide = raw.images[train[start : start + 1024]].astype(np.float64)
        chunk = (wide.clip(raw.low, raw.high) if raw.clipped else wide) - low
        chunk /= span
        total += chunk.sum(axis=(0, 2, 3))
        squares += (chunk**2).sum(axis=(0, 2, 3))
        pixels += chunk.size // channels
    mean = total / pixels
    std = np.sqrt(np.maximum(squares / pixels - mean**2, 0))
    return {
        "channels": channels,
        "height": height,
        "width": width,
        "classes": len(raw.class_names),
        "class_names": list(raw.class_names),
        "mean": mean.tolist(),
        "std": np.where(std < 1e-6, 1.0, std).tolist(),
        "mirror": may_mirror(raw.class_names),
        **values,
        # Left out where they have no effect, as in exports by versions that did not have them.
        **({"clipped": True} if raw.clipped else {}),
        **({"layout": raw.layout} if raw.layout else {}),
        **({"deep_white": raw.deep_white} if raw.deep_white else {}),
    }


#: Digits, single letters, and classes that are called letters or characters.
_SIGN = re.compile(r".?|\d+|(char(acter)?|letter|digit|glyph|kana|sign|symbol)s?[ _-]?\w{0,4}")


def may_mirror(class_names: tuple[str, ...]) -> bool:
    """Whether a mirrored image still belongs to its class, judging by the names of the classes.

    It does not if all classes are signs (digits, letters), which have a reading direction, or if
    the name of a class mentions left or right.
    """
    words = [name.strip().lower() for name in class_names]
    signs = all(_SIGN.fullmatch(word.rpartition("/")[2]) for word in words)
    sided = any("left" in word or "right" in word for word in words)
    return not (signs or sided)


def _summary(facts: Mapping[str, Any], parts: Sequence[Labelled], raw: Images) -> tuple[str, ...]:
    train, validation, test = map(len, parts)
    drawn = "given by the source" if (raw.parts != 0).any() else "stratified, by seed"
    return (
        sized(raw),
        classify.class_lines(parts[0], facts["class_names"]),
        f"{train:,} training, {validation:,} validation, {test:,} test (test {drawn})",
        *classify.absent_lines(parts, facts["class_names"]),
        *raw.notes,
    )


def sized(raw: Images) -> str:
    """A readable line: how many images there are, their kind and their size."""
    count, channels, height, width = raw.images.shape
    colour = {1: "grey", 3: "RGB"}.get(channels, f"{channels}-channel")
    return f"{count:,} {colour} images of {height} x {width}"


def _values(facts: Mapping[str, Any], size: str) -> str:
    """The values of raw inputs in words, and how values of the source become bytes."""
    low, high = facts["low"], facts["high"]
    if is_raw(facts):
        beyond = ", clipped to that" if facts.get("clipped") else ""
        return f"{facts['dtype']} (n, {size}), {low:g} to {high:g}, as in the source{beyond}"
    bytes_ = f"uint8 (n, {size}), 0 to 255"
    if (low, high) == (0, 255):
        return bytes_
    moved = f"(value - {low:g})" if low > 0 else f"(value + {-low:g})" if low < 0 else "value"
    mapped = f"round({moved} * 255 / {high - low:g})"
    return f"{bytes_} (values of the source, {low:g} to {high:g}, as {mapped})"


def _from_image(path: Path, facts: Mapping[str, Any]) -> NDArray[Any]:
    low, high = facts["low"], facts["high"]
    if facts["channels"] not in (1, 3) or facts.get("clipped") or (is_raw(facts) and low != 0):
        expected = f"an array of {facts['channels']} channels, values from {low:g} to {high:g}"
        raise DataError(str(path), expected, "an image file")
    shape = (facts["height"], facts["width"], facts["channels"])
    try:
        opened = levels.open_image(path)
        white = high if is_raw(facts) or (high == 1 and opened.kind == "float") else 255.0
        image = opened.fitted(*shape, white, facts.get("deep_white", levels.DEEP))
    except Exception as error:
        # Pillow raises exceptions of nearly any type for damaged files.
        raise DataError(str(path), "an image that can be read", str(error)) from error
    if is_raw(facts):
        return image.astype(facts["dtype"])
    return image if image.dtype == np.uint8 else pixels.to_bytes(image, 0, white)


def _from_arrays(path: Path, facts: Mapping[str, Any]) -> NDArray[Any]:
    """Images of an ``.npy`` or ``.npz`` file, one or many, channels first, last or absent."""
    array = arrays.load_one(path)
    shape = (facts["channels"], facts["height"], facts["width"])
    last = (*shape[1:], shape[0])
    # If the sizes are ambiguous, the channels are where they were in the training data.
    orders = (last, shape) if facts.get("layout") == "last" else (shape, last)
    for candidate in orders + ((shape[1:],) if shape[0] == 1 else ()):
        if array.shape[-len(candidate) :] != candidate or array.ndim > len(candidate) + 1:
            continue
        images = array.reshape(-1, *candidate)
        images = images.transpose(0, 3, 1, 2) if candidate is last else images.reshape(-1, *shape)
        if len(images) == 0:
            raise DataError(str(path), "at least one image", "none")
        low, high = facts["low"], facts["high"]
        pixels.check_range(str(path), images, low, high, facts.get("clipped", False))
        if is_raw(facts):
            return np.ascontiguousarray(images, dtype=facts["dtype"])
        return pixels.to_bytes(images, low, high)
    raise DataError(str(path), f"images of shape {shape}, one or many", str(array.shape))
