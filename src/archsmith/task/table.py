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
from . import classify, rows, valued
from .balance import Balanced
from .base import Data, Meter, ReadOptions, Recipe, Signature
from .contracts import Deployment, ExampleMetrics, Pictures, References, StopsEarly
from .references import FittedReference
from .rowfile import load
from .tensor import TensorTask

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image


class _Tabular(TensorTask, ExampleMetrics, Deployment, Pictures, References, StopsEarly):
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
            options.where,
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
            facts |= valued.spread(train.targets)
        columns = len({column.name for column in table.columns})
        categorical = sum(column.categories is not None for column in table.columns)
        sizes = f"{len(train):,} training, {len(validation):,} validation, {len(test):,} test"
        summary = (
            f"{len(targets):,} rows, {columns} columns ({categorical} categorical)",
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
        outputs = facts.get("classes", len(facts.get("targets", [""])))
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
        return Recipe(epochs=epochs, batch_size=batch, lr=2e-3, weight_decay=0.02, ema=0.98)

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
        return load(path, facts)


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
        if table.target_names:
            got, hint = (
                f"{len(table.target_names)} columns",
                "several are read by tabular-regression",
            )
            raise DataError(where, "one column of classes", got, hint)
        labels, names = labelled(table.target, where, table.class_names)
        if not _repeats(table.target):
            got = f"{len(names)} different ones in {len(labels)} rows"
            raise DataError(where, "classes that repeat", got, _other_task(table))
        return labels, {"classes": len(names), "class_names": list(names)}

    def _target_line(self, train: TensorSplit, facts: Mapping[str, Any]) -> str:
        return f"{facts['target']!r}: {classify.class_lines(train, facts['class_names'])}"


class TabularRegression(_Tabular):
    """A value for a row.

    Outputs are standardised, (n, 1), or (n, values) if several columns are predicted; metrics and
    answers are in the user's units.
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
        return valued.standardised(targets, facts)

    def expect_output(self, output: Tensor, facts: Mapping[str, Any]) -> None:
        classify.expect_shape(output, (len(output), len(facts.get("targets", [""]))))

    def criterion(self, outputs: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        """Mean squared error of outputs (n, values) and targets (n,) or (n, values), which are
        standardised."""
        targets = targets.view(len(targets), -1)
        classify.expect_shape(outputs, tuple(targets.shape))
        return F.mse_loss(outputs.float(), targets)

    def meter(self, facts: Mapping[str, Any]) -> Meter:
        names = facts.get("targets", ())
        return valued.ValueMeter(facts["target_mean"], facts["target_std"], names)

    def parts(
        self, outputs: Tensor, targets: Tensor, facts: Mapping[str, Any]
    ) -> dict[str, Tensor]:
        error = valued.in_units(outputs, facts) - targets.double().view(outputs.shape)
        squares = error.square()
        if "targets" not in facts:
            return {"rmse": squares.squeeze(1), "mae": error.abs().squeeze(1)}
        counted = torch.cat([squares, torch.ones_like(squares[:, :1])], dim=1)
        return {"rmse": counted, "mae": error.abs().mean(1)}

    def pooled(self, name: str, sums: NDArray[Any]) -> NDArray[Any]:
        roots: NDArray[Any] = np.sqrt(sums[..., :-1] / np.maximum(sums[..., -1:], 1))
        mean: NDArray[Any] = roots.mean(-1)
        return mean

    def deployable(self, model: nn.Module, facts: Mapping[str, Any]) -> nn.Module:
        return valued.Values(rows.Expand(facts), model, facts)

    def signature(self, data: Data) -> Signature:
        several = data.facts.get("targets", ())
        shape = f"(n, {len(several)})" if several else "(n,)"
        return Signature(
            classify.two(data.validation),
            "rows",
            "values",
            f"rows: {rows.described(data.facts)}; values: float32 {shape}, {data.facts['target']}",
        )

    def describe(self, outputs: Tensor, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
        values = outputs.detach().cpu().double().view(len(outputs), -1).tolist()
        names = facts.get("targets", [facts["target"]])
        return [dict(zip(names, row, strict=True)) for row in values]

    def picture(
        self, inputs: Tensor, targets: Tensor, outputs: Tensor, facts: Mapping[str, Any]
    ) -> Image.Image:
        from .picture import scatter

        first = facts.get("targets", [facts["target"]])[0]
        targets, outputs = (t.view(len(t), -1)[:, 0] for t in (targets, outputs))
        return scatter(targets, outputs, first)

    def _targets(self, table: RawTable) -> tuple[NDArray[Any], dict[str, Any]]:
        if table.target.dtype.kind != "f":
            where = f"{table.name} column {table.target_name!r}"
            texts = table.target.ravel()
            stray = next((text for text in texts if number(text) is None), texts[0])
            got = f"texts such as {str(stray)!r}"
            raise DataError(where, "numbers", got, _other_task(table))
        if not table.target_names:
            return _values(table.target, f"{table.name} column {table.target_name!r}"), {}
        named = zip(table.target.T, table.target_names, strict=True)
        found = [_values(values, f"{table.name} column {name!r}") for values, name in named]
        return np.stack(found, axis=1), {"targets": list(table.target_names)}

    def _target_line(self, train: TensorSplit, facts: Mapping[str, Any]) -> str:
        names = facts.get("targets", [facts["target"]])
        parts = train.targets.view(len(train), -1).T
        return "; ".join(
            f"{name!r}: values from {float(own.min()):g} to {float(own.max()):g}"
            for name, own in zip(names, parts, strict=True)
        )


def _values(target: NDArray[Any], where: str) -> NDArray[np.float32]:
    """Targets (n,) as float32.

    Raises:
        DataError: they are all the same, or float32 does not hold them.
    """
    if (target == target[0]).all():
        raise DataError(where, "values that differ", f"{target[0]:g} in every row")
    with np.errstate(over="ignore"):
        values = target.astype(np.float32)
    if not np.isfinite(values).all():
        got = f"{np.abs(target).max():g}"
        hint = "give the target in a larger unit"
        raise DataError(where, "values within the range of float32, 3.4e38", got, hint)
    lost = float(np.abs(values - target).max())
    if lost > 1e-3 * float(target.std()):
        got = f"{target.min():.12g} to {target.max():.12g}, which it rounds by up to {lost:g}"
        hint = "subtract a constant from all values, or give them in another unit"
        raise DataError(where, "values that float32 can distinguish", got, hint)
    return values


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
    """Whether a target (n,) has few enough distinct values to be classes."""
    return len(np.unique(target)) <= max(20, len(target) // 4)


def _other_task(table: RawTable) -> str:
    """A hint for a target that does not fit the task; it names another task only if that fits."""
    if table.target_names:
        return "name columns of numbers"
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
    return kind_of(source, options.target, options.decimal, options.where)
