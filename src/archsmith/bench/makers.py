"""Factories for the strategy of each run, however it was given."""

from __future__ import annotations

import copy
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .._support.errors import InputError
from ..history.trial import History
from ..strategy import Strategy, named
from ..strategy.optuna import OptunaSampler
from ..tables import BenchmarkTable
from .goals import unknown_early
from .many import portable
from .repeat import Goal

#: A name, a strategy, or a function that returns one.
Strategies = str | Strategy | Callable[[], Strategy]


@dataclass(frozen=True)
class StrategyFactory:
    """A strategy's name, a function that makes one for each run, and its description."""

    name: str
    make: Callable[[], Strategy]
    says: str


@dataclass(frozen=True)
class _Copies:
    """Makes copies of a strategy, so that no run learns from another."""

    strategy: Strategy

    def __call__(self) -> Strategy:
        return copy.deepcopy(self.strategy)


def makers_of(
    table: BenchmarkTable,
    strategies: Sequence[Strategies],
    goal: Goal,
    queries: int,
    workers: int,
    portably: bool,
) -> list[StrategyFactory]:
    """A factory for each strategy, with unique names.

    Args:
        portably: whether they must be picklable, to be sent to other processes.

    Raises:
        InputError: one does not support the goal, is not a strategy, or cannot be pickled.
    """
    if not strategies:
        raise InputError("strategies", "at least one", "none")
    history = History(
        goal.objectives,
        goal.limits,
        key=table.space.canonical,
        epochs=table.epochs,
        budget=queries,
        workers=workers,
    )
    factories: list[StrategyFactory] = []
    counts: Counter[str] = Counter()
    for strategy in strategies:
        make = _make_of(strategy)
        first = make()
        if not isinstance(first, Strategy):
            raise InputError("strategy", "a name, a Strategy or what makes one", repr(strategy))
        plain = strategy if isinstance(strategy, str) else _name(first)
        if portably:
            portable(plain, make)
        first.check(table.space, history)
        _check_early(table, goal, plain, first, history)
        counts[plain] += 1
        name = plain if counts[plain] == 1 else f"{plain} {counts[plain]}"
        factories.append(StrategyFactory(name, make, first.describe(table.space, history)))
    return factories


def _make_of(strategy: Strategies) -> Callable[[], Strategy]:
    if isinstance(strategy, str):
        return named(strategy)
    if isinstance(strategy, Strategy):
        return _Copies(strategy)
    if not callable(strategy):
        raise InputError("strategy", "a name, a Strategy or what makes one", repr(strategy))
    return strategy


def _name(strategy: Strategy) -> str:
    sampler = f"optuna:{strategy.sampler}" if isinstance(strategy, OptunaSampler) else ""
    return sampler or strategy.name


def _check_early(
    table: BenchmarkTable, goal: Goal, name: str, strategy: Strategy, history: History
) -> None:
    """Refuse a strategy that begins with short evaluations if these lack metrics of the goal."""
    lacking = unknown_early(table, goal)
    if not lacking:
        return
    first = strategy.propose(table.space, history, random.Random(0))
    epochs = first.fidelity.epochs if first and first.fidelity else None
    if epochs is not None and epochs < table.epochs[-1]:
        raise InputError(
            name,
            f"objectives and limits that {table.name} knows after {epochs} epochs",
            ", ".join(lacking),
            "choose a strategy that uses only full evaluations, such as auto",
        )
