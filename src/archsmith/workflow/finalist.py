"""After the search: architectures trained to the end, and the one look at the test part."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._support.errors import WorkError
from ..hardware.options import WIDE, noisy
from ..history.objective import Metric, Objective
from ..history.trial import History
from ..space import Architecture
from ..task.problem import Problem

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..history.paired import Comparison


@dataclass
class Final:
    """An architecture trained to the end.

    Attributes:
        number: of its trial, -1 for the default architecture where no trial had it.
        validation, test: metrics; ``test`` is empty until the test part was looked at.
        costs: params, flops, memory_mb, latency_ms (measured with the trained weights).
        measured: how the latency was measured (device, batch, threads, quantiles).
        curve: per-epoch metrics.
        seconds: of training.
        weights: state dict of the best epoch, on the CPU.
        checksum: of the file that keeps them; empty in notes of an older archsmith.
        parts: what each test example has in a metric, see :meth:`archsmith.task.base.Task.parts`.
        parts_checksum: of their file.
        repeat: which training of the architecture it is, with a seed of its own.
    """

    number: int
    architecture: Architecture
    seed: int
    validation: dict[str, float]
    costs: dict[str, float]
    measured: dict[str, Any]
    curve: list[dict[str, float]]
    seconds: float
    test: dict[str, float] = field(default_factory=dict)
    weights: dict[str, Tensor] = field(default_factory=dict, repr=False)
    checksum: str = ""
    parts: dict[str, Tensor] = field(default_factory=dict, repr=False)
    parts_checksum: str = ""
    repeat: int = 0

    @property
    def key(self) -> str:
        """What notes and files call it."""
        return key_of(self.architecture, self.repeat)

    @property
    def metrics(self) -> dict[str, float]:
        """Validation metrics and costs, which objectives and limits are held against."""
        return self.validation | self.costs

    def to_json(self) -> dict[str, Any]:
        """Everything but tensors, as JSON values."""
        bare = replace(self, weights={}, parts={}, architecture=None)  # type: ignore[arg-type]
        plain = asdict(bare)
        del plain["weights"], plain["parts"]
        return plain | {"architecture": self.architecture.to_json(), "id": self.architecture.id}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Final:
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
) -> Final:
    """Train an architecture with the whole recipe and measure its costs.

    Args:
        goal: which epoch counts, as in :func:`archsmith.train.train`.
        start: gives the state dict to begin with.

    Raises:
        WorkError: the training diverged.
    """
    from ..train import Diverged, train

    began = time.perf_counter()
    model = problem.space.build(architecture, seed=seed)
    if start is not None:
        model.load_state_dict(start(architecture))
    try:
        trained = train(
            model,
            problem.task,
            problem.data,
            problem.recipe,
            seed=seed,
            device=problem.device,
            goal=goal,
            on_epoch=on_epoch,
        )
    except Diverged as error:
        raise WorkError(
            f"trial {number}", "a training that converges", error.reason, "a lower learning rate"
        ) from error
    seconds = time.perf_counter() - began
    fill(problem.space.build(architecture, seed=seed), trained.best_state, f"trial {number}")
    costs, measured = measure(problem, model)
    return Final(
        number,
        architecture,
        seed,
        trained.metrics,
        costs,
        measured,
        trained.curve,
        seconds,
        weights=trained.best_state,
    )


def measure(problem: Problem, model: nn.Module) -> tuple[dict[str, float], dict[str, Any]]:
    """Costs of a model, and how its latency was measured: the slowest of three measurements, so
    that a limit which it keeps is kept again."""
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


def noise(history: History, winner: Final | None) -> list[str]:
    """What to say where a latency stayed noisy although it was measured again."""
    said = []
    trials = [t.number for t in history.trials if noisy(t.metrics)]
    if trials:
        shown = ", ".join(map(str, trials[:5])) + (", …" if len(trials) > 5 else "")
        said.append(
            f"noisy clock: the latency of {len(trials)} trial{'s' if len(trials) > 1 else ''} "
            f"({shown}) varied by more than half of itself, measured twice; something else had "
            "the processor"
        )
    measured = winner.measured if winner else {}
    if measured and measured["p90"] - measured["p10"] > WIDE * measured["median"]:
        said.append("noisy clock: the winner's latency varied by more than half of itself")
    return said


def look_at_test(problem: Problem, final: Final) -> None:
    """Score on the test part, once; a second call changes nothing.

    What each example has in the metrics is had again where it is no longer there.
    """
    from ..train import parts, score

    if final.test and final.parts:
        return
    model, task, part = model_of(problem, final), problem.task, problem.data.test
    facts = problem.data.facts
    if not final.test:
        final.test = score(model, task, part, facts, device=problem.device)
    final.parts = parts(model, task, part, facts, device=problem.device)


def model_of(problem: Problem, final: Final) -> nn.Module:
    """The trained plain module, on the CPU and in evaluation mode."""
    model = problem.space.build(final.architecture, seed=final.seed)
    fill(model, final.weights, f"trial {final.number}")
    return model.eval()


def fill(model: nn.Module, state: Mapping[str, Any], where: str) -> None:
    """Give a model that was built anew the weights of another build.

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
            "the builder has to give the same model each time, and forward must not register "
            "parameters or buffers",
        ) from error


def compared(
    one: Final, other: Final, goal: Objective, metrics: Sequence[Metric]
) -> Comparison | None:
    """One final against another on the test examples; ``None`` where they are the same, or where
    the task tells no parts of examples.

    The goal's metric is compared if its parts are known, else the first of the task's that is.
    """
    from ..history.paired import compare

    ways = {goal.metric: goal.direction} | {m.name: m.direction for m in metrics}
    names = [name for name in ways if name in one.parts and name in other.parts]
    if one.architecture == other.architecture or not names:
        return None
    mine, others = (f.parts[names[0]].double().numpy() for f in (one, other))
    return compare(names[0], ways[names[0]], mine, others) if len(mine) == len(others) else None


def key_of(architecture: Architecture, repeat: int = 0) -> str:
    """What notes and files call a training of an architecture."""
    return f"{architecture.id}.{repeat}" if repeat else architecture.id


def parts_path(folder: Path, key: str) -> Path:
    """Where a run folder keeps what the test examples have in the metrics."""
    return folder / "final" / f"{key}.test.safetensors"


def weights_path(folder: Path, key: str) -> Path:
    """Where a run folder keeps the weights of an architecture trained to the end."""
    return folder / "final" / f"{key}.safetensors"
