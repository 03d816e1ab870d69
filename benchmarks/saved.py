"""Trials that proxies save: a search under a latency limit, with and without their advice.

    python benchmarks/saved.py [--data fashion-mnist] [--limit 'latency_ms<=2'] [--trials 24]
        [--contenders NAME...] [--proxy vote] [--seeds 2] [--json FILE]

Every contender has the same trials, each a short training, under the same limit on latency that is
measured on this machine. ``NAME/proxy`` is the strategy with advice. The table tells the best
validation accuracy among trials that keep the limit, and after how many trials a contender had
what plain evolution had after all of its own (mean over the seeds; one that never got there counts
as one trial more than it had).
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from pathlib import Path
from typing import Any

import archsmith as nas

PLAIN = "evolution"
CONTENDERS = (PLAIN, f"{PLAIN}/proxy", "auto", "auto/proxy")


def one(contender: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """The best accuracy after each finished trial of one search."""
    name, _, advised = contender.partition("/")
    began = time.process_time()
    result = nas.search(
        options.space,
        options.data,
        strategy=name,
        proxy=options.proxy if advised else None,
        limits=[options.limit],
        trials=options.trials,
        finalists=0,
        seed=seed,
    )
    best, curve, told = 0.0, [], []
    for trial in result.history.finished:
        if result.history.violation(trial.metrics) == 0:
            best = max(best, trial.metrics["accuracy"])
        curve.append(best)
        told.append({"metrics": dict(trial.metrics), "note": trial.note})
    return {
        "contender": contender,
        "seed": seed,
        "curve": curve,
        "trials": told,
        "processor_seconds": time.process_time() - began,
    }


def reached(curve: list[float], aim: float) -> int:
    """After how many trials the curve is at the aim."""
    return next((i for i, value in enumerate(curve, start=1) if value >= aim), len(curve) + 1)


def report(rows: list[dict[str, Any]], options: argparse.Namespace) -> str:
    """A row for each contender, as Markdown."""
    aims = {row["seed"]: row["curve"][-1] for row in rows if row["contender"] == PLAIN}
    half = options.trials // 2
    lines = [
        f"{options.data}, {options.limit}, {options.trials} trials, {len(aims)} seeds, "
        f"{platform.platform()}\n",
        f"| contender | best after {half} | best after {options.trials} "
        f"| trials to what {PLAIN} had after {options.trials} | minutes of a core |",
        "|---|---|---|---|---|",
    ]
    for contender in dict.fromkeys(row["contender"] for row in rows):
        own = [row for row in rows if row["contender"] == contender]
        to = [reached(row["curve"], aims[row["seed"]]) for row in own if row["seed"] in aims]
        lines.append(
            f"| {contender} | {statistics.mean(row['curve'][half - 1] for row in own):.4f} "
            f"| {statistics.mean(row['curve'][-1] for row in own):.4f} "
            f"| {statistics.mean(to) if to else float('nan'):.1f} ({', '.join(map(str, to))}) "
            f"| {statistics.mean(row['processor_seconds'] for row in own) / 60:.1f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--space")
    parser.add_argument("--limit", default="latency_ms<=2")
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--contenders", nargs="+", default=list(CONTENDERS), choices=CONTENDERS)
    parser.add_argument("--proxy", default="vote")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for seed in range(options.seeds):
        for contender in options.contenders:
            rows.append(one(contender, seed, options))
            if options.json:
                options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    print(report(rows, options))


if __name__ == "__main__":
    main()
