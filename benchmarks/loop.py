"""What the search loop itself costs, beside a bare loop in the same run.

    python benchmarks/loop.py [--trials 2000] [--repeats 5] [--only PART]... [--json loop.json]

Regularized evolution (Real et al. 2019, arXiv:1802.01548; population 10, tournament 3) on
``nasbench201`` with an evaluator that costs next to nothing. The bare loop is the same algorithm in
plain Python on tuples of six operations: no space, no record, no seeds for each trial. The tree of
decisions is learned, and the space's fingerprint taken, before the loops start; what that costs,
once a process, has a line of its own.
So has a full garbage collection: with torch's 170,000 objects alive it is a pause that falls on one
trial in two thousand, of either loop; the loops are timed with what was alive before them frozen.
All figures are medians over the repeats; ``ratio`` is the last quarter of trials over the first.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from archsmith.evaluate.base import Evaluator, Price, Watch
from archsmith.history.objective import Objective
from archsmith.history.trial import Fidelity
from archsmith.space import Space
from archsmith.space.architecture import Architecture
from archsmith.strategy.evolution import RegularizedEvolution
from archsmith.study import MemoryStore, SqliteStore, Store, Study
from archsmith.zoo.nasbench201 import nasbench201

POPULATION, TOURNAMENT = 10, 3

#: What the project promises, by name of the measurement.
TARGETS = {
    "in memory, ms a trial": 0.15,
    "durable, ms a trial": 0.3,
    "in memory, ratio": 1.3,
    "durable, ratio": 1.3,
    "sample, us": 30.0,
    "mutate, us": 30.0,
    "import beyond torch, s": 0.15,
    "archsmith --help, s": 1.0,
}


class Free(Evaluator):
    """A fixed number for each architecture; remembers when it was asked."""

    name = "free"
    price = Price.TABLE
    provides = ("accuracy",)

    def __init__(self) -> None:
        self.moments: list[float] = []

    def evaluate(
        self, architecture: Architecture, fidelity: Fidelity, seed: int, watch: Watch
    ) -> dict[str, float]:
        self.moments.append(time.perf_counter())
        return {"accuracy": value(tuple(architecture.values()))}


def value(answers: tuple[Any, ...]) -> float:
    """A fixed number in [0, 1) for a tuple of answers; the same work in both loops."""
    return hash(answers) % 10_007 / 10_007


def space() -> Space:
    return Space(nasbench201, channels=3, classes=10)


def learned() -> tuple[Space, float]:
    """The space as after the first trials, its tree and its fingerprint known; seconds it took."""
    known, rng = space(), random.Random(0)
    start = time.perf_counter()
    _ = known.fingerprint  # 33 runs of the builder, which teach the tree as well
    for _ in range(50):
        known.mutate(known.sample(rng), rng)
    return known, time.perf_counter() - start


def archsmith_loop(known: Space, store: Store, trials: int, seed: int) -> list[float]:
    """The moments between trials, the start and the end included."""
    free = Free()
    start = time.perf_counter()
    study = Study(
        known,
        RegularizedEvolution(POPULATION, TOURNAMENT),
        free,
        [Objective("accuracy", "maximize")],
        store=store,
        seed=seed,
        trials=trials,
    )
    study.run()
    return [start, *free.moments[1:], time.perf_counter()]


def bare_loop(trials: int, seed: int) -> list[float]:
    """The same algorithm, nothing around it."""
    rng = random.Random(seed)
    alive: deque[tuple[float, tuple[int, ...]]] = deque(maxlen=POPULATION)
    seen: set[tuple[int, ...]] = set()
    moments = [time.perf_counter()]
    for _ in range(trials):
        while True:
            if len(alive) < POPULATION:
                child = tuple(rng.randrange(5) for _ in range(6))
            else:
                _, parent = max(rng.sample(alive, TOURNAMENT))
                place = rng.randrange(6)
                other = (parent[place] + rng.randrange(1, 5)) % 5
                child = (*parent[:place], other, *parent[place + 1 :])
            if child not in seen:
                break
        seen.add(child)
        alive.append((value(child), child))
        moments.append(time.perf_counter())
    return moments


def costs(moments: Sequence[float]) -> dict[str, float]:
    """Milliseconds a trial: over all, of the first and the last quarter, and their ratio."""
    quarter = (len(moments) - 1) // 4
    first = (moments[quarter] - moments[0]) / quarter * 1e3
    last = (moments[-1] - moments[-1 - quarter]) / quarter * 1e3
    whole = (moments[-1] - moments[0]) / (len(moments) - 1) * 1e3
    return {"ms a trial": whole, "first": first, "last": last, "ratio": last / first}


def loops(trials: int, repeats: int) -> dict[str, float]:
    """The three loops, turn by turn so that noise falls on all alike."""
    runs: dict[str, list[dict[str, float]]] = {"bare": [], "in memory": [], "durable": []}
    learning, collecting = [], []
    for seed in range(repeats):
        known, took = learned()
        learning.append(took)
        gc.unfreeze()
        start = time.perf_counter()
        gc.collect()
        collecting.append((time.perf_counter() - start) * 1e3)
        gc.freeze()
        runs["bare"].append(costs(bare_loop(trials, seed)))
        runs["in memory"].append(costs(archsmith_loop(known, MemoryStore(), trials, seed)))
        with tempfile.TemporaryDirectory() as folder, SqliteStore(folder) as store:
            runs["durable"].append(costs(archsmith_loop(known, store, trials, seed)))
    figures = {
        f"{name}, {what}": statistics.median(run[what] for run in done)
        for name, done in runs.items()
        for what in done[0]
    }
    return figures | {
        "learning the space once, s": statistics.median(learning),
        "one full collection, ms": statistics.median(collecting),
    }


def operations(repeats: int) -> dict[str, float]:
    """Microseconds to sample and to mutate in a tree that is known."""
    (known, _), rng = learned(), random.Random(0)
    parents = [known.sample(rng) for _ in range(200)]

    def each(operation: Callable[[Architecture], object]) -> float:
        start = time.perf_counter()
        for _ in range(5):
            for parent in parents:
                operation(parent)
        return (time.perf_counter() - start) / (5 * len(parents)) * 1e6

    timed: Mapping[str, Callable[[Architecture], object]] = {
        "sample, us": lambda _: known.sample(rng),
        "mutate, us": lambda parent: known.mutate(parent, rng),
    }
    return {
        name: statistics.median(each(operation) for _ in range(repeats))
        for name, operation in timed.items()
    }


def seconds(command: list[str]) -> float:
    """Wall-clock seconds of a command."""
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def starts(repeats: int) -> dict[str, float]:
    """Seconds that an import adds to torch's, and that help takes."""
    code = (
        "import torch, time; t = time.perf_counter(); import archsmith;"
        "[getattr(archsmith, name) for name in getattr(archsmith, '__all__', ())];"
        "print(time.perf_counter() - t)"
    )
    added = [
        float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout)
        for _ in range(repeats)
    ]
    found = {"import beyond torch, s": statistics.median(added)}
    command = Path(sys.executable).with_name("archsmith")
    if command.exists():
        helps = [seconds([str(command), "--help"]) for _ in range(repeats)]
        found["archsmith --help, s"] = statistics.median(helps)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", action="append", choices=["loops", "operations", "starts"])
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    parts: dict[str, Callable[[], dict[str, float]]] = {
        "loops": lambda: loops(options.trials, options.repeats),
        "operations": lambda: operations(options.repeats),
        "starts": lambda: starts(options.repeats),
    }
    figures: dict[str, float] = {}
    for part in options.only or parts:
        figures |= parts[part]()
    print(f"{'measurement':28} {'median':>10} {'at most':>10}")
    missed = []
    for name, figure in figures.items():
        target = TARGETS.get(name)
        if target is not None and figure > target:
            missed.append(name)
        mark = "  MISSED" if name in missed else ""
        print(f"{name:28} {figure:10.4f} {'' if target is None else target:>10}{mark}")
    if options.json:
        machine = {
            "python": platform.python_version(),
            "platform": platform.platform(),
            "cores": os.cpu_count(),
        }
        document = {
            "trials": options.trials,
            "repeats": options.repeats,
            "figures": figures,
            "targets": TARGETS,
            "missed": missed,
            "machine": machine,
        }
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
