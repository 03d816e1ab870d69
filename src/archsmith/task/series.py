"""Classification of time series: one class for a series of one or several channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from .._support.errors import DataError
from .._support.options import format_options, parse
from ..data import arrays
from ..data.longform import SERIES, TIMES, LongTable, open_long
from ..data.partition import drawn_parts, split
from ..data.series import LabelledSeries, is_ts, parse_ts, read_series, rows_in_order
from ..data.source import locate
from ..data.splits import TensorSplit
from ..data.tables import SUFFIXES
from ..history.trial import Fidelity
from . import classify
from .base import Data, ReadOptions, Recipe, Signature
from .contracts import Pictures, References
from .series_references import NearestSeries, RandomConvolutions

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

#: Steps of series that a trial of a search sees: less than a minute of a core for the default.
_SEEN = 500_000


class ClassifiedSeries(classify.Classification, Pictures, References):
    """What series of measurements and of sounds share: the recipe, references and answers."""

    pictured = 4096

    def recipe(self, data: Data) -> Recipe:
        count = len(data.train)
        batch = max(4, min(64, count // 8))
        # About 1,000 steps for small sets; large ones are seen at least 15 times.
        epochs = max(15, min(120, round(1000 * batch / count)))
        return Recipe(epochs, batch, lr=2e-3, weight_decay=0.02, label_smoothing=0.05, augment=True)

    def search_fidelity(self, data: Data) -> Fidelity:
        seen = _SEEN // data.facts["length"]
        epochs = max(2, min(self.recipe(data).epochs // 3, seen // len(data.train)))
        return Fidelity(epochs=epochs, share=min(1.0, seen / (epochs * len(data.train))))

    def references(self) -> tuple[RandomConvolutions | NearestSeries, ...]:
        return RandomConvolutions("random-convolutions"), NearestSeries("nearest-series")

    def picture(
        self, inputs: Tensor, targets: Tensor, outputs: Tensor, facts: Mapping[str, Any]
    ) -> Image.Image:
        from .picture import confusion

        return confusion(targets, outputs.argmax(1), facts["class_names"])


@dataclass(frozen=True)
class SeriesOptions:
    """Options after the name of the task: ``series-classification:series=sensor,time=t``.

    Attributes:
        series, time: columns of the name of the series and of the times, in a table; usual names
            (``series``, ``id``, ``time``, ``date``, ...) need no option.
        fill: whether missing values are filled by lines between their neighbours.
    """

    series: str = ""
    time: str = ""
    fill: bool = False


class SeriesClassification(ClassifiedSeries):
    """The class of a series.

    Raw inputs are float32 (n, channels, length), standardised by the mean and spread of each
    channel over the training part. Shorter series end with that mean. Outputs are logits,
    (n, classes).

    Args:
        options: as text, see :class:`SeriesOptions`.

    Raises:
        InputError: options that cannot be read.
    """

    name = "series-classification"
    default_space = "series"
    calibrated = True
    reads = "a .ts file of series, or a folder with its training and test part"

    def __init__(self, options: str = "") -> None:
        self.options = parse(SeriesOptions, options, self.name)
        if chosen := format_options(self.options):
            self.name = f"{self.name}:{chosen}"  # type: ignore[misc]

    def suits(self, source: str, options: ReadOptions | None = None) -> int:
        place = locate(source)
        return 2 if isinstance(place, Path) and is_ts(place) else 0

    def read(self, source: str, options: ReadOptions) -> Data:
        place = locate(source)
        if isinstance(place, str):
            raise DataError(source, "a file of series", "a registered data set")
        names = self.options.series, self.options.time, options.target or ""
        raw = read_series(place, self.options.fill, names, options.decimal)
        if len({len(one) for one in raw.values}) > 1:
            raise DataError(raw.name, "series of equally many channels", "different numbers")
        indices = split(
            raw.labels, raw.parts, options.validation, options.test, options.seed, raw.name
        )
        seen = np.concatenate([raw.values[i] for i in indices[0]], axis=1)
        mean, std = seen.mean(1), seen.std(1)
        if not (std > 0).any():
            raise DataError(raw.name, "values that differ", "the same in all training series")
        lengths = [one.shape[1] for one in raw.values]
        facts: dict[str, Any] = {
            "channels": len(mean),
            "length": max(lengths),
            "classes": len(raw.class_names),
            "class_names": list(raw.class_names),
            "mean": mean.tolist(),
            "std": np.where(std > 0, std, 1.0).tolist(),
            "columns": list(raw.channels),
        }
        inputs, labels = stacked(raw.values, facts), torch.from_numpy(raw.labels)
        train, validation, test = (TensorSplit(inputs[i], labels[i]) for i in indices)
        classify.check_classes(train, raw.class_names, raw.name)
        summary = _summary(raw, lengths, std, (train, validation, test))
        drawn = drawn_parts(raw.parts)
        return Data(raw.name, str(place), self.name, train, validation, test, facts, summary, drawn)

    def uses(self, source: str) -> frozenset[str] | None:
        place = locate(source)
        table = isinstance(place, Path) and not is_ts(place) and place.suffix.lower() != ".npz"
        return frozenset({"target", "decimal"} if table else ())

    def arguments(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        return series_arguments(facts, facts["classes"])

    def example(self, facts: Mapping[str, Any], batch: int = 1) -> Tensor:
        return torch.zeros(batch, facts["channels"], facts["length"])

    def prepare(self, inputs: Tensor, facts: Mapping[str, Any]) -> Tensor:
        prepared: Tensor = Standardise(facts).to(inputs.device)(inputs)
        return prepared

    def augment(
        self, inputs: Tensor, generator: torch.Generator, facts: Mapping[str, Any] | None = None
    ) -> Tensor:
        """Scaled by about a tenth, shifted by up to a sixteenth (ends repeated), and with noise."""
        count, _, length = inputs.shape
        device = inputs.device
        scale = 1 + 0.1 * torch.randn(count, 1, 1, generator=generator, device=device)
        noise = torch.randn(inputs.shape, generator=generator, device=device)
        most = length // 16
        shift = torch.randint(-most, most + 1, (count, 1), generator=generator, device=device)
        steps = (torch.arange(length, device=device) + shift).clamp_(0, length - 1)
        moved = inputs.gather(2, steps[:, None].expand(-1, inputs.shape[1], -1))
        return moved * scale + 0.03 * noise

    def deployable(self, model: nn.Module, facts: Mapping[str, Any]) -> nn.Module:
        temperature = facts.get("temperature", 1.0)
        return classify.Probabilities(Standardise(facts), model, temperature)

    def signature(self, data: Data) -> Signature:
        facts = data.facts
        padding = ", ".join(f"{value:.4g}" for value in facts["mean"][:8])
        about = (
            f"series: float32 (n, {facts['channels']}, {facts['length']}), shorter ones followed "
            f"by the means of the channels ({padding}{', ...' * (facts['channels'] > 8)}); "
            f"{classify.probabilities(facts)}"
        )
        return Signature(classify.two(data.validation), "series", "probabilities", about)

    def load_input(self, path: Path, facts: Mapping[str, Any]) -> Tensor:
        """Series of a ``.ts``, ``.npy`` or ``.npz`` file, or of a table without labels."""
        kind = path.suffix.lower()
        if kind == ".ts":
            values: Sequence[NDArray[Any]] = parse_ts(path).values
        elif kind in (".npy", ".npz"):
            array = arrays.load_one(path)
            if array.ndim not in (1, 2, 3) or array.dtype.kind not in "biuf" or not array.size:
                raise DataError(str(path), "numbers (n, channels, length)", f"{array.shape}")
            one = array.shape if array.ndim == 3 else (-1, facts["channels"], array.shape[-1])
            values = list(array.reshape(one).astype(np.float64))
        else:
            table = open_long(path)
            names = facts["columns"] or table.features({*SERIES, *TIMES})[0]
            matrix = np.stack([table.numbers(table.column(n, ()) or n) for n in names])
            values = [matrix[:, rows] for rows in self._rows(table).values()]
        for number, one_series in enumerate(values):
            where, channels = f"{path} series {number + 1}", facts["channels"]
            if len(one_series) != channels or one_series.shape[1] > facts["length"]:
                expected = f"{channels} channels of at most {facts['length']} steps, as in training"
                raise DataError(where, expected, " x ".join(map(str, one_series.shape)))
            if not np.isfinite(one_series).all():
                raise DataError(where, "finite values", "missing ones")
        return stacked(values, facts)

    def names_in(self, path: Path) -> Sequence[str] | None:
        table = path.suffix.lower() in SUFFIXES
        return list(self._rows(open_long(path))) if table else None

    def _rows(self, table: LongTable) -> dict[str, NDArray[np.int64]]:
        own = self.options
        owner, when = table.column(own.series, SERIES), table.column(own.time, TIMES)
        return rows_in_order(table, owner, when)


def series_arguments(facts: Mapping[str, Any], outputs: int) -> dict[str, Any]:
    """What builders of networks for series may ask for."""
    sizes = {name: facts[name] for name in ("channels", "length")}
    return {**sizes, "classes": outputs, "outputs": outputs}


def stacked(values: Sequence[NDArray[Any]], facts: Mapping[str, Any]) -> Tensor:
    """Series (channels, length) as one tensor, the shorter ones followed by the channel's mean."""
    mean = np.array(facts["mean"], dtype=np.float32)
    whole = np.empty((len(values), len(mean), facts["length"]), dtype=np.float32)
    whole[:] = mean[:, None]
    for row, one in zip(whole, values, strict=True):
        row[:, : one.shape[1]] = one
    return torch.from_numpy(whole)


