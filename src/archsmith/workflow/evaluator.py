"""What a search goes by, and how its architectures are evaluated for it."""

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
    """Costs; proxies, latency and energy where they are asked for; and training: one evaluator.

    Args:
        evaluator: in place of training.
        latency: tells the latency, where it is asked for.
    """
    from .._support.trees import spec_of
    from ..evaluate import Stages
    from ..evaluate.cost import CostEvaluator
    from ..evaluate.proxy import ProxyEvaluator, proxies_named
    from ..evaluate.training import TrainingEvaluator

    inputs = spec_of(problem.example())
    parts: list[Evaluator] = [CostEvaluator(problem.space, inputs)]
    wanted = named_in(objectives, limits)
    if scored := proxies_named(wanted):
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
    if "energy_mj" in wanted:
        from ..evaluate.energy import EnergyEvaluator

        parts.append(
            EnergyEvaluator(problem.space, inputs, device=problem.device, options=problem.latency)
        )
    parts.append(evaluator or TrainingEvaluator.for_problem(problem, objectives[0]))
    return Stages(parts, limits)


def named_evaluator(given: str | Evaluator | None, problem: Problem) -> Evaluator | None:
    """The evaluator of a name (or ``module:Class``) for a problem; one that is given as it is.

    Raises:
        UnknownNameError: no such name.
        InputError: it cannot be made of a problem alone.
    """
    from ..evaluate import Evaluator, evaluators

    if not isinstance(given, str):
        return given
    kind = load_from(given) if ":" in given else evaluators.get(given)
    if not (isinstance(kind, type) and issubclass(kind, Evaluator)):
        raise InputError(f"evaluator {given}", "a subclass of nas.Evaluator", repr(kind))
    return kind.for_problem(problem)


def objectives_for(
    problem: Problem, maximize: str | Sequence[str], minimize: str | Sequence[str], limits: Limits
) -> tuple[tuple[Objective, ...], tuple[Limit, ...]]:
    """What is searched for: the task's metrics, costs, and scores of proxies may be named."""
    from ..evaluate.proxy import metrics_of_proxies

    scores = metrics_of_proxies()
    objectives = objectives_of(problem.task, maximize, minimize, scores)
    return objectives, limits_of(problem.task, limits, scores)


def named_in(objectives: Sequence[Objective], limits: Sequence[Limit]) -> set[str]:
    """The metrics that are aimed at or limited."""
    return {goal.metric for goal in objectives} | {limit.metric for limit in limits}
