"""An ad-hoc task: a user's own data, loss and metrics, given as objects.

``nas.search(space, data=(train, validation, test), loss=..., metrics={...})`` makes one. It has no
name on the command line, since its data cannot be read from a source.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from .._support.errors import DataError, InputError
from .._support.trees import (
    call,
    clone,
    count_examples,
    first_tensor,
    leaves,
    spec_from_json,
    spec_of,
    spec_to_json,
    zeros,
)
from ..data.splits import Batch, Split, TensorSplit
from ..history.objective import Metric
from ..history.trial import Fidelity
from .base import Data, Meter, ReadOptions, Recipe, Signature, Task
from .contracts import Deployment, Distillation, ExampleMetrics, OutputLoss

#: A function of (outputs, targets), or of (model, inputs, targets), that returns a number or one
#: number for each example.
Measure = Callable[..., Any]
#: By name; with ``"maximize"`` or ``"minimize"`` if the name is not one of ``_BETTER``.
Measures = Mapping[str, Measure | tuple[Measure, str]]
#: Metrics whose direction is known by their name.
_BETTER: dict[str, Literal["maximize", "minimize"]] = {
    **dict.fromkeys(
        ("accuracy", "auc", "bleu", "dice", "f1", "iou", "map", "psnr", "r2", "ssim"), "maximize"
    ),
    **dict.fromkeys(("error", "loss", "mae", "mse", "perplexity", "rmse"), "minimize"),
}
_EPOCHS = 10


class OwnTask(Task, OutputLoss, Distillation, ExampleMetrics, Deployment):
    """A task defined by a user's loss and metrics, on data with its own inputs and targets.

    Args:
        loss: a function of ``(outputs, targets)``, or of ``(model, inputs, targets)`` if it calls
            the model itself; it returns a scalar tensor.
        metrics: by name, each a function of the same arguments that returns a number or a tensor
            of one number for each example; means are taken. If the name does not tell which
            direction is better, a pair of the function and ``"maximize"`` or ``"minimize"``.
            Without metrics a search minimises the loss.

    Raises:
        InputError: a loss or metric that is not such a function, or a metric whose better direction
            is unknown.
    """

    name = "own"
    default_space = ""

    def __init__(
        self,
        loss: Measure,
        metrics: Measures | None = None,
    ) -> None:
        # Inspected once: signatures are slow to read, and a loss is called at each step.
        self._loss, self._of_outputs = loss, _arity("loss", loss) == 2
        self._measures: dict[str, Measure] = {}
        known_metrics: list[Metric] = []
        for name, given in (metrics or {}).items():
            if name == "loss":
                raise InputError("metric loss", "another name", "that of the loss itself")
            measure, direction = given if isinstance(given, tuple) else (given, _BETTER.get(name))
            if direction not in ("maximize", "minimize"):
                raise InputError(
                    f"metric {name}",
                    "which way is better",
                    repr(direction),
                    f"metrics={{{name!r}: (function, 'maximize')}}",
                )
            _arity(f"metric {name}", measure)
            self._measures[name] = measure
            known_metrics.append(Metric(name, "", direction))  # type: ignore[arg-type]
        self.metrics = tuple(known_metrics) or (Metric("loss", "", "minimize"),)  # type: ignore[misc]

    def suits(self, source: str, options: ReadOptions | None = None) -> bool:
        return False

    def read(self, source: str, options: ReadOptions) -> Data:
        raise InputError(
            "data",
            "the objects that the study was started with",
            "no source to read them from",
            "repeat the same call: nas.search(space, data=..., loss=...)",
        )

    def data_of(self, parts: Sequence[Split], name: str = "own data") -> Data:
        """Training, validation and test parts as data of this task."""
        train, validation, test = parts
        batch = train.head(2)
        facts: dict[str, Any] = {"inputs": spec_to_json(spec_of(batch.inputs))}
        labels = train.labels
        if labels is None and isinstance(train, TensorSplit) and isinstance(train.targets, Tensor):
            labels = train.targets
        whole = labels is not None and not labels.is_floating_point()
        if labels is not None and whole and len(labels) and int(labels.min()) >= 0:
            facts["classes"] = int(labels.max()) + 1
        sizes = f"{len(train):,} training, {len(validation):,} validation, {len(test):,} test"
        shapes = ", ".join(
            f"{str(t.dtype).removeprefix('torch.')} {('n', *t.shape[1:])}".replace("'", "")
            for t in leaves(batch.inputs)
        )
        summary = (f"inputs: {shapes}", sizes)
        return Data(name, "", self.name, train, validation, test, facts, summary)

    def arguments(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        offered = {"classes": facts["classes"]} if "classes" in facts else {}
        example = self.example(facts)
        if isinstance(example, Tensor) and example.is_floating_point():
            if example.dim() == 4:
                names = ("channels", "height", "width")
                offered |= dict(zip(names, example.shape[1:], strict=True))
            if example.dim() == 2:
                offered["features"] = example.shape[1]
        return offered

    def example(self, facts: Mapping[str, Any], batch: int = 1) -> Any:
        return zeros(spec_from_json(facts["inputs"]), batch)

    def recipe(self, data: Data) -> Recipe:
        return Recipe(epochs=_EPOCHS)

    def search_fidelity(self, data: Data) -> Fidelity:
        return Fidelity(epochs=3)

    def prepare(self, inputs: Any, facts: Mapping[str, Any]) -> Any:
        return inputs

    def prepare_batch(
        self, batch: Batch, facts: Mapping[str, Any], noise: torch.Generator | None = None
    ) -> Batch:
        """The batch unchanged: torch data sets do their own augmentation."""
        return batch

    def loss(self, model: nn.Module, batch: Batch, smoothing: float = 0.0) -> Tensor:
        arguments = (call(model, batch.inputs),) if self._of_outputs else (model, batch.inputs)
        loss: Tensor = self._loss(*arguments, batch.targets)
        return loss

    def criterion(self, outputs: Any, targets: Any, smoothing: float = 0.0) -> Tensor:
        if not self._of_outputs:
            raise InputError(
                "loss",
                "a function of outputs and targets, since only these are available here",
                "a function of a model, inputs and targets",
            )
        loss: Tensor = self._loss(outputs, targets)
        return loss

    def imitation(self, outputs: Any, teacher: Any, targets: Any) -> Tensor:
        """The loss itself, since outputs may be of any kind; for a loss that calls the model, the
        mean squared error of the first output tensors."""
        if self._of_outputs:
            return self.criterion(outputs, targets)
        one, two = first_tensor(outputs), first_tensor(teacher)
        assert one is not None
        assert two is not None
        return nn.functional.mse_loss(one, two)

    def meter(self, facts: Mapping[str, Any]) -> Meter:
        return OwnMeter({"loss": self._loss} | self._measures)

    def deployable(self, model: nn.Module, facts: Mapping[str, Any]) -> nn.Module:
        return model

    def signature(self, data: Data) -> Signature:
        count = len(data.validation)
        example = data.validation.take(torch.tensor([0, min(1, count - 1)])).inputs
        return Signature(example, "inputs", "outputs", "what the model takes; what it gives")

    def load_input(self, path: Path, facts: Mapping[str, Any]) -> Any:
        raise DataError(
            str(path),
            "an input that archsmith can read",
            "an input of a study on a user's own data",
            "load the model in Python: archsmith.export.load_model(DIR, space=...)",
        )

    def describe(self, outputs: Any, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
        rows = zip(*(tensor.detach().cpu().tolist() for tensor in leaves(outputs)), strict=True)
        return [{"outputs": list(row)} for row in rows]

    def parts(self, outputs: Any, targets: Any, facts: Mapping[str, Any]) -> dict[str, Tensor]:
        """The values (n,) of those metrics that return one number for each example."""
        count, parts = count_examples(targets), {}
        for name, measure in self._measures.items():
            if _arity(name, measure) == 2:
                value = measure(outputs, targets)
                if isinstance(value, Tensor) and value.shape == (count,):
                    parts[name] = value.detach().double()
        return parts


def own_task(
    task: str | None,
    loss: Measure | None,
    metrics: Measures | None,
) -> OwnTask:
    """The task of a loss and metrics.

    Raises:
        InputError: no loss, or both a loss and a task by name.
    """
    if loss is None:
        raise InputError("metrics", "a loss together with them", "none", "give loss=...")
    if task is not None:
        raise InputError("loss", "either a loss or a task by name, not both", repr(task))
    return OwnTask(loss, metrics)


class OwnMeter(Meter):
    """Means of the loss and of each metric over the examples."""

    def __init__(self, measures: Mapping[str, Measure]) -> None:
        self.measures = measures
        self.of_outputs = {n: _arity(n, measure) == 2 for n, measure in measures.items()}
        self.totals = dict.fromkeys(measures, 0.0)
        self.count = 0

    def see(self, model: nn.Module, batch: Batch) -> None:
        outputs = call(model, batch.inputs) if any(self.of_outputs.values()) else None
        for name, measure in self.measures.items():
            if self.of_outputs[name]:
                self._add(name, measure(outputs, batch.targets), batch)
            else:
                self._add(name, measure(model, clone(batch.inputs), batch.targets), batch)
        self.count += count_examples(tuple(batch))

    def update(self, outputs: Any, targets: Any) -> None:
        batch = Batch(outputs, targets)
        for name, measure in self.measures.items():
            self._add(name, measure(outputs, targets), batch)
        self.count += count_examples(targets)

    def result(self) -> dict[str, float]:
        return {name: total / max(1, self.count) for name, total in self.totals.items()}

    def _add(self, name: str, value: Any, batch: Batch) -> None:
        number = float(value.double().mean()) if isinstance(value, Tensor) else float(value)
        self.totals[name] += number * count_examples(tuple(batch))


def _arity(what: str, measure: Any) -> int:
    """How many arguments a loss or metric takes: two, or three with the model first.

    Raises:
        InputError: it takes another number of arguments.
    """
    expected = "a function of (outputs, targets), or of (model, inputs, targets)"
    if not callable(measure):
        raise InputError(what, expected, f"a value of type {type(measure).__name__}")
    function = measure.forward if isinstance(measure, nn.Module) else measure
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 2  # a built-in function of torch, without a signature
    needed = [p for p in parameters if p.kind in kinds and p.default is p.empty]
    if len(needed) not in (2, 3):
        raise InputError(what, expected, f"one that needs {len(needed)} arguments")
    return len(needed)
