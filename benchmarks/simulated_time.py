"""Simulated time until a search is within 0.1 points of the optimum, for each strategy.

    python benchmarks/simulated_time.py [--tables NAME...] [--strategies NAME...] [--seeds 20]
        [--cap 300] [--continuing] [--json simulated_time.json]

Needs ``ARCHSMITH_DATA``. A run is a study on one simulated worker over a table with early epochs;
it ends when a full evaluation is within the tolerance of the best recorded value of the selection
metric, or after ``--cap`` mean full evaluations. Short evaluations pay their share of the epochs;
they never count as results. Times are in full evaluations of a mean architecture. NAS-Bench-201 has
no recorded seconds: its time is proportional to FLOPs. NAS-Bench-NLP has recorded wall times.

Tolerance: 0.1 points of validation accuracy; on NAS-Bench-NLP, whose metric is a perplexity, 1 % of
the best perplexity, that is 0.01 of the loss.

A promoted architecture is trained anew and pays all epochs, unless ``--continuing`` is given: then
it pays the additional ones. (NAS-Bench-201's 12 epochs are a schedule of their own, so there the
option describes a saving that these records do not show.)

The interval of a median is from the order statistics of the runs (binomial, at least 95 %). Runs
that do not reach the target count as longer than all others. Processor time is that of a whole run
divided by its trials.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from archsmith.bench import read_table
from archsmith.evaluate.table import TableEvaluator
from archsmith.history.trial import History, Proposal
from archsmith.space import Space
from archsmith.strategy import Strategy, named
from archsmith.study import Study
from archsmith.study.simulated import Simulated
from archsmith.tables import BenchmarkTable

TABLES = ("nb201/cifar10", "nb201/cifar100", "nlp/wikitext2")
OLD = (
    "random",
    "evolution",
    "genetic",
    "local-search",
    "tpe",
    "reinforce",
    "bananas",
    "linear-thompson",
    "bayesian",
    "auto",
    "successive-halving",
    "hyperband",
    "asha",
    "bohb",
    "abohb",
)
NEW = ("freeze-thaw", "bayesian per second")
POINTS, SHARE = 0.1, 0.01
#: Real time of a run, which never ends one: a study needs a budget.
_REAL_SECONDS = 86_400.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tables", nargs="+", default=list(TABLES))
    parser.add_argument("--strategies", nargs="+", default=[*OLD, *NEW])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--cap", type=float, default=300.0, help="mean full evaluations a run")
    parser.add_argument("--continuing", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    cells: list[dict[str, Any]] = []
    for name in options.tables:
        kind, _, dataset = name.partition("/")
        table = read_table(kind, None, dataset or None)
        for strategy in options.strategies:
            cells.append(cell(table, strategy, options))
            print(_line(cells[-1]), file=sys.stderr, flush=True)
            if options.json:
                told = {k: v for k, v in vars(options).items() if k != "json"}
                machine = platform.processor() or platform.machine()
                document = {"machine": machine, "options": told, "cells": cells}
                options.json.write_text(json.dumps(document, indent=1))
    print(report(cells))


def cell(table: BenchmarkTable, strategy: str, options: argparse.Namespace) -> dict[str, Any]:
    """All runs of one strategy on one table."""
    times, trials, milliseconds = [], [], []
    for seed in range(options.first, options.first + options.seeds):
        began = time.process_time()
        reached, ended = run(table, _make(strategy), seed, options.cap, options.continuing)
        milliseconds.append(1000 * (time.process_time() - began) / max(ended, 1))
        times.append(reached)
        trials.append(ended)
    low, median, high = median_interval(times)
    return {
        "table": f"{table.name}/{table.dataset}",
        "strategy": strategy,
        "runs": options.seeds,
        "reached": sum(map(math.isfinite, times)),
        "median": _finite(median),
        "low": _finite(low),
        "high": _finite(high),
        "times": [_finite(t) for t in times],
        "trials": float(np.median(trials)),
        "ms_per_trial": float(np.median(milliseconds)),
    }


def run(
    table: BenchmarkTable, strategy: Strategy, seed: int, cap: float, continuing: bool
) -> tuple[float, int]:
    """Simulated time, in mean full evaluations, until the target (infinite if not reached); and the
    number of trials."""
    simulated = Simulated(1, continuing)
    mean = 1.0 if table.seconds is None else float(table.seconds.mean())
    until = Until(strategy, table, simulated, cap * mean)
    evaluator = TableEvaluator(table)
    study = Study(
        table.space,
        until,
        evaluator,
        [table.select],
        executor=simulated,
        seed=seed,
        seconds=_REAL_SECONDS,
    )
    history = study.run().history
    for trial in history.full:
        whole = trial.fidelity.epochs == table.epochs[-1]
        if whole and table.select.loss(trial.metrics) <= target(table):
            return simulated.ended[trial.number] / mean, len(history)
    return math.inf, len(history)


def target(table: BenchmarkTable) -> float:
    """The loss from which a result is near enough to the optimum."""
    if table.select.direction == "maximize":
        return table.optimum + POINTS
    return table.optimum * (1 + SHARE)


class Until(Strategy):
    """Stops a strategy at the target, or when the simulated time is over."""

    name = "until"

    def __init__(
        self, strategy: Strategy, table: BenchmarkTable, clock: Simulated, cap: float
    ) -> None:
        self.strategy, self.clock, self.cap = strategy, clock, cap
        self._target, self._select = target(table), table.select
        self._full = table.epochs[-1]

    def check(self, space: Space, history: History) -> None:
        self.strategy.check(space, history)

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        newest = history.ended[-1] if history.ended else None
        there = (
            newest is not None
            and newest.fidelity.epochs == self._full
            and self._select.loss(newest.metrics) <= self._target
        )
        if there or self.clock.now >= self.cap:
            return None
        return self.strategy.propose(space, history, rng)


def median_interval(times: Sequence[float], level: float = 0.95) -> tuple[float, float, float]:
    """The median with an interval from order statistics whose coverage is at least ``level``."""
    ordered, n = sorted(times), len(times)
    # The largest k such that fewer than k of n values lie below the median with small probability.
    below, k = 0.0, 0
    while k < n // 2:
        below += math.comb(n, k) / 2.0**n
        if 2 * below > 1 - level:
            break
        k += 1
    median = (ordered[(n - 1) // 2] + ordered[n // 2]) / 2
    if k == 0:
        return -math.inf, median, math.inf
    return ordered[k - 1], median, ordered[n - k]


def report(cells: Sequence[dict[str, Any]]) -> str:
    """A table for each benchmark, as Markdown, with the ratio to the best old strategy."""
    lines = []
    for name in dict.fromkeys(c["table"] for c in cells):
        mine = [c for c in cells if c["table"] == name]
        old = [c["median"] for c in mine if c["strategy"] not in NEW and c["median"] is not None]
        best = min(old, default=math.nan)
        lines += [
            f"\n{name}: simulated time to the target, in mean full evaluations\n",
            "| strategy | median | 95 % interval | reached | ratio to the best old | trials "
            "| ms a trial |",
            "|---|---|---|---|---|---|---|",
        ]
        for c in mine:
            ratio = "–" if c["median"] is None else f"{c['median'] / best:.2f}"
            lines.append(
                f"| {c['strategy']} | {_text(c['median'])} | {_text(c['low'])} to "
                f"{_text(c['high'])} | {c['reached']} of {c['runs']} | {ratio} "
                f"| {c['trials']:.0f} | {c['ms_per_trial']:.1f} |"
            )
    return "\n".join(lines)


def _make(name: str) -> Strategy:
    if name == "bayesian per second":
        from archsmith.strategy.bayesian import BayesianOptimization

        return BayesianOptimization(per_second=True)
    return named(name)()


def _line(c: dict[str, Any]) -> str:
    return (
        f"{c['table']} {c['strategy']}: {_text(c['median'])} ({_text(c['low'])} to "
        f"{_text(c['high'])}), {c['reached']} of {c['runs']}, {c['trials']:.0f} trials, "
        f"{c['ms_per_trial']:.1f} ms"
    )


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _text(number: float | None) -> str:
    return "not reached" if number is None else f"{number:.1f}"


if __name__ == "__main__":
    main()
