"""The objectives of a search, and the evaluator that measures them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .._support.errors import InputError
from .._support.registry import load_from
from ..history.objective import Limit, Objective
from ..task.goals import Limits, limits_of, objectives_of
from ..task.problem import Problem

if TYPE_CHECKING:
    from ..evaluate import Evaluator, Stages


def build_evaluator(
    problem: Problem,
    objectives: Sequence[Objective],
    limits: Sequence[Limit],
    evaluator: Evaluator | None = None,
    latency: Evaluator | None = None,
) -> Stages:
    """One evaluator of costs; proxies, latency and energy if they are needed; and training.

    Args:
        evaluator: replaces training.
        latency: gives the latency, if it is needed.
    """
    from .._support.trees import spec_of
    from ..evaluate import Stages
    from ..evaluate.cost import CostEvaluator
    from ..evaluate.proxy import ProxyEvaluator, proxies_named
    from ..evaluate.training import TrainingEvaluator

    inputs = spec_of(problem.example())
    parts: list[Evaluator] = [CostEvaluator(problem.space, inputs)]
    metrics = named_in(objectives, limits)
    if scored := proxies_named(metrics):
        parts.append(
            ProxyEvaluator(
                problem.space,
                problem.source,
                problem.options,
                problem.task,
                scored,
                device=problem.device,
                data=problem.data,
            )
        )
    if latency is not None:
        parts.append(latency)
    if "energy_mj" in metrics:
        from ..evaluate.energy import EnergyEvaluator

        parts.append(
            EnergyEvaluator(problem.space, inputs, device=problem.device, options=problem.latency)
        )
    parts.append(evaluator or TrainingEvaluator.for_problem(problem, objectives[0]))
    return Stages(parts, limits)


def named_evaluator(evaluator: str | Evaluator | None, problem: Problem) -> Evaluator | None:
    """The evaluator of a name (or ``module:Class``) for a problem; an object is returned as it is.

    Raises:
        UnknownNameError: no such name.
        InputError: it cannot be made from a problem alone.
    """
    from ..evaluate import Evaluator, evaluators

    if not isinstance(evaluator, str):
        return evaluator
    kind = load_from(evaluator) if ":" in evaluator else evaluators.get(evaluator)
    if not (isinstance(kind, type) and issubclass(kind, Evaluator)):
        raise InputError(f"evaluator {evaluator}", "a subclass of nas.Evaluator", repr(kind))
    return kind.for_problem(problem)


def objectives_for(
    problem: Problem, maximize: str | Sequence[str], minimize: str | Sequence[str], limits: Limits
) -> tuple[tuple[Objective, ...], tuple[Limit, ...]]:
    """Objectives and limits, which may name the task's metrics, costs and proxy scores."""
    from ..evaluate.proxy import metrics_of_proxies

    scores = metrics_of_proxies()
    objectives = objectives_of(problem.task, maximize, minimize, scores)
    return objectives, limits_of(problem.task, limits, scores)


def named_in(objectives: Sequence[Objective], limits: Sequence[Limit]) -> set[str]:
    """Names of the metrics that are objectives or limited."""
    return {goal.metric for goal in objectives} | {limit.metric for limit in limits}


def untrained(judge: Evaluator | None, finalists: int) -> str:
    """A warning if the user's own evaluator does not train the finalists; else empty."""
    from ..evaluate import Trainer

    if judge is None or isinstance(judge, Trainer) or not finalists:
        return ""
    return (
        f"evaluator {judge.name} does not train finalists: they are trained with the task's "
        "recipe. Make it a nas.Trainer, or give finalists=0"
    )
