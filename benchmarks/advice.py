"""What proxies save: queries to the optimum of benchmark tables, with and without their advice.

    python benchmarks/advice.py [--tables NAME...] [--variants NAME...] [--queries 100]
        [--repeats 20] [--pool 50] [--scores FOLDER] [--json FILE]

Needs ``ARCHSMITH_DATA``. Untrained networks of each table are built, some of them reduced (see
``SPECS``), and scored on 32 CIFAR-10 images of 16x16 pixels, random tokens for language models.
The proxy is ``vote``, or what of it is defined. Each run draws and scores a pool of its own.
Regret is divided by the distance from the median of the table to its optimum. Scores are kept in
the folder, one file a table, and not computed again.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

#: How the networks of a table are reduced, and the proxy that scores them.
SPECS: dict[str, tuple[dict[str, Any], str]] = {
    "nb201/cifar10": ({"cells": 1}, "vote"),
    "nb201/cifar100": ({"cells": 1}, "vote"),
    "nb201/imagenet16": ({"cells": 1}, "vote"),
    "nbmacro": ({}, "vote"),
    "channelbench": ({}, "vote"),
    "tnb101-micro/class_scene": ({}, "vote"),
    "tnb101-macro/class_scene": ({}, "vote"),
    "nb101": ({"width": 16}, "vote"),
    "hwgpt/s": ({"vocabulary": 1000}, "jacov"),
    "mr/seg": ({}, "vote"),
}
#: Keywords of ``Advised`` for each variant of a strategy; none is the strategy alone.
VARIANTS: dict[str, tuple[str, dict[str, Any] | None]] = {
    "bayesian": ("bayesian", None),
    "bayesian, warm": ("bayesian", {}),
    "bayesian, feature": ("bayesian", {"warm": 0, "feature": True}),
    "bayesian, warm, feature": ("bayesian", {"feature": True}),
    "genetic": ("genetic", None),
    "genetic, warm": ("genetic", {}),
    "genetic, warm, choice": ("genetic", {"among": 4}),
}
AT = (10, 20, 30, 60, 100)


class Scores:
    """Advice: proxies of networks that are built reduced, remembered in a file."""

    def __init__(self, table: Any, name: str, folder: Path) -> None:
        import torch
        from proxies import images
        from torch.nn import functional as F

        from archsmith.proxy import Batch, SetProxy, proxies
        from archsmith.space import Space

        reduced, proxy = SPECS[name]
        inner = getattr(table.space, "_inner", table.space)
        builder, arguments = inner._builder.function, inner.arguments
        self.space, self.whole = Space(builder, **{**arguments, **reduced}), table.space
        found = proxies.get(proxy)
        self.vote = found() if issubclass(found, SetProxy) else None
        self.names = list(self.vote.members) if self.vote else [proxy]
        words = name.startswith("hwgpt")
        generator = torch.Generator().manual_seed(0)
        side = 32 if name.startswith("mr") else 16  # what is seen at a 32nd needs as much
        inputs = (
            torch.randint(1000, (4, 64), generator=generator) if words else images(32, side, 0)[0]
        )
        self.batch = Batch(inputs, torch.zeros(len(inputs), dtype=torch.long), F.cross_entropy)
        self.file = folder / f"{name.replace('/', '-')}.jsonl"
        self.known: dict[str, list[float]] = {}
        if self.file.exists():
            for line in self.file.read_text(encoding="utf-8").splitlines():
                key, values = json.loads(line)
                self.known[key] = values
        self.pool: list[Any] = []
        self.spent = 0.0

    def of(self, architecture: Any) -> list[float]:
        from archsmith.proxy.scoring import attempt

        key = self.whole.canonical(architecture)
        if key not in self.known:
            began = time.process_time()
            model = self.space.build(architecture, seed=0)
            told = attempt(model, self.batch, self.names, 0)
            values = [v if isinstance(v, float) else -math.inf for v in map(told.get, self.names)]
            self.known[key] = values
            with self.file.open("a", encoding="utf-8") as file:
                file.write(json.dumps([key, values]) + "\n")
            self.spent += time.process_time() - began
        return self.known[key]

    def advice(self) -> Callable[[Sequence[Any]], list[float]]:
        """For one run: ranks are taken among what is asked for and the run's own pool."""
        pool: list[Any] = []

        def scores(architectures: Sequence[Any]) -> list[float]:
            if not pool:
                pool.extend(architectures)
            together = [*architectures, *pool]
            values = np.array([self.of(a) for a in together])
            if self.vote is None:
                return [float(v) for v in values[: len(architectures), 0]]
            members = {
                name: values[:, i]
                for i, name in enumerate(self.names)
                if len(set(values[:, i])) > 1
            }
            if not members:
                return [0.0] * len(architectures)
            found = type(self.vote)(list(members)).combine(members)
            return [float(v) for v in found[: len(architectures)]]

        return scores


