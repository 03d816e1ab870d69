"""The strategy of a search: by name or as an object, with proxies, limits and a start."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .._support.errors import InputError
from ..space import Architecture
from ..strategy import Strategy, named
from ..strategy.advised import Advised
from ..strategy.keep_limits import KeepLimits
from ..study.reach import Reach
from ..task.problem import Problem
from .advice import ProxyAdvice
from .listener import Listener
from .oneshot import OneShot, one_shot

if TYPE_CHECKING:
    from ..evaluate import Evaluator
    from ..study.stopping import Pruner
    from ..supernet.method import Method
    from .plan import SearchPlan
    from .times import TimePlan


def first_of(
    problem: Problem, reach: Reach, times: TimePlan | None, start: Architecture | None
) -> list[Architecture]:
    """What a search starts from: what the user gave; or in a limited time what the plan begins
    with, else the default, and if that breaks a limit also one that keeps all."""
    default = problem.space.default()
    if start is not None or times is not None:
        return [start or (times and times.start) or default]
    return [default] if reach.kept in (None, default) else [default, reach.kept]


def within(chosen: Strategy, reach: Reach) -> Strategy:
    """The strategy, restricted to proposals that keep the limits, if any are known to do so."""
    if not reach.limits or reach.doubt:
        return chosen
    return KeepLimits(chosen)


def strategy_of(strategy: str | Strategy | Method) -> Strategy | OneShot:
    """The strategy or one-shot search that a name or a value stands for."""
    sharing = one_shot(strategy)
    if sharing is not None:
        return sharing
    assert isinstance(strategy, str | Strategy)
    return named(strategy)() if isinstance(strategy, str) else strategy


def refuse_inherit(chosen: Strategy | OneShot) -> None:
    expected = "a one-shot method, whose weights can be inherited"
    raise InputError("inherit", expected, chosen.name)


def refuse_proxy(proxy: str | None, chosen: Strategy | OneShot) -> None:
    if proxy is not None:
        raise InputError(
            "proxy", "a strategy whose trials are trained", chosen.name, "leave the proxy out"
        )


def refuse_tune(plan: SearchPlan, chosen: OneShot) -> None:
    if plan.tune is not None:
        raise InputError(
            "tune",
            "a strategy whose trials are trained, each with a recipe of its own",
            f"{chosen.name}, where one training with one recipe serves all architectures",
            "leave tune out, or search with --strategy auto",
        )


def expect_recipe(evaluator: Evaluator) -> None:
    """Refuse an evaluator that does not train with the recipe of the architecture."""
    if not evaluator.reads_recipe:
        raise InputError(
            "tune",
            "an evaluator that trains with the recipe of the architecture",
            f"{evaluator.name}, which does not say that it does",
            "leave evaluator or tune out; or train with nas.recipe_of(space, recipe, "
            "architecture) and set reads_recipe = True",
        )


def advised(
    strategy: Strategy,
    proxy: str | None,
    problem: Problem,
    folder: Path | None,
    seed: int,
    tell: Listener,
) -> Strategy:
    if proxy is None:
        return strategy
    advice = ProxyAdvice(problem, proxy, folder, seed, tell.scored)
    if problem.tune is not None:
        searched = ", ".join(problem.tune.choices)
        tell.doubt(
            f"proxy {advice.name} scores models, whatever their recipe: among equal models it says "
            f"nothing about {searched}"
        )
    return Advised(strategy, advice, says=advice.name)


def check_options(plan: SearchPlan, pruner: Pruner | None) -> None:
    """Refuse options that make no sense with shared weights.

    Raises:
        InputError: which option, and what to do instead.
    """
    if plan.workers > 1 and plan.run is None:
        raise InputError(
            "workers",
            "a run folder, from which workers read the weights",
            "none",
            "run='runs/name', or workers=1",
        )
    if plan.share is not None:
        raise InputError(
            "share",
            "nothing: shared weights train on the whole training part",
            str(plan.share),
            "epochs or time shorten the training",
        )
    if plan.backbone is not None:
        expected = "a strategy whose trials are trained, which keeps its weights"
        raise InputError("backbone", expected, f"{plan.strategy}", "--strategy auto")
    if plan.evaluator is not None:
        name = plan.evaluator if isinstance(plan.evaluator, str) else plan.evaluator.name
        expected = "none with a one-shot method, which brings its own"
        raise InputError("evaluator", expected, name)
    if pruner is not None:
        raise InputError(
            "stop",
            "nothing: a trial on shared weights is not trained",
            pruner.name,
            "a strategy whose trials are trained, such as auto",
        )