class Standardise(nn.Module):
    """Channels less their mean, by their spread, as ``facts`` have both."""

    mean: Tensor
    std: Tensor

    def __init__(self, facts: Mapping[str, Any]) -> None:
        super().__init__()
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(facts[name], dtype=torch.float32)[:, None])

    def forward(self, inputs: Tensor) -> Tensor:
        return (inputs.float() - self.mean) / self.std


def _summary(
    raw: LabelledSeries,
    lengths: Sequence[int],
    std: NDArray[np.float64],
    parts: tuple[TensorSplit, TensorSplit, TensorSplit],
) -> tuple[str, ...]:
    low, high = min(lengths), max(lengths)
    steps = f"{high:,} steps" if low == high else f"{low:,} to {high:,} steps"
    padded = f"series of less than {high:,} steps are filled with the mean of their channel"
    constant = [str(i + 1) for i in np.flatnonzero(std == 0)]
    train, validation, test = map(len, parts)
    return (
        f"{len(lengths):,} series of {len(std)} channel{'s' * (len(std) > 1)} and {steps}",
        classify.class_lines(parts[0], raw.class_names),
        f"{train:,} training, {validation:,} validation, {test:,} test",
        *([padded] if low < high else []),
        *([f"channels that are constant in training: {', '.join(constant)}"] if constant else []),
        *raw.notes,
    )