def cell(table: Any, name: str, variant: str, scores: Scores, options: Any) -> dict[str, Any]:
    """One variant on one table."""
    from archsmith.bench import benchmark
    from archsmith.strategy import strategies
    from archsmith.strategy.advised import Advised

    plain, keywords = VARIANTS[variant]

    def make() -> Any:
        strategy = strategies.get(plain)()
        if keywords is None:
            return strategy
        return Advised(strategy, scores.advice(), pool=options.pool, **keywords)

    began, queries = time.perf_counter(), min(options.queries, table.graphs)
    result = benchmark(table, make, queries=queries, repeats=options.repeats, seed=0, processes=1)
    scale = float(np.median(table.losses) - table.optimum) or 1.0
    # A run that never got there counts as one query more than it had.
    first = [
        int(np.argmax(run)) + 1 if run.any() else queries + 1
        for run in np.asarray(result.optimum, dtype=bool)
    ]
    regret = np.nan_to_num(result.regret / scale, nan=1.0)
    return {
        "table": name,
        "variant": variant,
        "queries": queries,
        "repeats": options.repeats,
        "to_optimum": statistics.median(first),
        "at_optimum": float(np.mean(result.optimum[:, -1])),
        "regret": {str(q): float(regret[:, min(q, queries) - 1].mean()) for q in AT},
        "regret_sem": {
            str(q): float(regret[:, min(q, queries) - 1].std(ddof=1) / math.sqrt(options.repeats))
            for q in AT
        },
        "seconds": time.perf_counter() - began,
    }


def report(cells: list[dict[str, Any]], variants: Sequence[str]) -> str:
    """Queries to the optimum, and regret, as Markdown."""
    tables = list(dict.fromkeys(c["table"] for c in cells))
    by = {(c["table"], c["variant"]): c for c in cells}
    lines = ["| table | " + " | ".join(variants) + " |", "|---|" + "---|" * len(variants)]
    for table in tables:
        row = []
        for variant in variants:
            found = by.get((table, variant))
            if found is None:
                row.append("–")
                continue
            most, median = found["queries"], found["to_optimum"]
            told = f"> {most}" if median > most else f"{median:.0f}"
            row.append(f"{told} ({100 * found['at_optimum']:.0f} %)")
        lines.append(f"| {table} | " + " | ".join(row) + " |")
    lines += [
        "",
        "| regret, mean of the tables, after | " + " | ".join(variants) + " |",
        "|---|" + "---|" * len(variants),
    ]
    for query in AT:
        row = []
        for variant in variants:
            own = [c["regret"][str(query)] for c in cells if c["variant"] == variant]
            row.append(f"{100 * statistics.mean(own):.2f} %" if own else "–")
        lines.append(f"| {query} | " + " | ".join(row) + " |")
    return "\n".join(lines)


def main() -> None:
    import torch

    from archsmith.bench import read_table

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tables", nargs="+", default=list(SPECS), choices=list(SPECS))
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--pool", type=int, default=50)
    parser.add_argument("--scores", type=Path, default=Path("advice-scores"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.scores.mkdir(parents=True, exist_ok=True)
    cells: list[dict[str, Any]] = []
    for name in options.tables:
        kind, _, dataset = name.partition("/")
        table = read_table(kind, None, dataset or None)
        scores = Scores(table, name, options.scores)
        for variant in options.variants:
            cells.append(cell(table, name, variant, scores, options))
            done = cells[-1]
            print(
                f"{name:26} {variant:24} optimum after {done['to_optimum']:.0f} "
                f"({100 * done['at_optimum']:.0f} %), {done['seconds']:.0f} s, "
                f"of which scores {scores.spent:.0f} s",
                file=sys.stderr,
                flush=True,
            )
            scores.spent = 0.0
            if options.json:
                told = {key: str(value) for key, value in vars(options).items()}
                document = {"machine": platform.platform(), "options": told, "cells": cells}
                options.json.write_text(json.dumps(document, indent=1), encoding="utf-8")
    print(report(cells, options.variants))


if __name__ == "__main__":
    main()
