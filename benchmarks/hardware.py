"""Accuracy against latency on measured devices: hypervolume over queries.

    python benchmarks/hardware.py [--queries 200] [--repeats 50] [--seconds 60] [--json FILE]

Needs ``ARCHSMITH_DATA``: the cells of NAS-Bench-201 (Dong & Yang 2020, arXiv:2001.00326) on
CIFAR-10 with latencies that HELP (Lee et al. 2021, arXiv:2106.08630) and HW-NAS-Bench-360 measured.
Two objectives: validation accuracy, maximised, and the device's latency, minimised. Hypervolume is
taken from the worst recorded value of each and given as a share of that of the true Pareto front;
what is missing of it is the figure to compare. A strategy gets up to ``--repeats`` runs on each
device, fewer (10 at least) where they would take more than ``--seconds``.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
from picked import same_as_auto

from archsmith.bench import benchmark, read_table
from archsmith.history.objective import Metric, Objective
from archsmith.strategy import Strategy, named
from archsmith.study.processes import cores
from archsmith.tables import BenchmarkTable
from archsmith.tables.columns import numbers, read_columns

#: Column of ``nb201_hw.npz``: a desktop GPU, a server GPU with a batch, a server CPU, two phones,
#: a Raspberry Pi 5.
DEVICES = (
    "help_1080ti_1_ms",
    "help_titan_rtx_256_ms",
    "help_gold_6226_ms",
    "help_pixel3_ms",
    "help_samsung_a50_ms",
    "hw360_pi5_onnx_cifar100_lat_ms",
)
STRATEGIES = (
    "random",
    "evolution",
    "genetic",
    "local-search",
    "nsga2",
    "tpe",
    "bananas",
    "linear-thompson",
    "bayesian",
    "auto",
)
AT = (30, 50, 100, 200)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--devices", nargs="+", default=list(DEVICES))
    parser.add_argument("--strategies", nargs="+", default=list(STRATEGIES))
    parser.add_argument("--queries", type=int, default=max(AT))
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0, help="for a strategy on a device")
    parser.add_argument("--processes", type=int, default=cores())
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    cells: list[dict[str, Any]] = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.processes, context) as pool:
        waiting = [pool.submit(_device, device, options) for device in options.devices]
        for future in as_completed(waiting):
            cells += future.result()
    told = {k: v for k, v in vars(options).items() if k != "json"}
    if options.json:
        options.json.write_text(json.dumps({"options": told, "cells": cells}, indent=1))
    print(report(cells, options))


def factory(name: str) -> Callable[[], Strategy]:
    """Of a strategy by its name, or of ``botorch``, the yardstick that is no part of archsmith."""
    if name != "botorch":
        return named(name)
    from botorch_strategy import BoTorch

    return BoTorch


def with_latency(table: BenchmarkTable, device: str) -> BenchmarkTable:
    """The table with the device's latency as a metric."""
    path = Path(os.environ["ARCHSMITH_DATA"]) / "nb201_hw.npz"
    columns = read_columns(path)
    latency = numbers(path, columns, device)
    texts = [str(text) for text in columns["arch_str"]]
    rows = {text: row for row, text in enumerate(texts)}
    from archsmith.zoo.nasbench201 import to_arch_str

    order = [rows[to_arch_str(architecture)] for architecture in table.architectures]
    return dataclasses.replace(
        table,
        metrics={**table.metrics, "latency_ms": Metric("latency_ms", "ms", "minimize")},
        values={**table.values, "latency_ms": latency[order]},
    )


def _device(device: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    table = with_latency(read_table("nb201", None, "cifar10"), device)
    same = same_as_auto(table, options.queries, objectives=(Objective("latency_ms", "minimize"),))
    cells: list[dict[str, Any]] = []
    for strategy in options.strategies:
        if strategy == "auto" and cells and cells[-1]["strategy"] == same:
            cells.append({**cells[-1], "strategy": "auto"})
        else:
            cells.append(_cell(table, device, strategy, options))
    return cells


def _cell(
    table: BenchmarkTable, device: str, strategy: str, options: argparse.Namespace
) -> dict[str, Any]:
    def run(repeats: int, seed: int) -> Any:
        return benchmark(
            table,
            factory(strategy),
            queries=options.queries,
            repeats=repeats,
            seed=seed,
            objectives=[Objective("latency_ms", "minimize")],
            processes=1,
        )

    run(1, 10_000)  # what is learned once a process is not counted
    began = time.perf_counter()
    run(1, 10_001)
    each = time.perf_counter() - began
    repeats = max(min(options.repeats, int(options.seconds / each)), min(10, options.repeats))
    result = run(repeats, 0)
    print(f"{device:32} {strategy:14} {repeats:4} runs, {each:.2f} s each", file=sys.stderr)
    at = [q for q in AT if q <= options.queries]
    return {
        "device": device,
        "strategy": strategy,
        "repeats": repeats,
        "missing": {str(q): float(1 - result.volume[:, q - 1].mean()) for q in at},
        "sem": {str(q): float(result.volume[:, q - 1].std(ddof=1) / np.sqrt(repeats)) for q in at},
        "ms_per_trial": 1000 * result.seconds_per_trial,
    }


def report(cells: Sequence[dict[str, Any]], options: argparse.Namespace) -> str:
    """What is missing of the true hypervolume in percent, as Markdown."""
    at = [q for q in AT if q <= options.queries]
    lines = [
        f"Missing of the true front's hypervolume, %, after {' / '.join(map(str, at))} queries",
        "",
        f"| strategy | {' | '.join(options.devices)} | mean | ms a trial |",
        "|---|" + "---|" * (len(options.devices) + 2),
    ]
    for strategy in options.strategies:
        mine = {c["device"]: c for c in cells if c["strategy"] == strategy}
        row = [
            " / ".join(f"{100 * mine[d]['missing'][str(q)]:.2f}" for q in at)
            + f" ({mine[d]['repeats']})"
            for d in options.devices
        ]
        mean = [100 * np.mean([c["missing"][str(q)] for c in mine.values()]) for q in at]
        ms = float(np.median([c["ms_per_trial"] for c in mine.values()]))
        lines.append(
            f"| {strategy} | {' | '.join(row)} | {' / '.join(f'{m:.2f}' for m in mean)} "
            f"| {ms:.2f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
