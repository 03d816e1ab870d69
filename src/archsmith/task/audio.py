"""Classification of sounds: one class for a recording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from .._support.errors import DataError, InputError
from .._support.options import format_options, parse
from ..data import arrays
from ..data.audio import as_samples, cut, has_sounds, read_clips, read_wav, sounds_in
from ..data.names import shown
from ..data.partition import drawn_parts, split
from ..data.source import locate
from ..data.splits import TensorSplit
from ..history.trial import Fidelity
from . import classify
from .base import Data, ReadOptions, Recipe, Signature
from .logmel import LogMel, masked
from .series import ClassifiedSeries, series_arguments

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Share of the training recordings that are not cut by default.
_WHOLE = 0.95
_WINDOW, _HOP = 0.032, 0.010  # seconds
#: Most frames of a picture by default: longer recordings have a larger hop.
_FRAMES = 128
#: Values of pictures that a trial of a search sees.
_SEEN = 18_000_000


@dataclass(frozen=True)
class AudioOptions:
    """Options after the name of the task: ``audio-classification:seconds=2,view=series``.

    Attributes:
        seconds: length that recordings are cut or padded to, around their middle; 0 takes one that
            leaves 95 % of the training recordings whole.
        rate: Hz that they are resampled to; 0 takes the most frequent one.
        mels: bands of the log-mel features.
        view: what models see: a ``picture`` (n, 1, mels, frames), or a ``series``
            (n, mels, frames).

    Raises:
        InputError: a number outside its range, or another view.
    """

    seconds: float = 0.0
    rate: int = 0
    mels: int = 40
    view: str = "picture"

    def __post_init__(self) -> None:
        rules = {
            "seconds": (0 <= self.seconds <= 60, "from 0 to 60"),
            "rate": (self.rate == 0 or 1000 <= self.rate <= 192_000, "from 1000 to 192000 Hz"),
            "mels": (4 <= self.mels <= 128, "from 4 to 128"),
            "view": (self.view in ("picture", "series"), "picture or series"),
        }
        for name, (holds, expected) in rules.items():
            if not holds:
                raise InputError(f"audio, {name}", expected, f"{getattr(self, name)!r}")


class AudioClassification(ClassifiedSeries):
    """The class of a recording.

    Raw inputs are samples, int16 (n, samples), of one channel. Models see log-mel features
    (:class:`~archsmith.task.logmel.LogMel`), which are part of deployed models. Outputs are
    logits, (n, classes).

    Args:
        options: as text, see :class:`AudioOptions`.

    Raises:
        InputError: options that cannot be read.
    """

    name = "audio-classification"
    default_space = "convnet"
    calibrated = True
    reads = "a folder of class folders of WAV files, or an .npz file of recordings"

    def __init__(self, options: str = "") -> None:
        self.options = parse(AudioOptions, options, self.name)
        if chosen := format_options(self.options):
            self.name = f"{self.name}:{chosen}"  # type: ignore[misc]
        self.picture_seen = self.options.view == "picture"
        if not self.picture_seen:
            self.default_space = "series"  # type: ignore[misc]

    def suits(self, source: str, options: ReadOptions | None = None) -> int:
        place = locate(source)
        return 2 if isinstance(place, Path) and has_sounds(place) else 0

    def read(self, source: str, options: ReadOptions) -> Data:
        place = locate(source)
        if isinstance(place, str) or not (place.is_dir() or place.suffix.lower() == ".npz"):
            raise DataError(source, self.reads, "another source")
        raw = read_clips(place, self.options.rate, options.unreadable)
        indices = split(
            raw.labels, raw.parts, options.validation, options.test, options.seed, raw.name
        )
        lengths = np.array([len(one) for one in raw.samples])
        facts = self._sizes(raw.rate, lengths[indices[0]])
        inputs = torch.from_numpy(np.stack([fitted(one, facts["samples"]) for one in raw.samples]))
        facts |= {"classes": len(raw.class_names), "class_names": list(raw.class_names)}
        facts |= _spread(inputs[indices[0]], facts, self.options.mels)
        labels = torch.from_numpy(raw.labels)
        train, validation, test = (TensorSplit(inputs[i], labels[i]) for i in indices)
        classify.check_classes(train, raw.class_names, raw.name)
        seconds = lengths / raw.rate
        summary = (
            f"{len(lengths):,} recordings of {seconds.min():.2g} to {seconds.max():.2g} s at "
            f"{raw.rate:,} Hz",
            f"cut or padded to {facts['samples'] / raw.rate:.2g} s: "
            f"{int((lengths > facts['samples']).sum()):,} are cut",
            classify.class_lines(train, raw.class_names),
            f"{len(train):,} training, {len(validation):,} validation, {len(test):,} test",
            f"log-mel features: {self.options.mels} bands, {facts['frames']} frames",
            *raw.notes,
        )
        drawn = drawn_parts(raw.parts)
        return Data(raw.name, str(place), self.name, train, validation, test, facts, summary, drawn)

    def _sizes(self, rate: int, lengths: NDArray[np.int64]) -> dict[str, Any]:
        """Samples of a clip, of a window and of a hop, and the number of frames."""
        window = 2 ** round(np.log2(_WINDOW * rate))
        whole = self.options.seconds * rate or np.quantile(lengths, _WHOLE)
        samples = max(4 * window, int(np.ceil(whole)))
        hop = max(round(_HOP * rate), -(-(samples - window) // (_FRAMES - 1)))
        frames = (samples - window) // hop + 1
        return {"rate": rate, "samples": samples, "window": window, "hop": hop, "frames": frames}

    def uses(self, source: str) -> frozenset[str] | None:
        place = locate(source)
        return frozenset({"unreadable"} if isinstance(place, Path) and place.is_dir() else ())

    def arguments(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        mels, frames, classes = len(facts["mean"]), facts["frames"], facts["classes"]
        if self.picture_seen:
            return {"channels": 1, "classes": classes, "height": mels, "width": frames}
        return series_arguments({"channels": mels, "length": frames}, classes)

    def example(self, facts: Mapping[str, Any], batch: int = 1) -> Tensor:
        size = (1,) if self.picture_seen else ()
        return torch.zeros(batch, *size, len(facts["mean"]), facts["frames"])

    def recipe(self, data: Data) -> Recipe:
        recipe = super().recipe(data)
        # That of image classification, whose spaces see the pictures.
        return replace(recipe, lr=6e-3, weight_decay=0.05) if self.picture_seen else recipe

    def search_fidelity(self, data: Data) -> Fidelity:
        count, values = len(data.train), self.example(data.facts).numel()
        epochs = max(2, min(8, _SEEN // (values * count)))
        return Fidelity(epochs=epochs, share=min(1.0, _SEEN / (epochs * count * values)))

    def prepare(self, inputs: Tensor, facts: Mapping[str, Any]) -> Tensor:
        features: Tensor = LogMel(facts, self.picture_seen).to(inputs.device)(inputs)
        return features

    def augment(
        self, inputs: Tensor, generator: torch.Generator, facts: Mapping[str, Any] | None = None
    ) -> Tensor:
        """Shifted and masked, see :func:`~archsmith.task.logmel.masked`."""
        return masked(inputs, generator)

    def deployable(self, model: nn.Module, facts: Mapping[str, Any]) -> nn.Module:
        temperature = facts.get("temperature", 1.0)
        return classify.Probabilities(LogMel(facts, self.picture_seen), model, temperature)

    def signature(self, data: Data) -> Signature:
        facts = data.facts
        about = (
            f"clips: int16 (n, {facts['samples']}), samples of one channel at {facts['rate']} Hz, "
            f"shorter recordings with zeros on both sides; {classify.probabilities(facts)}"
        )
        return Signature(classify.two(data.validation), "clips", "probabilities", about)

    def load_input(self, path: Path, facts: Mapping[str, Any]) -> Tensor:
        """A WAV file, a folder of WAV files, or int16 samples of an ``.npy`` or ``.npz`` file."""
        if path.suffix.lower() in (".npy", ".npz"):
            clips: Sequence[NDArray[np.int16]] = _from_arrays(path)
        else:
            files = sounds_in(path) if path.is_dir() else [path]
            if not files:
                raise DataError(str(path), "WAV files in the folder", "none")
            clips = [as_samples(read_wav(file), facts["rate"]) for file in files]
        return torch.from_numpy(np.stack([fitted(one, facts["samples"]) for one in clips]))

    def names_in(self, path: Path) -> Sequence[str] | None:
        if not path.is_dir():
            return None
        return [shown(file.relative_to(path).as_posix()) for file in sounds_in(path)]


def fitted(samples: NDArray[np.int16], count: int) -> NDArray[np.int16]:
    """The middle of a recording, or the recording with zeros on both sides."""
    spare = count - len(samples)
    if spare <= 0:
        return samples[-spare // 2 :][:count]
    return np.pad(samples, (spare // 2, spare - spare // 2))


def _from_arrays(path: Path) -> Sequence[NDArray[np.int16]]:
    if path.suffix.lower() == ".npz":
        with arrays.open_archive(path) as archive:
            if {"audio", "offsets"} <= set(archive.files):
                read = [arrays.load(path, archive, key) for key in ("audio", "offsets")]
                return cut(path, read[0], read[1])
    clips = arrays.load_one(path)
    if clips.ndim not in (1, 2) or clips.dtype != np.int16 or not clips.size:
        raise DataError(str(path), "int16 samples (n, samples)", f"{clips.dtype} {clips.shape}")
    return list(clips.reshape(-1, clips.shape[-1]))


def _spread(clips: Tensor, facts: Mapping[str, Any], mels: int) -> dict[str, Any]:
    """The mean and the spread of each band over clips."""
    plain = LogMel({**facts, "mean": [0.0] * mels, "std": [1.0] * mels}, picture=False)
    with torch.no_grad():
        parts = [plain(part).double() for part in torch.split(clips, 256)]
    total = sum(len(part) for part in parts) * parts[0].shape[-1]
    mean = torch.stack([part.sum((0, 2)) for part in parts]).sum(0) / total
    squares = torch.stack([(part - mean[:, None]).square().sum((0, 2)) for part in parts]).sum(0)
    std = (squares / total).sqrt()
    return {"mean": mean.tolist(), "std": torch.where(std > 1e-6, std, 1.0).tolist()}
