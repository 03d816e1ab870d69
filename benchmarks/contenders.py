"""A search against what a good engineer would have done by hand with the same time of one core.

    python benchmarks/contenders.py [--data cifar10] [--seconds 1200] [--seeds 0 1 2 3 4]
        [--contenders archsmith resnet-20 default random optuna]
        [--limit 'params<=100000'] [--json FILE]

Each contender has so many seconds for everything, one thread, the same training photos and the same
test photos that it never sees:

* ``archsmith``: ``archsmith search DATA --time SECONDS``, as a user types it;
* ``resnet-20``, ``wrn-16-4``, ``resnet-18``, ``mobilenet-v3-small``, on street scenes ``unet``,
  on blood cells ``plain-fcos``: trained once with the task's recipe for the whole time, on training
  and validation part together;
* ``default``: the default architecture of the space, likewise;
* ``random``: the same search with ``--strategy random``;
* ``optuna``: TPE with median pruning over a hand-written space of the same choices, trained by
  plain torch (SGD, cosine, flips, shifts) for 60 % of the time; the best is trained for the rest.

With ``--limit`` the searches keep it, and the references are made as wide as it allows; ``default``
and ``optuna`` know no limits.

``cifar10`` (12,000 training and 4,000 test photos in class folders) and ``camvid`` (468 street
scenes of 160 x 120 pixels with a class for each pixel, 233 for the test; mean intersection over
union) need ``ARCHSMITH_DATA``, and so does ``bccd`` (364 photos of blood cells, 72 for the test;
mean average precision at an overlap of 0.5); ``fashion-mnist`` is the whole set. For 40 minutes
of blood cells: ``--data bccd --space detector --seconds 2400 --contenders archsmith default
plain-fcos``. ``--space NAME`` searches
another ready space than the task's own, and takes the default of that. Rows are written one by one,
and those that stand in the JSON file already are not run again, so the table can be completed in
parts. Run two contenders at a time on two cores at most: the time is real time, and a busy machine
takes it from all.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

REFERENCES = ("resnet-20", "wrn-16-4", "resnet-18", "mobilenet-v3-small", "unet", "plain-fcos")
METRICS = {
    "cifar10": "accuracy",
    "fashion-mnist": "accuracy",
    "camvid": "miou",
    "bccd": "map50",
}
#: Files of the folder ``ARCHSMITH_DATA``.
FILES = {"camvid": "camvid_160x120.npz", "bccd": "bccd_detection.npz"}
TRAIN, TEST = 12_000, 4_000


def cifar10(folder: Path) -> str:
    """Class folders of JPEG files under ``train`` and ``test``."""
    with np.load(Path(os.environ["ARCHSMITH_DATA"]) / "cifar10_jpeg.npz") as packed:
        names = [str(name) for name in packed["classes"]]
        for part, count in (("train", TRAIN), ("test", TEST)):
            raw, ends = packed[f"{part}_jpeg"], packed[f"{part}_offsets"][: count + 1]
            labels = packed[f"{part}_label"][:count]
            for number, (a, b) in enumerate(itertools.pairwise(ends)):
                place = folder / part / names[labels[number]] / f"{number:05d}.jpg"
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(raw[a:b].tobytes())
    return str(folder)


def source(name: str, folder: Path) -> str:
    """What the command line takes for a data set, made in the folder if need be."""
    if name in FILES:
        return str(Path(os.environ["ARCHSMITH_DATA"]) / FILES[name])
    return cifar10(folder) if name == "cifar10" else name


def searched(data: str, seconds: float, seed: int, *more: str) -> dict[str, Any]:
    """The command as a user types it; its result on the test part and what it took."""
    with tempfile.TemporaryDirectory() as run:
        command = [sys.executable, "-m", "archsmith.cli", "search", data, "--json"]
        command += ["--time", f"{seconds}s", "--seed", str(seed), "--run", run, *more]
        # Two boxes of the blood cells have no area.
        command += ["--unreadable", "skip"] if data.endswith(FILES["bccd"]) else []
        began, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        took = time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            raise SystemExit(done.stderr)
        result = json.loads(done.stdout)
    processor = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    winner = result["winner"]
    return {
        "test": winner["test"],
        "params": winner["costs"]["params"],
        "seconds": took,
        "processor": processor,
        "trials": len(result["trials"]),
        "architecture": winner["architecture"],
    }


def by_hand(
    data: str,
    name: str,
    seconds: float,
    seed: int,
    limit: str,
    space: str | None,
    task: str | None = None,
    options: Any = None,
) -> dict[str, Any]:
    """A reference, scaled to the limit if there is one, or the default of the space,
    trained for the whole time."""
    import torch

    from archsmith.evaluate.training import TrainingEvaluator
    from archsmith.history.objective import Limit, Objective
    from archsmith.study import MemoryStore
    from archsmith.task.base import ReadOptions
    from archsmith.task.contracts import references_of
    from archsmith.task.problem import open_problem
    from archsmith.train import score
    from archsmith.workflow.baselines import Baselines
    from archsmith.workflow.scaling import nearest_scale
    from archsmith.workflow.times import LAST_ROUNDS

    began, used = time.perf_counter(), time.process_time()
    unreadable: Any = "skip" if data.endswith(FILES["bccd"]) else "refuse"
    reading = options or ReadOptions(unreadable=unreadable)
    problem = open_problem(space, data, task=task, options=reading)
    left = seconds - (time.perf_counter() - began)
    metric = problem.task.metrics[0]
    goal = Objective(metric.name, metric.direction)
    if name == "default":
        architecture = problem.space.default()
        recipe = replace(problem.recipe, epochs=LAST_ROUNDS, schedule="wsd")
        problem = replace(problem, recipe=recipe, round=left / LAST_ROUNDS)
        until = time.monotonic() + left
        trainer = TrainingEvaluator.for_problem(problem, goal).ending(until, True)
        model = problem.space.build(architecture, seed=seed)
        model.load_state_dict(trainer.train(architecture, seed).best_state)
        test = score(model, problem.task, problem.data.test, problem.data.facts)
        params = sum(parameter.numel() for parameter in model.parameters())
    else:
        with tempfile.TemporaryDirectory() as cache, torch.random.fork_rng():
            reference = next(r for r in references_of(problem.task) if r.name == name)
            scale: float | None = 1.0
            if limit:
                bound = Limit.parse(limit)
                scale = nearest_scale(reference, problem, bound.metric, bound.bound, seed)
            trained = Baselines(
                problem, MemoryStore(), seed, goal, left, together=True, cache=Path(cache)
            ).train(reference, scale or 1.0)
        test, params = trained.test, int(trained.costs.get("params", 0))
    return {
        "test": test,
        "params": params,
        "seconds": time.perf_counter() - began,
        "processor": time.process_time() - used,
    }


def run(
    contender: str, data: str, seconds: float, seed: int, limit: str, space: str | None
) -> dict[str, Any]:
    kept = ["--limit", limit] if limit else []
    kept += ["--space", space] if space else []
    if contender == "archsmith":
        return searched(data, seconds, seed, *kept)
    if contender == "random":
        return searched(data, seconds, seed, "--strategy", "random", *kept)
    if contender == "optuna":
        from contenders_optuna import tuned

        return tuned(data, seconds, seed)
    return by_hand(data, contender, seconds, seed, limit, space)


def table(rows: dict[str, Any]) -> str:
    """Mean and spread of the test accuracy of each contender, and what it took."""
    lines = [f"{'contender':20} {'seeds':>5} {'accuracy':>16} {'parameters':>11} {'seconds':>8}"]
    names = dict.fromkeys(row["contender"] for row in rows.values())
    for name in names:
        mine = [row for row in rows.values() if row["contender"] == name]
        scores = [100 * row["accuracy"] for row in mine]
        spread = f" ± {statistics.stdev(scores):.2f}" if len(scores) > 1 else ""
        lines.append(
            f"{name:20} {len(mine):>5} {statistics.mean(scores):>8.2f}{spread:>8} "
            f"{statistics.median(row['params'] for row in mine):>11,.0f} "
            f"{statistics.mean(row['seconds'] for row in mine):>8.0f}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="cifar10", choices=[*METRICS])
    parser.add_argument("--seconds", type=float, default=1200)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument(
        "--contenders",
        nargs="+",
        default=["archsmith", "resnet-20", "default", "random", "optuna"],
        choices=["archsmith", "default", "random", "optuna", *REFERENCES],
    )
    parser.add_argument("--limit", default="")
    parser.add_argument("--space")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    torch.set_num_threads(1)
    rows: dict[str, Any] = {}
    if options.json and options.json.exists():
        rows = json.loads(options.json.read_text())
    with tempfile.TemporaryDirectory() as folder:
        data, metric = source(options.data, Path(folder)), METRICS[options.data]
        for seed, contender in itertools.product(options.seeds, options.contenders):
            asked = " ".join(filter(None, (options.limit, options.space)))
            key = f"{options.data} {options.seconds:g} {contender} {seed} {asked}".strip()
            if key in rows:
                continue
            row = run(contender, data, options.seconds, seed, options.limit, options.space)
            row["accuracy"] = row["test"][metric]
            rows[key] = {
                "contender": contender,
                "seed": seed,
                "data": options.data,
                "limit": options.limit,
                "space": options.space,
            } | row
            print(f"{key}: {row['accuracy']:.4f} in {row['seconds']:.0f} s", flush=True)
            if options.json:
                options.json.write_text(json.dumps(rows, indent=2))
    shown = options.data, options.limit, options.space
    mine = {k: r for k, r in rows.items() if (r["data"], r["limit"], r.get("space")) == shown}
    print(table(mine))


if __name__ == "__main__":
    main()
