"""Tabular classification and regression: one class or one value per row."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .._support.errors import DataError
from ..data.kinds import kinds_line
from ..data.numerals import number
from ..data.partition import drawn_parts, split, split_by_group, split_by_order, strata
from ..data.raw import Kind, RawTable, labelled
from ..data.source import kind_of, locate, read_table, table_options
from ..data.splits import TensorSplit
from ..history.objective import Metric
from ..history.trial import Fidelity
from . import classify, rows
from .balance import Balanced
from .base import Data, Meter, ReadOptions, Recipe, Signature
from .contracts import Deployment, ExampleMetrics, Pictures, References
from .references import FittedReference
from .tensor import TensorTask

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image


class _Tabular(TensorTask, ExampleMetrics, Deployment, Pictures, References):
    """Raw inputs are (n, columns), with categories as codes, which preparation makes one-hot;
    float32, or float64 if float32 cannot distinguish the values of a column."""

    default_space = "tabular"
    pictured = 10_000
    reads = "a CSV or Parquet file, or an .npz file of rows"

    @abstractmethod
    def _targets(self, table: RawTable) -> tuple[NDArray[Any], dict[str, Any]]:
        """Targets (n,) and the facts about them."""

    @abstractmethod
    def _target_line(self, train: TensorSplit, facts: Mapping[str, Any]) -> str:
        """A readable line about the target."""

    def read(self, source: str, options: ReadOptions) -> Data:
        table = read_table(
            source,
            options.target,
            options.unreadable,
            options.decimal,
            options.group,
            options.order,
            options.columns,
        )
        targets, target_facts = self._targets(table)
        indices = _split(table, targets, options)
        table = rows.fitted(table, indices[0])
        values = rows.raw(table)
        train, validation, test = (
            TensorSplit(torch.from_numpy(values[i]), torch.from_numpy(targets[i])) for i in indices
        )
        facts = rows.facts(table, indices[0]) | target_facts | {"target": table.target_name}
        if "class_names" in facts:
            classify.check_classes(train, facts["class_names"], table.name)
        else:
            facts |= rows.spread(train.targets)
        categorical = sum(column.categories is not None for column in table.columns)
        sizes = f"{len(train):,} training, {len(validation):,} validation, {len(test):,} test"
        summary = (
            f"{len(targets):,} rows, {len(table.columns)} columns ({categorical} categorical)",
            self._target_line(train, facts),
            sizes,
            kinds_line(table.columns),
            *rows.precision(table),
            *table.notes,
        )
        place = str(locate(source))
        return Data(
            table.name,
            place,
            self.name,
            train,
            validation,
            test,
            facts,
            summary,
            drawn_parts(table.parts),
        )

    def uses(self, source: str) -> frozenset[str] | None:
        return table_options(source)

    def arguments(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        outputs = facts.get("classes", 1)
        return {
            "features": facts["features"],
            "classes": outputs,
            "outputs": outputs,
            "columns": rows.shapes(facts),
        }

    def example(self, facts: Mapping[str, Any], batch: int = 1) -> Tensor:
        return torch.zeros(batch, facts["features"])

    def recipe(self, data: Data) -> Recipe:
        count = len(data.train)
        batch = max(8, min(128, count // 16))
        epochs = max(10, min(80, round(3000 * batch / count)))
        return Recipe(epochs=epochs, batch_size=batch, lr=3e-3, weight_decay=0.02)

    def search_fidelity(self, data: Data) -> Fidelity:
        epochs = max(5, self.recipe(data).epochs // 3)
        return Fidelity(epochs=epochs, share=min(1.0, 200_000 / (epochs * len(data.train))))

    def prepare(self, inputs: Tensor, facts: Mapping[str, Any]) -> Tensor:
        return rows.expand(inputs, *(t.to(inputs.device) for t in rows.layout(facts)))

    def augment(
        self, inputs: Tensor, generator: torch.Generator, facts: Mapping[str, Any] | None = None
    ) -> Tensor:
        """The inputs unchanged: no change of a row is certain to preserve its target."""
        return inputs

    def references(self) -> tuple[FittedReference, ...]:
        from .estimators import table_references

        return table_references(classes=bool(self.metrics is classify.METRICS))

    def load_input(self, path: Path, facts: Mapping[str, Any]) -> Tensor:
        return rows.load(path, facts)


class TabularClassification(Balanced, classify.Classification, _Tabular):
    """The class of a row. Outputs are logits, (n, classes).

    Args:
        options: as text, see :class:`~archsmith.task.balance.BalanceOptions`.

    Raises:
        InputError: options that cannot be read.
    """

    name = "tabular-classification"
    calibrated = True

    def suits(self, source: str, options: ReadOptions | None = None) -> bool:
        return _kind(source, options) == "classes"

    def deployable(self, model: nn.Module, facts: Mapping[str, Any]) -> nn.Module:
        return classify.Probabilities(rows.Expand(facts), model, facts.get("temperature", 1.0))

    def signature(self, data: Data) -> Signature:
        return Signature(
            classify.two(data.validation),
            "rows",
            "probabilities",
            f"rows: {rows.described(data.facts)}; {classify.probabilities(data.facts)}",
        )

    def picture(
        self, inputs: Tensor, targets: Tensor, outputs: Tensor, facts: Mapping[str, Any]
    ) -> Image.Image:
        from .picture import confusion

        return confusion(targets, outputs.argmax(1), facts["class_names"])

    def _targets(self, table: RawTable) -> tuple[NDArray[Any], dict[str, Any]]:
        where = f"{table.name} column {table.target_name!r}"
        labels, names = labelled(table.target, where, table.class_names)
        if not _repeats(table.target):
            got = f"{len(names)} different ones in {len(labels)} rows"
            raise DataError(where, "classes that repeat", got, _other_task(table))
        return labels, {"classes": len(names), "class_names": list(names)}

    def _target_line(self, train: TensorSplit, facts: Mapping[str, Any]) -> str:
        return f"{facts['target']!r}: {classify.class_lines(train, facts['class_names'])}"


class TabularRegression(_Tabular):
    """A value for a row.

    Outputs are standardised, (n, 1); metrics and answers are in the user's units.
    """

    name = "tabular-regression"
    metrics = (
        Metric("r2", "", "maximize"),
        Metric("rmse", "", "minimize"),
        Metric("mae", "", "minimize"),
        Metric("loss", "", "minimize"),
    )

    def suits(self, source: str, options: ReadOptions | None = None) -> bool:
        return _kind(source, options) == "values"

    def prepare_targets(self, targets: Tensor, facts: Mapping[str, Any]) -> Tensor:
        mean: float = facts["target_mean"]
        std: float = facts["target_std"]
        return (targets - mean) / std

    def expect_output(self, output: Tensor, facts: Mapping[str, Any]) -> None:
        classify.expect_shape(output, (len(output), 1))

    def criterion(self, outputs: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        """Mean squared error of outputs (n, 1) and standardised targets (n,)."""
        classify.expect_shape(outputs, (len(targets), 1))
        return F.mse_loss(outputs.float().squeeze(1), targets)

    def meter(self, facts: Mapping[str, Any]) -> Meter:
        return ValueMeter(facts["target_mean"], facts["target_std"])

    def parts(
        self, outputs: Tensor, targets: Tensor, facts: Mapping[str, Any]
    ) -> dict[str, Tensor]:
        values = outputs.squeeze(1).double() * facts["target_std"] + facts["target_mean"]
        error = values - targets.double()
        return {"rmse": error.square(), "mae": error.abs()}

    def deployable(self, model: nn.Module, facts: Mapping[str, Any]) -> nn.Module:
        return Values(rows.Expand(facts), model, facts["target_mean"], facts["target_std"])

    def signature(self, data: Data) -> Signature:
        return Signature(
            classify.two(data.validation),
            "rows",
            "values",
            f"rows: {rows.described(data.facts)}; values: float32 (n,), {data.facts['target']}",
        )

    def describe(self, outputs: Tensor, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [{facts["target"]: value} for value in outputs.detach().cpu().double().tolist()]

    def picture(
        self, inputs: Tensor, targets: Tensor, outputs: Tensor, facts: Mapping[str, Any]
    ) -> Image.Image:
        from .picture import scatter

        return scatter(targets, outputs, facts["target"])

    def _targets(self, table: RawTable) -> tuple[NDArray[Any], dict[str, Any]]:
        where = f"{table.name} column {table.target_name!r}"
        if table.target.dtype.kind != "f":
            stray = next((text for text in table.target if number(text) is None), table.target[0])
            got = f"texts such as {str(stray)!r}"
            raise DataError(where, "numbers", got, _other_task(table))
        if (table.target == table.target[0]).all():
            raise DataError(where, "values that differ", f"{table.target[0]:g} in every row")
        with np.errstate(over="ignore"):
            targets = table.target.astype(np.float32)
        if not np.isfinite(targets).all():
            got = f"{np.abs(table.target).max():g}"
            hint = "give the target in a larger unit"
            raise DataError(where, "values within the range of float32, 3.4e38", got, hint)
        lost = float(np.abs(targets - table.target).max())
        if lost > 1e-3 * float(table.target.std()):
            low, high = table.target.min(), table.target.max()
            got = f"{low:.12g} to {high:.12g}, which it rounds by up to {lost:g}"
            hint = "subtract a constant from all values, or give them in another unit"
            raise DataError(where, "values that float32 can distinguish", got, hint)
        return targets, {}

    def _target_line(self, train: TensorSplit, facts: Mapping[str, Any]) -> str:
        low, high = float(train.targets.min()), float(train.targets.max())
        return f"{facts['target']!r}: values from {low:g} to {high:g}"


def _split(
    table: RawTable, targets: NDArray[Any], options: ReadOptions
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Indices of the parts: by time, by group, or stratified by the target."""
    shares, where = (options.validation, options.test), table.name
    if table.order is not None:
        return split_by_order(table.order, table.parts, *shares, where)
    if table.groups is not None:
        return split_by_group(table.groups, table.parts, *shares, options.seed, where)
    return split(strata(targets), table.parts, *shares, options.seed, where)


