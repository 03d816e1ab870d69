"""How predictors rank architectures that they have not seen, on benchmark tables.

    python benchmarks/predictors.py [--tables NAME[:DATASET]...] [--predictors NAME...]
        [--trained 50 100 200] [--seeds 10] [--held-out 500] [--processes 2] [--json FILE]

Needs ``ARCHSMITH_DATA``. For each table and seed, different graphs are drawn at random: the first
n are what a predictor is fitted on (the value that a search goes by), and ``held-out`` others, or
all that are left, what it is judged on. Kendall tau and Spearman rho over these, the share of them
inside the calibrated 80 % interval, the mean absolute error, the cross-validated tau that the
predictor itself reported, and the seconds of the fit (cross-validation included) on one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

TABLES = (
    "nb201:cifar10",
    "nb201:cifar100",
    "nb101",
    "nbmacro",
    "channelbench",
    "hwgpt",
    "tnb101-micro",
)
PREDICTORS = ("linear", "gaussian", "boosted", "mlp", "graph")
FIGURES = ("tau", "rho", "coverage", "mae", "validated_tau", "seconds")


@lru_cache(maxsize=1)
def graphs(name: str) -> tuple[Any, list[int]]:
    """A table and one row for each different graph."""
    from archsmith.bench import read_table

    table, _, dataset = name.partition(":")
    read = read_table(table, None, dataset or None)
    rows: dict[str, int] = {}
    for row, architecture in enumerate(read.architectures):
        rows.setdefault(read.space.canonical(architecture), row)
    return read, list(rows.values())


def judge(name: str, predictor: str, trained: int, seed: int, held_out: int) -> dict[str, Any]:
    """One fit and what it ranks."""
    import numpy as np
    from scipy.stats import kendalltau, spearmanr

    from archsmith.predictor import predictors

    table, rows = graphs(name)
    most = min(len(rows), max(trained + held_out, 0))
    chosen = random.Random(seed).sample(rows, most)
    values = table.values[table.select.metric][chosen]
    architectures = [table.architectures[row] for row in chosen]
    start = time.perf_counter()
    model = predictors.get(predictor)()
    validation = model.fit(table.space, architectures[:trained], values[:trained], seed)
    seconds = time.perf_counter() - start
    found, true = model.predict(architectures[trained:]), values[trained:]
    inside = np.abs(true - found.mean) <= 1.2815515655446004 * found.std
    return {
        "table": name,
        "predictor": predictor,
        "trained": trained,
        "seed": seed,
        "held_out": len(true),
        "tau": float(kendalltau(found.mean, true).statistic),
        "rho": float(spearmanr(found.mean, true).statistic),
        "coverage": float(inside.mean()),
        "mae": float(np.abs(true - found.mean).mean()),
        "validated_tau": validation.tau.value,
        "believed": validation.believed,
        "seconds": seconds,
    }


def work(job: tuple[Any, ...]) -> dict[str, Any]:
    import torch

    torch.set_num_threads(1)
    return judge(*job)


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and spread over seeds of one cell."""
    first = runs[0]
    cell = {key: first[key] for key in ("table", "predictor", "trained", "held_out")}
    cell["seeds"] = len(runs)
    for figure in FIGURES:
        values = [run[figure] for run in runs if run[figure] is not None]
        cell[figure] = statistics.mean(values) if values else None
        cell[f"{figure}_std"] = statistics.stdev(values) if len(values) > 1 else 0.0
    return cell


def show(cells: list[dict[str, Any]], trained: list[int]) -> None:
    """Tau of each predictor by table; one column for each number of trained ones."""
    head = " | ".join(f"tau after {n}" for n in trained)
    print(f"| table | predictor | {head} | inside 80 % | seconds |")
    print("|---|---|" + "---|" * (len(trained) + 2))
    for table in dict.fromkeys(c["table"] for c in cells):
        for predictor in dict.fromkeys(c["predictor"] for c in cells):
            mine = {
                c["trained"]: c
                for c in cells
                if c["table"] == table and c["predictor"] == predictor
            }
            if not mine:
                continue
            taus = " | ".join(
                f"{mine[n]['tau']:.3f} ± {mine[n]['tau_std']:.3f}" if n in mine else ""
                for n in trained
            )
            last = mine[max(mine)]
            print(
                f"| {table} | {predictor} | {taus} | {last['coverage']:.0%} | "
                f"{last['seconds']:.1f} |"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", nargs="+", default=list(TABLES))
    parser.add_argument("--predictors", nargs="+", default=list(PREDICTORS))
    parser.add_argument("--trained", nargs="+", type=int, default=[50, 100, 200])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--held-out", type=int, default=500)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if "ARCHSMITH_DATA" not in os.environ:
        sys.exit("ARCHSMITH_DATA names the folder of the tables; it is not set")
    jobs = [
        (table, predictor, trained, seed, given.held_out)
        for table in given.tables
        for seed in range(given.seeds)
        for predictor in given.predictors
        for trained in given.trained
    ]
    runs = []
    with ProcessPoolExecutor(given.processes, mp_context=get_context("spawn")) as pool:
        for run in pool.map(work, jobs):
            runs.append(run)
            print(
                f"{run['table']} {run['predictor']} {run['trained']} seed {run['seed']}: "
                f"tau {run['tau']:.3f}, {run['seconds']:.1f} s",
                file=sys.stderr,
            )
    by_cell: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for run in runs:
        by_cell.setdefault((run["table"], run["predictor"], run["trained"]), []).append(run)
    cells = [summary(group) for group in by_cell.values()]
    show(cells, given.trained)
    if given.json:
        document = {"platform": platform.platform(), "cells": cells, "runs": runs}
        given.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
