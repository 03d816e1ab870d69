"""Every strategy on every benchmark table, with one and with eight workers.

    python benchmarks/tables.py [--tables NAME...] [--strategies NAME...] [--queries 300]
        [--repeats 200] [--seconds 20] [--processes 2] [--json tables.json]

Needs ``ARCHSMITH_DATA``. A run is a study of so many full evaluations whose answers come from the
table; workers are simulated, with the table's own times where it has them. A strategy gets up to
``--repeats`` runs on each table, fewer (``--fewest`` at least) where they would take more than
``--seconds``; the table says how many. The regret after a query is how far the best architecture so
far is from the best recorded, both by the metric that the search sees; to compare tables it is
divided by the distance from the best recorded to the median. A run of a strategy over fidelities
holds nothing before its first full evaluation and counts as the median until then, regret 1: what a
blind choice is worth. A rank is among the strategies on the
same table, after the same number of queries, with as many workers; ties share the mean rank. Where
``auto`` picks one strategy for a whole run its row is that strategy's (checked on a run).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
from picked import same_as_auto

from archsmith._support.errors import ArchsmithError
from archsmith.bench import benchmark, read_table
from archsmith.strategy import named
from archsmith.study.processes import cores
from archsmith.tables import BenchmarkTable

#: Table and data set.
TABLES = (
    "nb201/cifar10",
    "nbmacro",
    "channelbench",
    "tnb101-micro/class_scene",
    "tnb101-macro/class_scene",
    "nb101",
    "mr/cls-50-1000",
    "mr/seg",
    "graph/cora",
    "graph/arxiv",
    "hwgpt/s",
    "nlp",
)
SINGLE = (
    "auto",
    "bayesian",
    "bananas",
    "linear-thompson",
    "tpe",
    "genetic",
    "nsga2",
    "local-search",
    "reinforce",
    "evolution",
    "random",
    "grid",
)
#: Only where a table was recorded at several fidelities.
FIDELITY = ("successive-halving", "hyperband", "asha", "bohb", "abohb")
AT = (30, 100, 300)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tables", nargs="+", default=list(TABLES))
    parser.add_argument("--strategies", nargs="+", default=[*SINGLE, *FIDELITY])
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--queries", type=int, default=max(AT))
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20.0, help="for a strategy on a table")
    parser.add_argument("--fewest", type=int, default=10, help="runs, however long they take")
    parser.add_argument("--processes", type=int, default=cores())
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    jobs = [(name, workers) for workers in options.workers for name in options.tables]
    cells: list[dict[str, Any]] = []
    began = time.time()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.processes, context, max_tasks_per_child=1) as pool:
        waiting = [pool.submit(_job, name, workers, options) for name, workers in jobs]
        for done, future in enumerate(as_completed(waiting), start=1):
            cells += future.result()
            print(f"{done} of {len(jobs)} after {time.time() - began:.0f} s", file=sys.stderr)
            if options.json:
                options.json.write_text(json.dumps(_document(cells, options), indent=1))
    for workers in options.workers:
        mine = [cell for cell in cells if cell["workers"] == workers]
        print(f"\n{workers} worker{'s' if workers > 1 else ''}\n")
        print(summary(mine, options.strategies))
        print()
        print(details(mine, options.strategies))


def _document(cells: Sequence[dict[str, Any]], options: argparse.Namespace) -> dict[str, Any]:
    told = {k: v for k, v in vars(options).items() if k != "json"}
    return {"machine": platform.processor() or platform.machine(), "options": told, "cells": cells}


def _job(name: str, workers: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    kind, _, dataset = name.partition("/")
    table = read_table(kind, None, dataset or None)
    queries = min(options.queries, table.graphs)
    found = []
    for strategy in options.strategies:
        if strategy in FIDELITY and not table.epochs:
            continue
        if strategy == "auto" and "bayesian" in options.strategies:
            continue
        try:
            found.append(_cell(table, name, strategy, queries, workers, options))
            if strategy == "bayesian" and "auto" in options.strategies:
                same = same_as_auto(table, queries, workers) == strategy
                auto = {**found[-1], "strategy": "auto"}
                found.append(
                    auto if same else _cell(table, name, "auto", queries, workers, options)
                )
        except ArchsmithError as error:
            print(f"{name}, {strategy}: {error}", file=sys.stderr)
    return found


def _cell(
    table: BenchmarkTable,
    name: str,
    strategy: str,
    queries: int,
    workers: int,
    options: argparse.Namespace,
) -> dict[str, Any]:
    def run(repeats: int, seed: int) -> Any:
        return benchmark(
            table,
            named(strategy),
            queries=queries,
            repeats=repeats,
            seed=seed,
            workers=workers,
            processes=1,
        )

    run(1, 10_000)  # what is learned once a process is not counted
    began = time.perf_counter()
    run(1, 10_001)
    each = time.perf_counter() - began
    repeats = max(
        min(options.repeats, int(options.seconds / each)), min(options.fewest, options.repeats)
    )
    result = run(repeats, 0)
    scale = float(np.median(table.losses) - table.optimum) or 1.0
    at = {}
    for query in AT:
        place = min(query, queries) - 1
        # A run without a full evaluation yet holds nothing; whoever had to choose would draw.
        regret = np.nan_to_num(result.regret[:, place] / scale, nan=1.0)
        test = result.test[:, place]
        at[str(query)] = {
            "regret": float(regret.mean()),
            "regret_sem": float(regret.std(ddof=1) / np.sqrt(repeats)) if repeats > 1 else 0.0,
            "held": float(np.isfinite(test).mean()),
            "test": float(np.nanmean(test)) if np.isfinite(test).any() else None,
            "optimum": float(result.optimum[:, place].mean()),
        }
    print(f"{name:28} {workers} {strategy:20} {repeats:4} runs, {each:.2f} s each", file=sys.stderr)
    return {
        "table": name,
        "strategy": strategy,
        "workers": workers,
        "repeats": repeats,
        "queries": queries,
        "graphs": table.graphs,
        "note": table.note,
        "at": at,
        "ms_per_trial": 1000 * result.seconds_per_trial,
        "simulated_seconds": float(result.clock[:, -1].mean()),
    }


def ranks(cells: Sequence[dict[str, Any]], query: int) -> dict[str, list[float]]:
    """For each strategy its rank on each table by mean regret; ties share the mean rank."""
    found: dict[str, list[float]] = {}
    for name in {cell["table"] for cell in cells}:
        mine = {c["strategy"]: c["at"][str(query)]["regret"] for c in cells if c["table"] == name}
        for strategy, regret in mine.items():
            better = sum(other < regret - 1e-12 for other in mine.values())
            equal = sum(abs(other - regret) <= 1e-12 for other in mine.values())
            found.setdefault(strategy, []).append(better + (equal + 1) / 2)
    return found


def summary(cells: Sequence[dict[str, Any]], strategies: Sequence[str]) -> str:
    """Mean rank, mean regret and share at the optimum over the tables, as Markdown."""
    lines = [
        "| strategy | tables | "
        + " | ".join(f"rank @{q} | regret @{q} | optimum @{q}" for q in AT)
        + " | ms a trial |",
        "|---|---|" + "---|" * (3 * len(AT) + 1),
    ]
    ranked = {query: ranks(cells, query) for query in AT}
    for strategy in strategies:
        mine = [cell for cell in cells if cell["strategy"] == strategy]
        if not mine:
            continue
        parts = []
        for query in AT:
            at = [cell["at"][str(query)] for cell in mine]
            parts.append(f"{statistics.mean(ranked[query][strategy]):.1f}")
            parts.append(f"{100 * statistics.mean(a['regret'] for a in at):.2f} %")
            parts.append(f"{100 * statistics.mean(a['optimum'] for a in at):.0f} %")
        ms = statistics.median(cell["ms_per_trial"] for cell in mine)
        lines.append(f"| {strategy} | {len(mine)} | {' | '.join(parts)} | {ms:.2f} |")
    return "\n".join(lines)


def details(cells: Sequence[dict[str, Any]], strategies: Sequence[str]) -> str:
    """Regret after 30, 100 and 300 queries, a row for each table, as Markdown."""
    used = [s for s in strategies if any(cell["strategy"] == s for cell in cells)]
    lines = [f"| table | {' | '.join(used)} |", "|---|" + "---|" * len(used)]
    for name in dict.fromkeys(cell["table"] for cell in cells):
        row = []
        for strategy in used:
            mine = [c for c in cells if c["table"] == name and c["strategy"] == strategy]
            if not mine:
                row.append("–")
                continue
            regrets = [100 * mine[0]["at"][str(q)]["regret"] for q in AT]
            row.append(" / ".join(f"{r:.2f}" for r in regrets) + f" ({mine[0]['repeats']})")
        lines.append(f"| {name} | {' | '.join(row)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
