"""The main job: a space, data and a budget in; a trained model out."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import InputError
from .final import Final, model_of
from .finals import Finals, OnFinal
from .goals import Limits, limits_of, objectives_of, seconds_of
from .objective import Limit, Objective
from .run import Run, open_store
from .setting import Setting, SpaceLike, settle
from .space import Architecture
from .strategy import Strategy, named
from .strategy.start import StartFrom
from .study import (
    Executor,
    Inline,
    Processes,
    Progress,
    Store,
    Study,
    check_limits,
    check_shapes,
)
from .study.checks import check_budget
from .study.fidelity import offered
from .study.reach import Reach
from .study.result import INTERRUPTED
from .task.base import ReadOptions, Recipe
from .trial import History, Trial

if TYPE_CHECKING:
    from torch import nn

    from .evaluate import Evaluator
    from .export.parity import Parity


@dataclass
class Found:
    """An architecture that was found and trained to the end.

    Attributes:
        number: of its trial; -1 where no trial had it.
        metrics: validation metrics and costs.
        test: metrics on the test part.
        curve: per-epoch metrics of its training.
    """

    number: int
    architecture: Architecture
    metrics: dict[str, float]
    test: dict[str, float]
    curve: list[dict[str, float]]
    _setting: Setting = field(repr=False)
    _final: Final = field(repr=False)

    @property
    def model(self) -> nn.Module:
        """A fresh copy of the trained plain module, on the CPU and in evaluation mode."""
        return model_of(self._setting, self._final)

    def export(self, folder: str | Path, onnx: Any = "auto") -> Parity:
        """Write it as files that load without archsmith; see :func:`archsmith.export.export`."""
        from .export import export

        s = self._setting
        metrics = {f"test_{name}": value for name, value in self.test.items()} | self.metrics
        return export(
            self.model, s.task, s.data, s.space, self.architecture, folder,
            metrics=metrics, onnx=onnx,
        )  # fmt: skip


@dataclass
class SearchResult:
    """What a search came to.

    Attributes:
        best: the winner trained to the end; ``None`` where the search was interrupted, where no
            trial kept the limits, or where ``finalists=0``.
        default: the space's default architecture under the same recipe and seed.
        front: trials on the Pareto front, at the search's fidelity.
        stopped: why the search ended; ``"interrupted"`` after Ctrl-C.
        report: the page, where there is a run folder.
        problems: what went wrong while finalists were trained, in words.
    """

    history: History
    front: list[Trial]
    stopped: str
    seconds: float
    setting: Setting
    best: Found | None = None
    default: Found | None = None
    run: Path | None = None
    report: Path | None = None
    problems: list[str] = field(default_factory=list)

    @property
    def interrupted(self) -> bool:
        return self.stopped == INTERRUPTED


@dataclass
class Listener:
    """What a search tells while it works; any part may be left out.

    Attributes:
        ready: once, when everything is checked and the search begins.
        event: at each step of the study.
        final: after each epoch of a training to the end.
    """

    ready: Callable[[Setting, Study], None] | None = None
    event: Callable[[Progress], None] | None = None
    final: OnFinal | None = None


def search(
    space: SpaceLike | None = None,
    data: str = "digits",
    *,
    task: str | None = None,
    strategy: str | Strategy = "auto",
    evaluator: Evaluator | None = None,
    maximize: str | Sequence[str] = (),
    minimize: str | Sequence[str] = (),
    limits: Limits = (),
    trials: int | None = None,
    time: float | str | None = None,
    workers: int = 1,
    device: str = "auto",
    seed: int = 0,
    run: str | Path | None = None,
    epochs: int | None = None,
    share: float | None = None,
    recipe: Recipe | None = None,
    final_epochs: int | None = None,
    finalists: int = 2,
    read: ReadOptions | None = None,
    arguments: Mapping[str, Any] | None = None,
    command: str = "",
    listener: Listener | None = None,
) -> SearchResult:
    """Search for the best architecture, train it to the end and compare it with the default.

    Args:
        space: a ready space by name, a builder, ``"module:function"``, or a :class:`Space`; the
            task's own if not given.
        data: a name (``digits``, ``fashion-mnist``), a folder of class folders, an ``.npz``, a CSV.
        strategy: a name, or a :class:`Strategy`.
        evaluator: in place of training; costs are measured beside it.
        maximize, minimize: objectives; the task's own metric if none is named.
        limits: ``{"params": 200_000}``, or ``["params<=200k", "accuracy>=0.9"]``.
        trials, time: the budget; 24 trials if neither is given. Time is seconds or ``"10m"``.
        workers: processes that evaluate; 1 evaluates here.
        run: a folder that keeps the study; the same call on it resumes. Nothing is kept without.
        epochs, share: fidelity of a trial in place of the task's.
        recipe: of the training to the end; a trial uses it at its fidelity.
        final_epochs: epochs of the training to the end, in place of the recipe's.
        finalists: how many of the best trials are trained to the end; 0 stops after the search.
        read: how data is read and split.
        arguments: of the builder, in place of what the data offers.
        command: what to show as the command that repeats the search.

    Raises:
        InputError: something given is wrong; nothing has been started.
        WorkError: every trial failed.
        StoreError: the study could not be written; what was acknowledged is safe.
    """
    given = dict(locals())
    tell = listener or Listener()
    if finalists < 0:
        raise InputError("finalists", "0 or more", str(finalists))
    if workers < 1:
        raise InputError("workers", "1 or more", str(workers))
    chosen = named(strategy)() if isinstance(strategy, str) else strategy
    budget = seconds_of(time)
    wanted = 24 if trials is None and budget is None else trials
    check_budget(wanted, budget)
    setting = settle(
        space,
        data,
        task=task,
        options=read,
        arguments=arguments,
        recipe=recipe,
        final_epochs=final_epochs,
        epochs=epochs,
        share=share,
        device=device,
    )
    objectives = objectives_of(setting.task, maximize, minimize)
    bounds = limits_of(setting.task, limits)
    whole = evaluation(setting, objectives, bounds, evaluator)
    offers = offered(whole, setting.fidelity)
    chosen.check(setting.space, History(objectives, bounds, epochs=offers))
    reach = check_limits(setting.space, whole, bounds, seed)
    check_shapes(setting.space, setting.forward_on_meta, seed)
    folder = Path(run) if run is not None else None
    with open_store(folder) as store:
        study = Study(
            setting.space,
            StartFrom(_first(setting, reach), chosen, note="to start from"),
            whole,
            objectives,
            bounds,
            store=store,
            executor=_executor(workers),
            seed=seed,
            trials=wanted,
            seconds=budget,
            fidelity=setting.fidelity,
            meta=setting.to_json()
            | {
                "digest": setting.data.digest(),
                "strategy": chosen.name,
                "trials": wanted,
                "time": budget,
                "finalists": finalists,
                "command": command or _call(given),
            },
            on_event=tell.event,
        )
        if tell.ready:
            tell.ready(setting, study)
        ended = study.run()
        result = SearchResult(
            ended.history, ended.front, ended.stopped, ended.seconds, setting, run=folder
        )
        if not result.interrupted and finalists and ended.best is not None:
            _train_finalists(result, store, seed, finalists, tell.final)
    if folder is not None:
        result.report = Run(folder, setting.space).report()
    return result


def evaluation(
    setting: Setting,
    objectives: Sequence[Objective],
    limits: Sequence[Limit],
    evaluator: Evaluator | None = None,
) -> Evaluator:
    """Costs, latency where it is asked for, and training, as one evaluator."""
    from .evaluate import Stages
    from .evaluate.cost import CostEvaluator
    from .evaluate.latency import LatencyEvaluator
    from .evaluate.training import TrainingEvaluator

    example = setting.example()
    shape, dtype = tuple(example.shape), str(example.dtype).removeprefix("torch.")
    parts: list[Evaluator] = [CostEvaluator(setting.space, shape, dtype)]
    named = {goal.metric for goal in objectives} | {limit.metric for limit in limits}
    if any(name.startswith("latency") for name in named):
        parts.append(LatencyEvaluator(setting.space, shape, dtype, device=setting.device))
    parts.append(
        evaluator
        or TrainingEvaluator(
            setting.space,
            setting.source,
            setting.options,
            setting.task.name,
            setting.recipe,
            setting.device,
            data=setting.data,
            goal=objectives[0],
        )
    )
    return Stages(parts, limits)


def _first(setting: Setting, reach: Reach) -> list[Architecture]:
    """What a search starts from: the default, and where that breaks a limit, one that keeps all."""
    default = setting.space.default()
    kept = reach.kept
    return [default] if kept is None or kept == default else [default, kept]


def _executor(workers: int) -> Executor:
    return Inline() if workers == 1 else Processes(workers)


def _train_finalists(
    result: SearchResult, store: Store, seed: int, count: int, on_final: OnFinal | None
) -> None:
    """Fill in winner, default and problems; an interruption keeps what the search found."""
    finals = Finals(result.setting, store, seed, result.history.objectives[0])
    try:
        winner, default = finals.decide(result.history, count, on_final)
    except KeyboardInterrupt:
        result.stopped = INTERRUPTED
        return
    result.best = _found(result.setting, winner) if winner else None
    result.default = _found(result.setting, default) if default else None
    result.problems = finals.problems


def _call(given: Mapping[str, Any]) -> str:
    """The Python call that repeats a search, of what differs from the defaults."""
    parts = []
    for name, parameter in inspect.signature(search).parameters.items():
        value = given[name]
        if name not in ("listener", "command") and value is not parameter.default:
            named = getattr(value, "__name__", None) if callable(value) else None
            parts.append(f"{name}={named or repr(value)}")
    return f"nas.search({', '.join(parts)})"


def _found(setting: Setting, final: Final) -> Found:
    return Found(
        final.number, final.architecture, final.metrics, final.test, final.curve, setting, final
    )
