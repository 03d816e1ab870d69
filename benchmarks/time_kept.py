"""Whether a search of each kind ends in the time that it was given, from the command line.

    python benchmarks/time_kept.py [--data digits] [--seconds 60] [--strategies NAME ...]
        [--json FILE] [-- OPTION ...]

Each strategy and each one-shot method runs as ``archsmith search DATA --strategy NAME --time
SECONDS``, one after the other, on one thread, and is timed from the start of the process to its
end: imports, reading, plan, search, last training, test and report. Options after ``--`` are given
to each. A search that ends more than a tenth late, or more than a tenth early, is marked. Rows are
written one by one, and those that stand in the JSON file already are not run again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from archsmith.strategy import strategies
from archsmith.supernet import methods

#: ``grid`` needs a space that can be listed.
LEFT_OUT = ("grid",)
#: Part of the time by which a search may end late or early.
ALLOWED = 0.1


def kinds() -> list[str]:
    """All strategies and one-shot methods."""
    return [name for name in (*strategies.names(), *methods.names()) if name not in LEFT_OUT]


def timed(data: str, strategy: str, seconds: float, more: list[str]) -> dict[str, Any]:
    """The command as a user types it, and what it took."""
    with tempfile.TemporaryDirectory() as run:
        command = [sys.executable, "-m", "archsmith.cli", "search", data, "--json"]
        command += ["--time", f"{seconds:g}s", "--strategy", strategy, "--run", run, *more]
        began = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        took = time.perf_counter() - began
    if done.returncode:
        return {"seconds": took, "error": done.stderr.strip().splitlines()[-2:]}
    result = json.loads(done.stdout)
    winner = result["winner"]
    return {
        "seconds": took,
        "trials": len(result["trials"]),
        "test": winner["test"] if winner else None,
    }


def line(name: str, row: dict[str, Any], seconds: float) -> str:
    if "error" in row:
        return f"{name:20} {row['seconds']:>7.1f}  refused: {' '.join(row['error'])}"
    ratio = row["seconds"] / seconds
    mark = "" if abs(ratio - 1) <= ALLOWED else "  missed"
    value = next(iter(row["test"].values())) if row["test"] else float("nan")
    return f"{name:20} {row['seconds']:>7.1f} {ratio:>6.2f} {row['trials']:>6} {value:>8.4f}{mark}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--strategies", nargs="+", default=kinds(), metavar="NAME")
    parser.add_argument("--json", type=Path)
    parser.add_argument("more", nargs="*", help="options of the search, after --")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    rows: dict[str, Any] = {}
    if options.json and options.json.exists():
        rows = json.loads(options.json.read_text())
    print(f"{'strategy':20} {'seconds':>7} {'ratio':>6} {'trials':>6} {'test':>8}")
    for strategy in options.strategies:
        key = " ".join([options.data, f"{options.seconds:g}", strategy, *options.more])
        if key not in rows:
            rows[key] = timed(options.data, strategy, options.seconds, options.more)
            if options.json:
                options.json.write_text(json.dumps(rows, indent=2))
        print(line(strategy, rows[key], options.seconds), flush=True)


if __name__ == "__main__":
    main()
