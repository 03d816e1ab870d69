"""What makes the strategy of each run, whatever way it was named."""

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

#: A name, a strategy, or what makes one.
Strategies = str | Strategy | Callable[[], Strategy]


@dataclass(frozen=True)
class StrategyFactory:
    """A strategy's name, what makes one for each run, and what it says it will do."""

    name: str
    make: Callable[[], Strategy]
    says: str


@dataclass(frozen=True)
class _Copies:
    """Makes copies of a strategy, so that no run learns from another one."""

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
    """The strategies, each with a name of its own.

    Args:
        portably: whether they must be fit to be brought to other processes.

    Raises:
        InputError: one cannot serve the goal, is no strategy, or cannot be brought there.
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
    made: list[StrategyFactory] = []
    times: Counter[str] = Counter()
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
        times[plain] += 1
        name = plain if times[plain] == 1 else f"{plain} {times[plain]}"
        made.append(StrategyFactory(name, make, first.describe(table.space, history)))
    return made


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
    """Refuse a strategy that begins with short evaluations which lack what it is to go by."""
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
            "take a strategy of full evaluations alone, such as auto",
        )
