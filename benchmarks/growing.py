"""What it brings to begin a training on smaller images.

    python benchmarks/growing.py [--data cifar10] [--seconds 300] [--network default]
        [--starts 0:1 0.5:0.625 0.5:0.5 0.7:0.625] [--seeds 0] [--json FILE]

A network is trained with the task's recipe and ``wsd`` for so many seconds of one core's processor
time: a first share of them on images of a fraction of the side (``0.5:0.625``: half of the time on
five eighths of the side), the rest on whole ones; ``0:1`` trains on whole images only. The network
is the default of ``convnet``, a member of it by answers that differ
(``'stage2.depth=2 stage3.depth=2'``, in JSON), or a reference such as ``resnet-20``, or
``resnet-20*0.61`` with that factor of all widths. ``--mix 0.5``
mixes half of the batches (CutMix). Printed is the test accuracy.

``cifar10`` (12,000 photos) needs ``ARCHSMITH_DATA``; ``fashion-mnist`` is the whole set.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from contenders import cifar10
from torch import nn

from archsmith.task.contracts import references_of
from archsmith.task.problem import Problem, open_problem
from archsmith.train import Early, rounds_within, score, shrunk, train

ROUNDS = 32


def network(problem: Problem, name: str, seed: int) -> nn.Module:
    if name == "default":
        return problem.space.build(problem.space.default(), seed=seed)
    if "=" in name:
        answers = dict(part.split("=") for part in name.split())
        return problem.space.build(
            problem.space.complete({n: json.loads(a) for n, a in answers.items()}), seed=seed
        )
    name, _, scale = name.partition("*")
    reference: Any = next(r for r in references_of(problem.task) if r.name == name)
    arguments = problem.task.arguments(problem.data.facts)
    built: nn.Module = reference.build(arguments, seed, float(scale or 1))
    return built


def trained(
    problem: Problem, name: str, seconds: float, share: float, side: float, seed: int, mix: float
) -> dict[str, Any]:
    task, data = problem.task, problem.data
    recipe = replace(problem.recipe, schedule="wsd", epochs=ROUNDS, mix=mix)
    clock = time.process_time
    rounds = rounds_within(
        network(problem, name, seed),
        task,
        data,
        recipe,
        seconds / ROUNDS,
        seed=seed,
        until=clock() + seconds,
        clock=clock,
    )
    smaller = shrunk(task, data, side) if share else None
    model = network(problem, name, seed)
    done = train(
        model,
        task,
        data,
        recipe,
        seed=seed,
        rounds=rounds,
        early=Early(smaller, share) if smaller else None,
    )
    test = score(model, task, data.test, data.facts)
    return {
        "accuracy": test["accuracy"],
        "validation": done.metrics["accuracy"],
        "train_loss": done.curve[-1]["train_loss"],
        "steps": len(done.curve) * (rounds.steps or 0),
        "curve": [row["accuracy"] for row in done.curve],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="cifar10", choices=["cifar10", "fashion-mnist"])
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--network", default="default")
    parser.add_argument("--starts", nargs="+", default=["0:1", "0.5:0.625", "0.5:0.5", "0.7:0.625"])
    parser.add_argument("--mix", type=float, default=0.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        data = cifar10(Path(folder)) if options.data == "cifar10" else options.data
        problem = open_problem(None, data)
        for seed, start in itertools.product(options.seeds, options.starts):
            share, side = map(float, start.split(":"))
            row = trained(problem, options.network, options.seconds, share, side, seed, options.mix)
            rows.append({"start": start, "seed": seed, "network": options.network, **row})
            print(f"{start} seed {seed}: {row['accuracy']:.4f}, {row['steps']:,} steps", flush=True)
            if options.json:
                options.json.write_text(json.dumps(rows, indent=2))
    print(f"{'share:side':>12} {'seeds':>5} {'accuracy':>9} {'steps':>8} {'training loss':>14}")
    for start in options.starts:
        mine = [row for row in rows if row["start"] == start]
        mean = {n: statistics.mean(r[n] for r in mine) for n in ("accuracy", "steps", "train_loss")}
        print(
            f"{start:>12} {len(mine):>5} {100 * mean['accuracy']:>9.2f} {mean['steps']:>8,.0f} "
            f"{mean['train_loss']:>14.3f}"
        )


if __name__ == "__main__":
    main()
