"""The search: from a space, data and a budget to a trained model."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from .._support.errors import ArchsmithError
from .._support.plans import flat
from ..evaluate import Evaluator, Stages, Trainer
from ..hardware.clock import METRICS
from ..history.objective import Limit, Objective
from ..history.trial import Fidelity, History
from ..space import Architecture
from ..space.ordinary import ordinary
from ..strategy import Strategy
from ..strategy.start import StartFrom
from ..study import (
    SqliteStore,
    Store,
    Study,
    check_limits,
    check_shapes,
)
from ..study.checks import check_budget
from ..study.executors import make_executor
from ..study.fidelity import offered
from ..study.identity import models_of
from ..study.rehearsal import rehearse
from ..study.result import INTERRUPTED, StudyResult
from ..study.stopping import Pruner, pruner_of
from ..task.contracts import AsLongAsTheRecipe, LearnedLoss
from ..task.goals import check_numbers, seconds_of
from ..task.problem import Problem
from ..task.references import Reference
from ..task.tune import recipe_space
from .backbone import open_on_backbone
from .baseline import Baseline
from .baselines import Baselines, chosen_references, seconds_of_each
from .beginning import start_of, with_start
from .evaluator import build_evaluator, named_evaluator, named_in, untrained
from .figures import begun_anew
from .finalist import Finalist
from .finalists import Finalists
from .latency import latency_evaluator, save_predictor
from .listener import Listener
from .looking import look
from .oneshot import (
    OneShot,
    OnSharedWeights,
    Sharing,
    check_inherit,
    epochs_of,
    evaluator_of,
    inherited,
    trials_of,
)
from .plan import SearchPlan
from .recorded import open_store
from .reopening import signature_of
from .result import SearchResult
from .run import Run
from .sizing import limited
from .strategy import (
    advised,
    check_options,
    expect_recipe,
    first_of,
    refuse_inherit,
    refuse_proxy,
    refuse_tune,
    strategy_of,
    within,
)
from .timeplan import divide, hurried, in_rounds
from .times import TimePlan

#: Note of the first trials.
_FIRST = "to start from"
#: Trials of a search if neither their number nor a time is given.
TRIALS = 24


@ordinary()
def run_plan(plan: SearchPlan) -> SearchResult:
    """Search for the best architecture, train it to the end and compare it with the default.

    Raises:
        InputError: an argument is wrong; nothing has been started.
        WorkError: every trial failed.
        StoreError: the study could not be written; what was written before is safe.
    """
    plan, tell = with_start(plan), plan.listener or Listener()
    began = plan.began or time.monotonic()
    check_numbers(plan.finalists, plan.workers, plan.final_seeds)
    wish, pruner = strategy_of(plan.strategy), pruner_of(plan.stop)
    budget, most = seconds_of(plan.time), seconds_of(plan.trial_time, "trial time")
    trials = _checked_budget(plan, wish, pruner, budget, most)
    problem, chosen, judge = _open(plan, wish, budget)
    start = start_of(plan, problem)
    plain, references = problem, chosen_references(plan.baseline, problem.task, plan.final_count)
    sharing = chosen if isinstance(chosen, OnSharedWeights) else None
    trainer = judge if isinstance(judge, Trainer) else None
    _check_default(
        problem, plan.seed, plan.evaluator is None or (plan.final_count > 0 and trainer is None)
    )
    objectives, bounds = plan.goals(problem)
    clock = None
    if named_in(objectives, bounds) & set(METRICS):
        clock = latency_evaluator(problem, plan.folder, sharing is not None, tell.measured)
    whole = build_evaluator(problem, objectives, bounds, judge, clock)
    reach = check_limits(problem.space, whole, bounds, plan.seed)
    times, net, fitted = None, None, None
    if budget is not None:
        net, fitted = look(plan, problem, sharing, references, plain, objectives[0])
        loss = None if start else limited(whole, problem.space, reach, objectives, bounds)
        first = start or reach.kept or problem.space.default()
        times, chosen = divide(plan, budget, problem, began, judge, chosen, first, loss)
        problem = in_rounds(problem, times) if times.rounds else problem
        whole = build_evaluator(problem, objectives, bounds, judge, clock)
    _check(problem, chosen, pruner, objectives, bounds, whole)
    chosen = advised(chosen, plan.proxy, problem, plan.folder, plan.seed, tell)
    for doubt in filter(None, (reach.doubt, *_doubts(plan, problem, judge, sharing, times))):
        tell.doubt(doubt)
    with open_store(plan.folder) as store:
        check_inherit(store, plan.inherit)
        earlier, seconds = store.record().seconds, times.search if times else None
        study = Study(
            problem.space,
            StartFrom(first_of(problem, reach, times, start), within(chosen, reach), _FIRST),
            whole,
            objectives,
            bounds,
            store=store,
            executor=make_executor(plan.executor, plan.workers, plan.device),
            seed=plan.seed,
            trials=trials,
            seconds=seconds,
            trial_time=most,
            fidelity=problem.fidelity,
            expected=times.trial if times else 0.0,
            stop=pruner,
            meta=_meta(plan, problem, store, chosen, trials, times)
            | {"trainer": judge.name if judge and trainer else ""},
            on_event=tell.event,
        )
        save_predictor(study)
        if tell.ready:
            tell.ready(problem, study)
        if tell.planned and times:
            tell.planned(times)
        share = Sharing(problem, sharing, study, seconds, tell.shared, net) if sharing else None
        ended = _work(study, share)
        result = _result(ended, problem, plan.folder)
        if not result.interrupted and plan.final_count and ended.best is not None:
            until = times.until(earlier) if times else None
            last = in_rounds(problem, times) if times else problem
            finals = _finals(plan, last, study, objectives[0], sharing, judge, whole, until)
            _train_finalists(plan, result, finals, sharing.derived[:1] if sharing else [])
        if references and result.best is not None:
            each = seconds_of_each(plan.baseline, budget)
            _hold_against(references, plan, result, result.best, store, plain, each, fitted)
    if plan.folder is not None:
        result.report, why = Run(plan.folder, problem=problem).try_report()
        result.problems += [why] if why else []
    return result


search = flat(SearchPlan, "search")(run_plan)


def _hold_against(
    references: Sequence[Reference],
    plan: SearchPlan,
    result: SearchResult,
    winner: Finalist,
    store: Store,
    problem: Problem,
    seconds: float | None,
    fitted: Mapping[str, Baseline] | None,
) -> None:
    """Train the references and fill in the baselines; after an interruption they stay empty."""
    goals, limits = result.history.objectives, result.history.limits
    baselines = Baselines(
        problem,
        store,
        plan.seed,
        goals[0],
        seconds,
        together=winner.whole,
        mixes=plan.recipe is None and plan.final_epochs is None,
        trained=fitted,
        on_epoch=plan.listener.baseline if plan.listener else None,
    )
    try:
        timed = "latency_ms" in named_in(goals, limits)
        result.baselines = baselines.compare(references, winner, timed)
    except KeyboardInterrupt:
        result.stopped = INTERRUPTED
    if baselines.problems:
        result.problems += baselines.problems
        store.note("problems", result.problems)


def _checked_budget(
    plan: SearchPlan,
    wish: Strategy | OneShot,
    pruner: Pruner | None,
    seconds: float | None,
    trial_time: float | None,
) -> int | None:
    """Check the options of the budget; returns the number of trials, if it is limited."""
    trials = TRIALS if plan.trials is None and seconds is None else plan.trials
    if isinstance(wish, OneShot):
        refuse_proxy(plan.proxy, wish)
        refuse_tune(plan, wish)
        check_options(plan, pruner)
        trials = trials_of(wish.method, plan.trials, seconds is not None)
    elif plan.inherit:
        refuse_inherit(wish)
    check_budget(trials, seconds, trial_time)
    return trials


def _open(
    plan: SearchPlan, wish: Strategy | OneShot, seconds: float | None
) -> tuple[Problem, Strategy, Evaluator | None]:
    """The problem, the strategy, and the evaluator if trials are not simply trained."""
    problem = open_on_backbone(
        plan,
        recipe=plan.recipe,
        final_epochs=plan.final_epochs,
        epochs=plan.epochs,
        share=plan.share,
        tune=recipe_space(plan.tune),
    )
    if not isinstance(wish, OneShot):
        problem = _as_begun(problem, plan, wish)
        judge = named_evaluator(plan.evaluator, problem)
        if problem.tune is not None and judge is not None:
            expect_recipe(judge)
        return problem, wish, judge
    if isinstance(problem.task, LearnedLoss):
        problem.task.expect_shared()
    epochs = epochs_of(problem, plan.epochs, seconds is not None)
    problem = replace(problem, fidelity=Fidelity(epochs))
    judge = evaluator_of(problem, plan.folder)
    return problem, OnSharedWeights(wish.method, wish.then, judge), judge


def _as_begun(problem: Problem, plan: SearchPlan, strategy: Strategy) -> Problem:
    """Train all trials on the same subset of the data, and for a strategy that promotes trials on a
    schedule that can be continued; or as the study in the folder began.

    Studies of older versions had a subset for each trial, and other defaults for a trial.
    """
    meta: Mapping[str, Any] = {}
    if plan.folder is not None:
        # Errors of the folder are raised when it is opened for the study.
        with suppress(ArchsmithError), SqliteStore(plan.folder, read=True) as store:
            meta = store.meta()
    if strategy.promotes and plan.recipe is None and plan.evaluator is None:
        schedule: Any = meta.get("recipe", {"schedule": "wsd"}).get("schedule", "cosine")
        problem = replace(problem, recipe=replace(problem.recipe, schedule=schedule))
    if not meta or meta.get("subset") is not None:
        return replace(problem, subset=plan.seed)
    if "fidelity" not in meta:
        return problem
    begun = Fidelity(**meta["fidelity"])
    share = begun.share if plan.share is None else plan.share
    return replace(problem, fidelity=Fidelity(plan.epochs or begun.epochs, share))


def _doubts(
    plan: SearchPlan,
    problem: Problem,
    judge: Evaluator | None,
    sharing: OnSharedWeights | None,
    times: TimePlan | None,
) -> Sequence[str]:
    """Warnings about what was asked for, some of them empty."""
    late = hurried(problem, times) if sharing and times and not plan.epochs else ""
    return "" if sharing else untrained(judge, plan.final_count), late


def _result(ended: StudyResult, problem: Problem, folder: Path | None) -> SearchResult:
    return SearchResult(
        ended.history, ended.front, ended.stopped, ended.seconds, problem, run=folder
    )


def _meta(
    plan: SearchPlan,
    problem: Problem,
    store: Store,
    chosen: Strategy,
    trials: int | None,
    times: TimePlan | None,
) -> dict[str, Any]:
    """Facts that are kept with a study in addition to those that identify it."""
    values = problem.to_json()
    named = values | {"arguments": problem.space.plain_arguments()}
    return values | {
        "signature": signature_of(named) if plan.run is not None else "",
        "models": models_of(problem.space, store.meta(), str(store.folder)),
        "strategy": chosen.name,
        "command": plan.call(),
        "trials": trials,
        "time": times.total if times else None,
        "plan": times.to_json() if times else None,
        "finalists": plan.final_count,
        "final_seeds": plan.final_seeds,
        "inherit": plan.inherit,
    }


def _check_default(problem: Problem, seed: int, trained: bool) -> None:
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


def _work(study: Study, sharing: Sharing | None) -> StudyResult:
    """Train shared weights if the strategy needs them, then run the study."""
    if sharing is not None:
        try:
            sharing.prepare()
        except KeyboardInterrupt:
            return study.so_far()
    return study.run()


def _finals(
    plan: SearchPlan,
    problem: Problem,
    study: Study,
    goal: Objective,
    sharing: OnSharedWeights | None,
    judge: Evaluator | None,
    whole: Stages,
    until: float | None,
) -> Finalists:
    """What trains the best trials to the end."""
    trainer = judge if isinstance(judge, Trainer) else None
    goes_on = until is None or not isinstance(problem.task, AsLongAsTheRecipe)
    return Finalists(
        problem,
        study.store,
        plan.seed,
        goal,
        inherited(sharing.evaluator) if sharing and plan.inherit else None,
        plan.final_seeds,
        trainer,
        whole.remeasured,
        until,
        study.states if goes_on and (judge is None or trainer is not None) else None,
    )


def _train_finalists(
    plan: SearchPlan, result: SearchResult, finals: Finalists, first: Sequence[Architecture]
) -> None:
    """Fill in winner, default and problems; after an interruption they stay empty."""
    on_final = plan.listener.final if plan.listener else None
    try:
        outcome = finals.decide(result.history, plan.final_count, on_final, first)
    except KeyboardInterrupt:
        result.stopped = INTERRUPTED
        return
    result.best, result.default = outcome
    result.comparison = finals.comparison
    result.problems = begun_anew(result.history) + finals.problems
