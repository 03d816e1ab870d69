"""The main job on digits over several seeds: does the winner beat the default architecture?

Each seed has its own split of the data, its own search and its own training to the end; winner and
default share split, recipe and training seed. Prints a table, and writes JSON with ``--json``.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from pathlib import Path

import archsmith as nas


def one(seed: int, strategy: str, trials: int) -> dict[str, float]:
    began = time.perf_counter()
    result = nas.search(
        data="digits",
        strategy=strategy,
        trials=trials,
        seed=seed,
        read=nas.ReadOptions(seed=seed),
    )
    assert result.best is not None
    assert result.default is not None
    return {
        "seed": seed,
        "winner": result.best.test["accuracy"],
        "default": result.default.test["accuracy"],
        "winner_params": result.best.metrics["params"],
        "default_params": result.default.metrics["params"],
        "seconds": time.perf_counter() - began,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--strategies", nargs="+", default=["evolution"])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = {}
    for strategy in options.strategies:
        rows = []
        print(f"{strategy}, {options.trials} trials\nseed  winner  default  parameters  seconds")
        for seed in range(options.seeds):
            row = one(seed, strategy, options.trials)
            rows.append(row)
            print(
                f"{seed:>4}  {row['winner']:.4f}   {row['default']:.4f}"
                f"  {row['winner_params']:>10,.0f}  {row['seconds']:>7.1f}",
                flush=True,
            )
        summary = {}
        for name in ("winner", "default", "seconds"):
            values = [row[name] for row in rows]
            summary[name] = {
                "mean": statistics.mean(values),
                "std": statistics.stdev(values) if len(values) > 1 else 0.0,
                "median": statistics.median(values),
            }
            print(f"{name}: mean {summary[name]['mean']:.4f} ± {summary[name]['std']:.4f}")
        found[strategy] = {"rows": rows, "summary": summary}
    if options.json:
        document = {"machine": platform.platform(), "trials": options.trials, "results": found}
        options.json.write_text(json.dumps(document, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