def _repeats(target: NDArray[Any]) -> bool:
    """Whether a target has few enough distinct values to be classes."""
    return len(np.unique(target)) <= max(20, len(target) // 4)


def _other_task(table: RawTable) -> str:
    """A hint for a target that does not fit the task; it names another task only if that fits."""
    if table.target.dtype.kind == "f":
        return "name another target column, or choose tabular-regression"
    if _repeats(table.target):
        return "name another target column, or choose tabular-classification"
    strays = [text for text in np.unique(table.target).tolist() if number(text) is None]
    if strays and 2 * len(strays) <= len(table.target):
        listed = ", ".join(map(repr, strays[:3])) + (", ..." if len(strays) > 3 else "")
        return f"all but {listed} are numbers: correct these cells and choose tabular-regression"
    return "name another target column"


def _kind(source: str, options: ReadOptions | None) -> Kind | None:
    options = options or ReadOptions()
    return kind_of(source, options.target, options.decimal)


class ValueMeter(Meter):
    """R², RMSE and MAE in the user's units, and the loss in standardised ones."""

    def __init__(self, mean: float, std: float) -> None:
        self.mean, self.std = mean, std
        self.count = 0
        self.sums: Tensor = torch.zeros(4, dtype=torch.float64)

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        classify.expect_shape(outputs, (len(targets), 1))
        # Relative to the mean, so that the difference of squares below keeps its precision.
        true = targets.double() - self.mean
        error = outputs.squeeze(1).double() * self.std - true
        sums = [true.sum(), true.square().sum(), error.square().sum(), error.abs().sum()]
        self.sums = self.sums.to(outputs.device) + torch.stack(sums)
        self.count += len(targets)

    def result(self) -> dict[str, float]:
        count = max(1, self.count)
        total, squares, errors, distance = self.sums.tolist()
        spread = squares - total**2 / count
        return {
            "r2": 1 - errors / spread if spread > 0 else 0.0,
            "rmse": (errors / count) ** 0.5,
            "mae": distance / count,
            "loss": errors / count / self.std**2,
        }


class Values(nn.Module):
    """Preparation, model and conversion to the user's units: raw rows in, values (n,) out."""

    mean: Tensor
    std: Tensor

    def __init__(self, prepare: nn.Module, model: nn.Module, mean: float, std: float) -> None:
        super().__init__()
        self.prepare = prepare
        self.model = model
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))

    def forward(self, inputs: Tensor) -> Tensor:
        values: Tensor = self.model(self.prepare(inputs))
        return values.float().squeeze(-1) * self.std + self.mean
