"""NAS-Bench-201 beside the published figures, every strategy with the same budget.

    python benchmarks/nb201.py [--queries 200] [--repeats 200] [--strategies NAME...]
        [--json nb201.json] [--picture docs/nb201]

Needs ``ARCHSMITH_DATA``. Protocol: plain queries of the validation accuracy after 200 epochs on the
data set itself (mean over the recorded seeds); the test accuracy of the architecture that is best
by it. Spellings of one graph count once. A strategy over fidelities pays an evaluation of 12 epochs
as 12/200 of a query and holds nothing before its first full one; means are over the runs that hold
something, with their number where that is not all. Where ``auto`` picks one strategy for a whole
run its row is that strategy's (checked on a run). No strategy starts from a given architecture.
Published figures are those of Dong & Yang 2020 (arXiv:2001.00326) as later papers quote them for
plain queries, with 100 to 200 queries; those of CoLLM-NAS and BANANAS as docs/benchmarks.md cites
them.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from picked import same_as_auto

from archsmith.bench import BenchmarkResult, benchmark, read_table
from archsmith.strategy import named
from archsmith.strategy.reinforce import Reinforce
from archsmith.study.processes import cores

STRATEGIES = (
    "random",
    "evolution",
    "reinforce",
    "reinforce as published",
    "local-search",
    "genetic",
    "nsga2",
    "tpe",
    "bananas",
    "linear-thompson",
    "bayesian",
    "auto",
    "successive-halving",
    "hyperband",
    "asha",
    "bohb",
    "abohb",
    "grid",
)
#: Mean test accuracy and its spread, and after how many queries.
PUBLISHED: dict[str, dict[str, tuple[float, float, str]]] = {
    "cifar10": {
        "random": (93.83, 0.09, "100-200"),
        "reinforce": (93.94, 0.25, "100-200"),
        "reinforce as published": (93.94, 0.25, "100-200"),
        "evolution": (94.23, 0.25, "200"),
    },
    "cifar100": {
        "random": (71.52, 0.93, "100-200"),
        "reinforce": (71.78, 1.20, "100-200"),
        "reinforce as published": (71.78, 1.20, "100-200"),
        "evolution": (72.82, 0.87, "200"),
    },
}
#: The benchmark's own baseline: Adam, a slow rate, and architectures that come again.
AS_PUBLISHED = partial(
    Reinforce, repeats=True, optimizer="adam", learning_rate=0.001, entropy=0.0, baseline=0.9
)
#: How near is near enough to call it reproduced.
NEAR = {"cifar10": 0.1, "cifar100": 0.4}
AT = (30, 50, 100, 150, 200)
#: A run of these is more than a thousand short trials; they get fewer runs.
SLOW, FEWER = ("bohb", "abohb"), 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--datasets", nargs="+", default=["cifar10", "cifar100"])
    parser.add_argument("--strategies", nargs="+", default=list(STRATEGIES))
    parser.add_argument("--queries", type=int, default=max(AT))
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--processes", type=int, default=cores())
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path, help="path without its suffix")
    options = parser.parse_args()
    everything: dict[str, Any] = {}
    for dataset in options.datasets:
        results: list[BenchmarkResult] = []
        table = read_table("nb201", None, dataset)
        same = same_as_auto(table, options.queries, options.workers)
        for strategy in options.strategies:
            began = time.perf_counter()
            if strategy == "auto" and results[-1].strategy == same:
                results.append(replace(results[-1], strategy="auto"))
                continue
            make = AS_PUBLISHED if strategy == "reinforce as published" else named(strategy)
            repeats = options.repeats if strategy not in SLOW else min(options.repeats, FEWER)
            results.append(
                benchmark(
                    table,
                    make,
                    queries=options.queries,
                    repeats=repeats,
                    workers=options.workers,
                    processes=options.processes,
                )
            )
            results[-1] = replace(results[-1], strategy=strategy)
            took = time.perf_counter() - began
            print(f"{dataset} {strategy}: {took:.0f} s", file=sys.stderr)
            everything[f"{dataset}/{strategy}"] = results[-1].to_json(curves=False)
            if options.json:
                options.json.write_text(json.dumps(everything, indent=1))
        print(report(dataset, results))
        if options.picture:
            from archsmith.bench import picture

            place = options.picture.with_name(f"{options.picture.name}-{dataset}.svg")
            place.write_text(picture(results), encoding="utf-8")


def report(dataset: str, results: Sequence[BenchmarkResult]) -> str:
    """Test accuracy and share at the optimum after each number of queries, as Markdown."""
    queries = results[0].queries
    at = [q for q in AT if q <= queries]
    lines = [
        f"\n{dataset}, {results[0].workers} worker(s): mean test accuracy ± spread of runs (share "
        "that holds the validation optimum)\n",
        f"| strategy | runs | {' | '.join(map(str, at))} | published | reproduced | ms a trial |",
        "|---|---|" + "---|" * (len(at) + 3),
    ]
    for result in results:
        known = result.to_json(curves=False)
        cells = []
        for query in at:
            test = result.test[:, query - 1]
            test = test[np.isfinite(test)]  # strategies over epochs hold nothing at first
            share = result.optimum[:, query - 1].mean()
            some = f", {len(test)} runs" if len(test) < result.repeats else ""
            told = f"{test.mean():.2f} ± {test.std(ddof=1):.2f}" if len(test) > 1 else "–"
            cells.append(f"{told} ({share:.0%}{some})")
        published, reproduced = "", ""
        if result.strategy in PUBLISHED.get(dataset, {}):
            mean, spread, budget = PUBLISHED[dataset][result.strategy]
            published = f"{mean:.2f} ± {spread:.2f} ({budget})"
            apart = known["test_mean"] - mean
            reproduced = f"{'yes' if abs(apart) <= NEAR[dataset] else 'no'}, {apart:+.2f}"
        lines.append(
            f"| {result.strategy} | {result.repeats} | {' | '.join(cells)} | {published} "
            f"| {reproduced} | {1000 * result.seconds_per_trial:.2f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
