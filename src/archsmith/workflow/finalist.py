"""After the search: architectures trained to the end, and the one look at the test part."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._support.errors import InputError, WorkError
from ..hardware.options import WIDE, noisy
from ..history.objective import Objective
from ..history.trial import History
from ..space import Architecture
from ..space.ordinary import ordinary
from ..task.contracts import ExampleMetrics
from ..task.problem import Problem

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..evaluate import Trainer
    from ..export.parity import Parity
    from ..history.paired import Comparison
    from ..task.base import Data, Task
    from ..train import TrainingState


@dataclass
class Finalist:
    """An architecture trained to the end: its figures, weights, model and export.

    Attributes:
        number: of its trial, -1 for the default architecture if no trial evaluated it.
        validation, test: metrics; ``test`` is empty until it was scored on the test part.
        costs: params, flops, memory_mb, latency_ms (measured with the trained weights).
        measured: how the latency was measured (device, batch, threads, quantiles).
        curve: per-epoch metrics.
        seconds: of training.
        weights: state dict of the best epoch, on the CPU.
        checksum: of the file that keeps them; empty in notes of older versions of archsmith.
        parts: each test example's part of a metric, see
            :meth:`archsmith.task.contracts.ExampleMetrics.parts`.
        parts_checksum: of their file.
        repeat: index of this training of the architecture; each has its own seed.
        whole: whether it was trained on the validation part as well; ``validation`` is then what
            its trial had.
        continued: epochs that its training in the search had when this one began with them.
        mix: share of the batches of its training that were mixed (CutMix).
        temperature: that its logits are divided by where it is deployed; 1 if the task has none, or
            if no example was left to fit it on.
        problem: what it was trained for; ``None`` if only the notes of a study were read.
    """

    number: int
    architecture: Architecture
    seed: int
    validation: dict[str, float]
    costs: dict[str, float]
    measured: dict[str, Any] = field(repr=False)
    curve: list[dict[str, float]] = field(repr=False)
    seconds: float
    test: dict[str, float] = field(default_factory=dict)
    weights: dict[str, Tensor] = field(default_factory=dict, repr=False)
    checksum: str = field(default="", repr=False)
    parts: dict[str, Tensor] = field(default_factory=dict, repr=False)
    parts_checksum: str = field(default="", repr=False)
    repeat: int = 0
    whole: bool = False
    continued: float = 0.0
    mix: float = 0.0
    temperature: float = 1.0
    problem: Problem | None = field(default=None, repr=False, compare=False)

    @property
    def key(self) -> str:
        """Its name in notes and files."""
        return key_of(self.architecture, self.repeat)

    @property
    def metrics(self) -> dict[str, float]:
        """Validation metrics and costs, to which objectives and limits apply."""
        return self.validation | self.costs

    @property
    @ordinary()
    def model(self) -> nn.Module:
        """A fresh copy of the trained plain module, on the CPU and in evaluation mode.

        Raises:
            InputError: the weights are not loaded.
        """
        return model_of(self._known_problem(), self)

    @ordinary()
    def export(
        self, folder: str | Path, onnx: Any = "auto", formats: Sequence[str] | None = None
    ) -> Parity:
        """Export it as files that load without archsmith; see :func:`archsmith.export.export`.

        Raises:
            InputError: the weights are not loaded, or the folder holds other files.
            WorkError: a file could not be written, or differs from the model.
        """
        from ..export import export

        problem = self._known_problem()
        metrics = {f"test_{name}": value for name, value in self.test.items()} | self.metrics
        return export(
            self.model,
            problem.task,
            self.calibrated(problem.data),
            problem.space,
            self.architecture,
            folder,
            metrics=metrics,
            onnx=onnx,
            formats=formats,
        )

    def calibrated(self, data: Data) -> Data:
        """The data with its temperature among the facts, by which it is deployed."""
        facts = {"temperature": self.temperature} if self.temperature != 1 else {}
        return replace(data, facts=data.facts | facts)

    def _known_problem(self) -> Problem:
        if self.problem is None or not self.weights:
            expected = "a finalist with its weights"
            hint = "nas.Run(folder).train(number) gives one"
            raise InputError(f"trial {self.number}", expected, "its figures alone", hint)
        return self.problem

    def to_json(self) -> dict[str, Any]:
        """Everything but tensors, as JSON values."""
        bare = replace(self, weights={}, parts={}, architecture=None, problem=None)  # type: ignore[arg-type]
        plain = asdict(bare)
        del plain["weights"], plain["parts"], plain["problem"]
        return plain | {"architecture": self.architecture.to_json(), "id": self.architecture.id}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Finalist:
        """The inverse of :meth:`to_json`, without weights."""
        rest = {k: v for k, v in values.items() if k not in ("id", "architecture")}
        return cls(architecture=Architecture.from_json(values["architecture"]), **rest)


def train_to_end(
    problem: Problem,
    architecture: Architecture,
    number: int,
    seed: int,
    on_epoch: Callable[[Mapping[str, float]], None] | None = None,
    goal: Objective | None = None,
    start: Callable[[Architecture], Mapping[str, Tensor]] | None = None,
    trainer: Trainer | None = None,
    until: float | None = None,
    known: Mapping[str, float] | None = None,
    state: TrainingState | None = None,
) -> Finalist:
    """Train an architecture with the whole recipe and measure its costs.

    Args:
        goal: which epoch counts, as in :func:`archsmith.train.train`.
        start: gives the initial state dict of an architecture.
        trainer: replaces the problem's own training.
        until: the moment, by ``time.monotonic()``, at which the problem's own training ends.
        known: validation metrics of its trial. If they are given, the problem's own training takes
            in the validation part where it can.
        state: of its training in the search, which is continued.

    Raises:
        WorkError: the training diverged.
    """
    from ..evaluate.training import TrainingEvaluator
    from ..train import Diverged, fitted_temperature

    began = time.perf_counter()
    if trainer is None:
        trainer = TrainingEvaluator.for_problem(problem, goal).ending(until, known is not None)
    try:
        if state is None:  # a trainer that continues nothing may not take one
            trained = trainer.train(architecture, seed, None, on_epoch, start)
        else:
            trained = trainer.train(architecture, seed, None, on_epoch, start, state)
    except Diverged as error:
        raise WorkError(
            f"trial {number}", "a training that converges", error.reason, "a lower learning rate"
        ) from error
    seconds = time.perf_counter() - began
    model = problem.space.build(architecture, seed=seed)
    fill(model, trained.best_state, f"trial {number}")
    temperature, data = 1.0, problem.data
    if trained.metrics:  # else no example is left that it was not trained on
        args = (model, problem.task, data.validation, data.facts)
        temperature = fitted_temperature(*args, device=problem.device)
    costs, measured = measure(problem, model)
    return Finalist(
        number,
        architecture,
        seed,
        trained.metrics or dict(known or {}),
        costs,
        measured,
        trained.curve,
        seconds,
        weights=trained.best_state,
        whole=not trained.metrics,
        continued=state.epochs if state is not None else 0.0,
        mix=trained.mix,
        temperature=temperature,
        problem=problem,
    )


def measure(problem: Problem, model: nn.Module) -> tuple[dict[str, float], dict[str, Any]]:
    """Costs of a model, and how its latency was measured.

    The latency is the slowest of three measurements, so that a limit that it keeps now will be
    kept again.
    """
    from ..hardware.clock import confirmed
    from ..hardware.cost import cost
    from ..hardware.latency import Probe

    example, options = problem.example(), problem.latency
    probe = Probe(
        model,
        example,
        device=problem.device,
        runtime=options.runtime,
        batch=options.batch,
        threads=options.threads,
    )
    latency = confirmed(lambda: probe.measure(seconds=options.seconds))
    costs = cost(model.to("cpu"), example) | {"latency_ms": latency.median}
    return costs, asdict(latency)


def noise(history: History, winner: Finalist | None) -> list[str]:
    """Warnings about latencies that stayed noisy although they were measured again."""
    notes = []
    trials = [t.number for t in history.trials if noisy(t.metrics)]
    if trials:
        shown = ", ".join(map(str, trials[:5])) + (", …" if len(trials) > 5 else "")
        notes.append(
            f"noisy clock: the latency of {len(trials)} trial{'s' if len(trials) > 1 else ''} "
            f"({shown}) varied by more than half of its value in both measurements; another "
            "process was using the processor"
        )
    measured = winner.measured if winner else {}
    if measured and measured["p90"] - measured["p10"] > WIDE * measured["median"]:
        notes.append("noisy clock: the winner's latency varied by more than half of its value")
    return notes


def look_at_test(problem: Problem, final: Finalist) -> None:
    """Score on the test part once; a second call changes nothing.

    The examples' parts of the metrics are computed again if they are missing.
    """
    from ..train import parts, score

    if final.test and final.parts:
        return
    model, task, part = model_of(problem, final), problem.task, problem.data.test
    facts = problem.data.facts
    if not final.test:
        final.test = score(model, task, part, facts, device=problem.device)
        if final.temperature != 1:
            known = final.calibrated(problem.data)
            after = score(model, task, part, known.facts, device=problem.device)
            final.test["ece_calibrated"] = after["ece"]
    final.parts = parts(model, task, part, facts, device=problem.device)


def model_of(problem: Problem, final: Finalist) -> nn.Module:
    """The trained plain module, on the CPU and in evaluation mode."""
    model = problem.space.build(final.architecture, seed=final.seed)
    fill(model, final.weights, f"trial {final.number}")
    return model.eval()


def fill(model: nn.Module, state: Mapping[str, Any], where: str) -> None:
    """Load the weights of one build of a model into another build.

    Raises:
        WorkError: they do not fit.
    """
    try:
        model.load_state_dict(state)
    except Exception as error:  # set_extra_state is the user's code
        raise WorkError(
            where,
            "weights that fit a second build of the model",
            " ".join(str(error).split()),
            "the builder must give the same model each time, and forward must not register "
            "parameters or buffers",
        ) from error


def compared(one: Finalist, other: Finalist, goal: Objective, task: Task) -> Comparison | None:
    """One finalist against another on the test examples; ``None`` if they are the same
    architecture, or if the task gives no metrics of single examples."""
    if one.architecture == other.architecture:
        return None
    return compared_parts(one.parts, other.parts, goal, task)


def compared_parts(
    one: Mapping[str, Tensor],
    other: Mapping[str, Tensor],
    goal: Objective,
    task: Task,
    against: str = "the default",
) -> Comparison | None:
    """Two models compared by what each test example gives to their metrics; ``None`` if there is no
    metric of single examples.

    The goal's metric is compared if its parts are known, otherwise the task's first one that is.
    """
    from ..history.paired import compare

    ways = {goal.metric: goal.direction} | {m.name: m.direction for m in task.metrics}
    name = next((name for name in ways if name in one and name in other), None)
    if name is None or one[name].shape != other[name].shape or not isinstance(task, ExampleMetrics):
        return None
    mine, others = (parts[name].double().numpy() for parts in (one, other))
    pooled = partial(task.pooled, name) if mine.ndim > 1 else None
    return compare(name, ways[name], mine, others, against=against, pooled=pooled)


def key_of(architecture: Architecture, repeat: int = 0) -> str:
    """The name of a training of an architecture in notes and files."""
    return f"{architecture.id}.{repeat}" if repeat else architecture.id


def parts_path(folder: Path, key: str) -> Path:
    """Where a run folder keeps the test examples' parts of the metrics."""
    return folder / "final" / f"{key}.test.safetensors"


def weights_path(folder: Path, key: str) -> Path:
    """Where a run folder keeps the weights of an architecture trained to the end."""
    return folder / "final" / f"{key}.safetensors"
