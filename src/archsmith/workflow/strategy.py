"""The strategy of a search: by name or as it is, advised, within limits, from a first one."""

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
    from ..supernet.method import Method


def first_of(problem: Problem, reach: Reach) -> list[Architecture]:
    """What a search starts from: the default, and where that breaks a limit, one that keeps all."""
    default = problem.space.default()
    kept = reach.kept
    return [default] if kept is None or kept == default else [default, kept]


def within(chosen: Strategy, reach: Reach) -> Strategy:
    """The strategy, kept from proposing what breaks a limit, unless nothing is known to keep it."""
    if not reach.limits or reach.doubt:
        return chosen
    return KeepLimits(chosen)


def strategy_of(strategy: str | Strategy | Method) -> Strategy | OneShot:
    """What a name or a value means."""
    sharing = one_shot(strategy)
    if sharing is not None:
        return sharing
    assert isinstance(strategy, str | Strategy)
    return named(strategy)() if isinstance(strategy, str) else strategy


def refuse_inherit(chosen: Strategy | OneShot) -> None:
    wanted = "a one-shot method, whose weights can be inherited"
    raise InputError("inherit", wanted, chosen.name)


def refuse_proxy(proxy: str | None, chosen: Strategy | OneShot) -> None:
    if proxy is not None:
        raise InputError(
            "proxy", "a strategy whose trials are trained", chosen.name, "leave the proxy out"
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
    return Advised(strategy, advice, says=advice.name)
