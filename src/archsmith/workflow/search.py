"""The main job: a space, data and a budget in; a trained model out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._support.errors import ArchsmithError
from .._support.options import call_of
from ..hardware.options import LatencyOptions
from ..history.objective import Limit, Objective
from ..history.trial import Fidelity, History
from ..space.ordinary import ordinary
from ..strategy import Strategy
from ..strategy.start import StartFrom
from ..study import (
    Executor,
    Inline,
    Processes,
    SqliteStore,
    Store,
    Study,
    check_limits,
    check_shapes,
)
from ..study.checks import check_budget
from ..study.fidelity import offered
from ..study.identity import models_of
from ..study.rehearsal import rehearse
from ..study.result import INTERRUPTED, StudyResult
from ..study.stopping import Pruner, pruner_of
from ..task.base import ReadOptions, Recipe
from ..task.contracts import LearnedLoss
from ..task.goals import Limits, check_numbers, seconds_of
from ..task.problem import Problem, SpaceLike, open_problem
from .evaluator import build_evaluator, named_in, objectives_for
from .finalists import Finals, OnFinal
from .latency import latency_evaluator, save_predictor
from .oneshot import (
    OnShared,
    OnSharedWeights,
    Sharing,
    check_inherit,
    check_options,
    epochs_of,
    evaluator_of,
    inherited,
    trials_of,
)
from .reopening import signature_of
from .result import Listener, SearchResult, found_of
from .run import Run, open_store
from .strategy import advised, first_of, refuse_inherit, refuse_proxy, strategy_of, within

if TYPE_CHECKING:
    from ..evaluate import Evaluator
    from ..supernet.method import Method
    from ..task.base import Task
    from ..task.own import Measure, Measures

#: Trials of a search where neither their number nor a time is given.
TRIALS = 24
#: Trials that are trained to the end.
FINALISTS = 2


@ordinary()
def search(
    space: SpaceLike | None = None,
    data: Any = "digits",
    *,
    task: str | None = None,
    loss: Measure | None = None,
    metrics: Measures | None = None,
    strategy: str | Strategy | Method = "auto",
    proxy: str | None = None,
    evaluator: Evaluator | None = None,
    maximize: str | Sequence[str] = (),
    minimize: str | Sequence[str] = (),
    limits: Limits = (),
    trials: int | None = None,
    time: float | str | None = None,
    trial_time: float | str | None = None,
    workers: int = 1,
    device: str = "auto",
    latency: LatencyOptions | str | None = None,
    seed: int = 0,
    run: str | Path | None = None,
    epochs: int | None = None,
    share: float | None = None,
    recipe: Recipe | None = None,
    final_epochs: int | None = None,
    finalists: int = FINALISTS,
    final_seeds: int = 1,
    inherit: bool = False,
    stop: str | Pruner | None = None,
    read: ReadOptions | None = None,
    arguments: Mapping[str, Any] | None = None,
    command: str = "",
    listener: Listener | None = None,
) -> SearchResult:
    """Search for the best architecture, train it to the end and compare it with the default.

    Args:
        space: a ready space by name, a builder, ``"module:function"``, or a :class:`Space`; the
            task's own if not given.
        data: a name (``digits``, ``fashion-mnist``), a folder of class folders, an ``.npz``, a CSV;
            with ``loss`` the data itself: a torch ``Dataset``, a pair of inputs and targets, or
            three of these (training, validation, test).
        loss, metrics: what data given as objects is learned and judged by, see
            :class:`~archsmith.task.own.OwnTask`. A study goes on when it is given the same again.
        strategy: a name, or a :class:`Strategy`. The name of a one-shot method (``spos``, ``enas``,
            ``darts``, …) or a :class:`Method` trains shared weights first and judges trials by
            them; ``"spos+nsga2"`` says which strategy searches on them.
        proxy: a zero-cost proxy (``naswot``, ``az-nas``, ``vote``, …) whose scores of untrained
            architectures pick the first trials.
        evaluator: in place of training; costs are measured beside it.
        maximize, minimize: objectives; the task's own metric if none is named.
        limits: ``{"params": 200_000}``, or ``["params<=200k", "accuracy>=0.9"]``.
        trials, time: the budget; 24 trials if neither is given, 100 on shared weights. Time is
            seconds or ``"10m"``; three quarters of it go into a supernet.
        trial_time: that one trial may take; it fails then. Without, one that takes ten times as
            long as the slowest that finished, and a minute at least, is stopped and tried again,
            and fails the third time.
        workers: processes that evaluate; 1 evaluates here.
        latency: how it is found: :class:`~archsmith.hardware.options.LatencyOptions`, or text such
            as ``"runtime=onnx,batch=8,threads=2"``.
        run: a folder that keeps the study; the same call on it resumes. Nothing is kept without.
        epochs, share: fidelity of a trial in place of the task's; of a one-shot method ``epochs``
            are those of the supernet, twice the recipe's or 4,000 steps if not given.
        recipe: of the training to the end; a trial uses it at its fidelity.
        final_epochs: epochs of the training to the end, in place of the recipe's.
        finalists: how many of the best trials are trained to the end; 0 stops after the search.
        final_seeds: how often each of them and the default is trained, each time with another seed:
            mean and spread are told, and the one that is best on the validation part is kept.
        inherit: start their training from the shared weights instead of new ones.
        stop: stops hopeless trials while they train: ``"median"``, ``"curve"`` or a
            :class:`~archsmith.study.Pruner`. The epochs that they trained count.
        read: how data is read and split.
        arguments: of the builder, in place of what the data offers.
        command: what to show as the command that repeats the search.

    Raises:
        InputError: something given is wrong; nothing has been started.
        WorkError: every trial failed.
        StoreError: the study could not be written; what was acknowledged is safe.
    """
    given, tell = dict(locals()), listener or Listener()
    check_numbers(finalists, workers, final_seeds)
    chosen, stopper = strategy_of(strategy), pruner_of(stop)
    sharing = chosen if isinstance(chosen, OnSharedWeights) else None
    budget, most = seconds_of(time), seconds_of(trial_time, "trial time")
    folder = Path(run).absolute() if run is not None else None
    wanted = TRIALS if trials is None and budget is None else trials
    if sharing is not None:
        refuse_proxy(proxy, chosen)
        check_options(folder, workers, share, evaluator, stopper)
        wanted = trials_of(sharing.method, trials, budget is not None)
    elif inherit:
        refuse_inherit(chosen)
    check_budget(wanted, budget, most)
    problem = open_problem(
        space,
        data,
        task=_task(task, loss, metrics),
        options=read,
        arguments=arguments,
        recipe=recipe,
        final_epochs=final_epochs,
        epochs=epochs,
        share=share,
        device=device,
        latency=LatencyOptions.parse(latency) if isinstance(latency, str) else latency,
    )
    if sharing is not None:
        if isinstance(problem.task, LearnedLoss):
            problem.task.expect_shared()
        problem.fidelity = Fidelity(epochs_of(problem, epochs, budget is not None))
        evaluator = sharing.evaluator = evaluator_of(problem, folder)
    else:
        _as_begun(problem, folder, seed, epochs, share)
    objectives, bounds = objectives_for(problem, maximize, minimize, limits)
    clocked = any(name.startswith("latency") for name in named_in(objectives, bounds))
    latencies = (
        latency_evaluator(problem, folder, sharing is not None, tell.measured) if clocked else None
    )
    whole = build_evaluator(problem, objectives, bounds, evaluator, latencies)
    _check(problem, chosen, stopper, objectives, bounds, whole)
    chosen = advised(chosen, proxy, problem, folder, seed, tell)
    reach = check_limits(problem.space, whole, bounds, seed)
    if reach.doubt:
        tell.doubt(reach.doubt)
    _try_out(problem, seed, given["evaluator"] is None or finalists > 0)
    with open_store(folder) as store:
        check_inherit(store, inherit)
        study = Study(
            problem.space,
            StartFrom(first_of(problem, reach), within(chosen, reach), note="to start from"),
            whole,
            objectives,
            bounds,
            store=store,
            executor=_executor(workers),
            seed=seed,
            trials=wanted,
            seconds=budget,
            trial_time=most,
            fidelity=problem.fidelity,
            stop=stopper,
            meta=_meta(problem, store, chosen, given, wanted, budget),
            on_event=tell.event,
        )
        save_predictor(study)
        if tell.ready:
            tell.ready(problem, study)
        ended = _work(study, problem, sharing, budget, tell.shared)
        result = _result(ended, problem, folder)
        if not result.interrupted and finalists and ended.best is not None:
            _train_finalists(result, store, sharing, given, tell.final)
    if folder is not None:
        _report(result, Run(folder, problem=problem))
    return result


def _task(task: str | None, loss: Measure | None, metrics: Measures | None) -> str | Task | None:
    if loss is None and not metrics:
        return task
    from ..task.own import own_task

    return own_task(task, loss, metrics)


def _as_begun(
    problem: Problem, folder: Path | None, seed: int, epochs: int | None, share: float | None
) -> None:
    """Have all trials learn from one part of the data, or go on as a study began.

    Those of an older archsmith had a part for each trial, and other defaults of a trial.
    """
    known: Mapping[str, Any] = {}
    if folder is not None:
        # What is wrong with a folder is told when it is opened for the study.
        with suppress(ArchsmithError), SqliteStore(folder, read=True) as store:
            known = store.meta()
    if not known or known.get("subset") is not None:
        problem.subset = seed
    elif "fidelity" in known:
        begun = Fidelity(**known["fidelity"])
        problem.fidelity = Fidelity(epochs or begun.epochs, begun.share if share is None else share)


def _result(ended: StudyResult, problem: Problem, folder: Path | None) -> SearchResult:
    return SearchResult(
        ended.history, ended.front, ended.stopped, ended.seconds, problem, run=folder
    )


def _report(result: SearchResult, run: Run) -> None:
    result.report, why = run.try_report()
    result.problems += [why] if why else []


def _meta(
    problem: Problem,
    store: Store,
    chosen: Strategy,
    given: Mapping[str, Any],
    trials: int | None,
    seconds: float | None,
) -> dict[str, Any]:
    """What is kept with a study beside what it is."""
    told = problem.to_json()
    named = told | {"arguments": problem.space.plain_arguments()}
    return told | {
        "signature": signature_of(named) if given["run"] is not None else "",
        "models": models_of(problem.space, store.meta(), str(store.folder)),
        "strategy": chosen.name,
        "command": given["command"] or call_of(search, given, ("listener", "command")),
        "trials": trials,
        "time": seconds,
        "finalists": given["finalists"],
        "final_seeds": given["final_seeds"],
        "inherit": given["inherit"],
    }


def _try_out(problem: Problem, seed: int, trained: bool) -> None:
    """Refuse a builder whose models do not run, or whose default cannot be trained and copied."""
    check_shapes(problem.space, problem.forward_on_meta, seed)
    if trained:
        rehearse(problem.space, problem.task, problem.data, problem.recipe, problem.device)


def _check(
    problem: Problem,
    chosen: Strategy,
    stopper: Pruner | None,
    objectives: Sequence[Objective],
    limits: Sequence[Limit],
    evaluator: Evaluator,
) -> None:
    empty = History(objectives, limits, epochs=offered(evaluator, problem.fidelity))
    chosen.check(problem.space, empty)
    if stopper is not None:
        stopper.check(empty)


def _work(
    study: Study,
    problem: Problem,
    sharing: OnSharedWeights | None,
    budget: float | None,
    on_shared: OnShared | None,
) -> StudyResult:
    """Train shared weights where there are to be some, then run the study."""
    if sharing is not None:
        try:
            Sharing(problem, sharing, study, budget, on_shared).prepare()
        except KeyboardInterrupt:
            return study.so_far()
    return study.run()


def _executor(workers: int) -> Executor:
    return Inline() if workers == 1 else Processes(workers)


def _train_finalists(
    result: SearchResult,
    store: Store,
    sharing: OnSharedWeights | None,
    given: Mapping[str, Any],
    on_final: OnFinal | None,
) -> None:
    """Fill in winner, default and problems; an interruption keeps what the search found."""
    start = inherited(sharing.evaluator) if sharing and given["inherit"] else None
    goal, first = result.history.objectives[0], sharing.derived[:1] if sharing else []
    finals = Finals(result.problem, store, given["seed"], goal, start, given["final_seeds"])
    try:
        winner, default = finals.decide(result.history, given["finalists"], on_final, first)
    except KeyboardInterrupt:
        result.stopped = INTERRUPTED
        return
    result.best = found_of(result.problem, winner) if winner else None
    result.default = found_of(result.problem, default) if default else None
    result.comparison, result.problems = finals.comparison, finals.problems
