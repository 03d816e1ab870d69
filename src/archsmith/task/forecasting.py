"""Forecasting: the next steps of a series with an interval for each, from the steps before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from .._support.errors import DataError, InputError
from .._support.options import format_options, parse
from ..data import arrays
from ..data.source import locate
from ..data.tables import SUFFIXES
from ..data.timelines import WIDE, Timelines, read_timelines
from ..history.objective import Metric
from ..history.trial import Fidelity
from . import classify
from .base import Data, Meter, ReadOptions, Recipe, Signature
from .contracts import Deployment, ExampleMetrics, Pictures, References
from .forecast_references import LinearForecast, SeasonalNaive
from .forecast_windows import Windows, windows_of
from .quantiles import QUANTILES, Forecast, ForecastMeter, Scaled, errors, pinball
from .series import series_arguments
from .tensor import TensorTask

if TYPE_CHECKING:
    from PIL import Image

#: Values of contexts that a trial of a search sees.
_SEEN = 1_500_000


@dataclass(frozen=True)
class ForecastingOptions:
    """Options after the name of the task: ``forecasting:horizon=24,context=96``.

    Attributes:
        horizon: steps that are forecast; 0 takes a season, or 8 without one.
        context: steps that a forecast is made from; 0 takes two seasons, and at least twice the
            horizon.
        season: steps of a season; 0 takes the usual one of the step (24 hours, 7 days, 12 months).
        series, time, value: columns of the name of the series, of the times and of what is
            forecast; usual names (``id``, ``date``, ``value``, ...) need no option.
        fill: whether gaps and missing values are filled by lines between their neighbours.

    Raises:
        InputError: a number outside its range.
    """

    horizon: int = 0
    context: int = 0
    season: int = 0
    series: str = ""
    time: str = ""
    value: str = ""
    fill: bool = False

    def __post_init__(self) -> None:
        for name in ("horizon", "context", "season"):
            value = getattr(self, name)
            if not 0 <= value <= 10_000 or (name == "context" and value == 1):
                expected = "from 2 to 10000" if name == "context" else "from 1 to 10000"
                raise InputError(f"forecasting, {name}", expected, str(value))


class Forecasting(TensorTask, ExampleMetrics, Deployment, Pictures, References):
    """The next steps of a series, from its context and covariates before them.

    Raw inputs are float32 (n, channels, context), the first channel being what is forecast. That
    channel is standardised by the mean and spread of its own context (as by Kim et al. 2022,
    reversible instance normalisation), the others by those of the training part. Outputs are the
    10 %, 50 % and 90 % quantiles of each step, (n, 3 * horizon), in the same units.

    The loss is the quantile loss (Koenker and Bassett 1978), and the first metric the mean absolute
    scaled error (Hyndman and Koehler 2006): errors of a series are relative to the seasonal-naive
    forecast's within its training part, so that series of any size count alike.

    Args:
        options: as text, see :class:`ForecastingOptions`.

    Raises:
        InputError: options that cannot be read.
    """

    name = "forecasting"
    metrics = (
        Metric("mase", "", "minimize"),
        Metric("mae", "", "minimize"),
        Metric("rmse", "", "minimize"),
        Metric("coverage", "", "maximize"),
        Metric("loss", "", "minimize"),
    )
    default_space = "forecaster"
    pictured = 1000

    def __init__(self, options: str = "") -> None:
        self.options = parse(ForecastingOptions, options, self.name)
        if chosen := format_options(self.options):
            self.name = f"{self.name}:{chosen}"  # type: ignore[misc]

    def suits(self, source: str, options: ReadOptions | None = None) -> bool:
        return False  # a table does not tell that its rows follow each other in time

    def read(self, source: str, options: ReadOptions) -> Data:
        place = locate(source)
        if isinstance(place, str):
            raise DataError(source, "a table of series", "a registered data set")
        own = self.options
        found = read_timelines(place, own.series, own.time, own.value, own.fill, options.decimal)
        season = own.season or found.season
        horizon = own.horizon or (season if season > 1 else 8)
        context = own.context or max(2 * horizon, 2 * season)
        shares = options.validation, options.test
        windows = windows_of(found, context, horizon, season, shares, str(place))
        facts: dict[str, Any] = {
            "channels": len(found.columns),
            "columns": list(found.columns),
            "length": context,
            "horizon": horizon,
            "season": season,
            "step": found.step,
            **_spread(found, windows.cuts[0]),
        }
        summary = _summary(found, windows, facts)
        parts, drawn = (windows.train, windows.validation, windows.test), ("validation", "test")
        return Data(place.stem, str(place), self.name, *parts, facts, summary, drawn)

    def uses(self, source: str) -> frozenset[str] | None:
        return frozenset({"decimal"})

    def arguments(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        return series_arguments(facts, len(QUANTILES) * facts["horizon"])

    def example(self, facts: Mapping[str, Any], batch: int = 1) -> Tensor:
        return torch.zeros(batch, facts["channels"], facts["length"])

    def expect_output(self, output: Tensor, facts: Mapping[str, Any]) -> None:
        classify.expect_shape(output, (len(output), len(QUANTILES) * facts["horizon"]))

    def recipe(self, data: Data) -> Recipe:
        count = len(data.train)
        batch = max(4, min(64, count // 16))
        epochs = max(5, min(60, round(1500 * batch / count)))
        return Recipe(epochs, batch, lr=2e-3, weight_decay=0.01)

    def search_fidelity(self, data: Data) -> Fidelity:
        count, values = len(data.train), self.example(data.facts).numel()
        epochs = max(2, min(self.recipe(data).epochs // 3, _SEEN // (values * count)))
        return Fidelity(epochs=epochs, share=min(1.0, _SEEN / (epochs * count * values)))

    def prepare(self, inputs: Tensor, facts: Mapping[str, Any]) -> Tensor:
        scaled: Tensor = Scaled(facts).to(inputs.device)(inputs)
        return scaled

    def criterion(self, outputs: Tensor, targets: Any, smoothing: float = 0.0) -> Tensor:
        """The quantile loss, in units of the errors that MASE is relative to."""
        return pinball(outputs, targets).mean()

    def imitation(self, outputs: Tensor, teacher: Tensor, targets: Any) -> Tensor:
        return (outputs - teacher).abs().mean()

    def meter(self, facts: Mapping[str, Any]) -> Meter:
        return ForecastMeter()

    def parts(self, outputs: Tensor, targets: Any, facts: Mapping[str, Any]) -> dict[str, Tensor]:
        return {name: part for name, part in errors(outputs, targets).items() if name != "loss"}

    def references(self) -> tuple[SeasonalNaive | LinearForecast, ...]:
        return SeasonalNaive("seasonal-naive"), LinearForecast("linear")

    def deployable(self, model: nn.Module, facts: Mapping[str, Any]) -> nn.Module:
        return Forecast(Scaled(facts), model)

    def signature(self, data: Data) -> Signature:
        facts = data.facts
        about = (
            f"contexts: float32 (n, {facts['channels']}, {facts['length']}), the last "
            f"{facts['length']} steps of {', '.join(facts['columns'])}; quantiles: float32 "
            f"(n, 3, {facts['horizon']}), 10 %, 50 % and 90 % of the next {facts['horizon']} steps"
        )
        return Signature(classify.two(data.validation), "contexts", "quantiles", about)

    def load_input(self, path: Path, facts: Mapping[str, Any]) -> Tensor:
        """The end of each series of a table as in training, or contexts of an ``.npy`` or ``.npz``
        file."""
        channels, context = facts["channels"], facts["length"]
        if path.suffix.lower() in (".npy", ".npz"):
            array = arrays.load_one(path)
            if (
                array.ndim < 2
                or array.shape[-2:] != (channels, context)
                or array.dtype.kind not in "iuf"
            ):
                expected = f"numbers (n, {channels}, {context})"
                raise DataError(str(path), expected, f"{array.dtype} {array.shape}")
            values = array.reshape(-1, channels, context).astype(np.float32)
        else:
            names = facts["columns"]
            series = self._series(path, () if names == [WIDE] else names).series
            for one in series:
                if one.values.shape[1] < context:
                    got = f"{one.values.shape[1]}"
                    raise DataError(f"{path} series {one.name!r}", f"{context} steps or more", got)
            values = np.stack([one.values[:, -context:] for one in series]).astype(np.float32)
        if not np.isfinite(values).all():
            raise DataError(str(path), "finite values", "missing ones")
        return torch.from_numpy(values)

    def names_in(self, path: Path) -> Sequence[str] | None:
        if path.suffix.lower() not in SUFFIXES:
            return None
        names = [one.name for one in self._series(path, ()).series]
        return names if len(names) > 1 else None

    def _series(self, path: Path, columns: Sequence[str]) -> Timelines:
        own = self.options
        return read_timelines(path, own.series, own.time, own.value, own.fill, columns=columns)

    def describe(self, outputs: Tensor, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
        """For each series the medians of the next steps and their intervals of 80 %."""
        rows = outputs.detach().cpu().double().tolist()
        return [{"forecast": mid, "low": low, "high": high} for low, mid, high in rows]

    def picture(
        self, inputs: Tensor, targets: Any, outputs: Tensor, facts: Mapping[str, Any]
    ) -> Image.Image:
        from .forecast_picture import forecasts

        return forecasts(inputs[:, 0], targets, outputs, facts["season"])


def _spread(found: Timelines, end: int) -> dict[str, list[float]]:
    """The mean and the spread of each covariate before a position."""
    seen = np.concatenate([s.values[1:, : max(0, end - s.start)] for s in found.series], axis=1)
    mean, std = seen.mean(1), seen.std(1)
    return {"mean": mean.tolist(), "std": np.where(std > 0, std, 1.0).tolist()}


def _summary(found: Timelines, windows: Windows, facts: Mapping[str, Any]) -> tuple[str, ...]:
    lengths = [one.values.shape[1] for one in found.series]
    low, high, count = min(lengths), max(lengths), len(found.series)
    steps = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    covariates = ", ".join(found.columns[1:])
    sizes = [len(part) for part in (windows.train, windows.validation, windows.test)]
    season = f"a season of {facts['season']}" if facts["season"] > 1 else "no season"
    return (
        f"{count:,} series of {steps} steps of {found.step}, {season}",
        f"{facts['horizon']} steps are forecast from {facts['length']}"
        + (f" and from {covariates}" if covariates else ""),
        "windows in the order of time: "
        f"{sizes[0]:,} training, {sizes[1]:,} validation, {sizes[2]:,} test",
        *(
            [f"too short or constant, left out: {', '.join(windows.short[:5])}"]
            * bool(windows.short)
        ),
        *found.notes,
    )
