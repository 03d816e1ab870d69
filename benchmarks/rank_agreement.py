"""How far trials of a time-limited search rank architectures as the full training does.

    python benchmarks/rank_agreement.py [--data cifar10] [--architectures 30]
        [--seconds 16 48 160] [--part 0/1] [--json FILE]

The default of ``convnet``, as many mutants of it (one to four decisions changed) and as many random
architectures are trained with the task's recipe, ``wsd``, each for the same processor time of one
core: the first of ``--seconds`` as a trial, then on from where that was before its decay, up to the
last, which is the full training. Printed is Kendall's tau of the validation scores at each time
with those of the full training, with its 95 % interval, for all and for the mutants alone, and what
choosing by it costs: how far the best, or the best of three, is behind the best in the end.

``--part 1/2`` trains every second architecture, so that two processes can share the work; the JSON
file is that of the part, and ``--read FILE ...`` prints the table of several. ``cifar10`` (12,000
photos) needs ``ARCHSMITH_DATA``; ``fashion-mnist`` is the whole set.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from contenders import cifar10

from archsmith.history.agreement import rank_agreement
from archsmith.history.trial import Fidelity
from archsmith.space.architecture import Architecture
from archsmith.task.problem import Problem, open_problem
from archsmith.train import Diverged, TrainingState, rounds_within, train

Row = dict[str, Any]


def chosen(problem: Problem, count: int, seed: int) -> list[tuple[str, Architecture]]:
    """The default, then mutants of it and random architectures in turns."""
    rng, space = random.Random(seed), problem.space
    found = [("default", space.default())]
    while len(found) < count:
        kind = "mutant" if len(found) % 2 else "random"
        architecture = space.sample(rng)
        if kind == "mutant":
            architecture = space.default()
            for _ in range(rng.randint(1, 4)):
                architecture = space.mutate(architecture, rng)
        if all(architecture != other for _, other in found):
            found.append((kind, architecture))
    return found


def scores(problem: Problem, architecture: Architecture, seconds: list[float]) -> Row:
    """Validation accuracy after each time, all but the last from a branch that decays early."""
    build = lambda: problem.space.build(architecture, seed=0)  # noqa: E731
    task, data, recipe = problem.task, problem.data, replace(problem.recipe, schedule="wsd")
    rounds = rounds_within(build(), task, data, recipe, seconds[0], seed=0)
    kept: list[TrainingState] = []
    row: Row = {"steps": rounds.steps, "params": sum(p.numel() for p in build().parameters())}
    row["accuracy"], row["loss"], row["train_loss"] = [], [], []
    for length in seconds:
        try:
            trained = train(
                build(),
                task,
                data,
                recipe,
                Fidelity(max(1, round(length / seconds[0]))),
                seed=0,
                rounds=rounds,
                start=kept[-1] if kept else None,
                keep=kept.append,
            )
            metrics = {**trained.metrics, "train_loss": trained.curve[-1]["train_loss"]}
        except Diverged:
            metrics = {"accuracy": 0.0, "loss": float("inf"), "train_loss": float("inf")}
        for name in ("accuracy", "loss", "train_loss"):
            row[name].append(metrics[name])
    return row


def table(rows: list[Row], seconds: list[float]) -> str:
    lines = [
        f"{'seconds':>8} {'of':>7} {'n':>3} {'tau':>6} {'interval':>15} {'best':>6} {'of 3':>6}"
    ]
    for which in ("all", "mutants"):
        mine = [r for r in rows if which == "all" or r["kind"] != "random"]
        last = [row["accuracy"][-1] for row in mine]
        for place, length in enumerate(seconds[:-1]):
            short = [row["accuracy"][place] for row in mine]
            found = rank_agreement(short, last)
            order = sorted(range(len(mine)), key=lambda k: -short[k])
            behind = [100 * (max(last) - max(last[k] for k in order[:n])) for n in (1, 3)]
            tau = found.tau
            inside = f"[{tau.low or 0:.2f}, {tau.high or 0:.2f}]"
            lines.append(
                f"{length:>8g} {which:>7} {len(mine):>3} {tau.value or 0:>6.2f} {inside:>15} "
                f"{behind[0]:>6.2f} {behind[1]:>6.2f}"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="cifar10", choices=["cifar10", "fashion-mnist"])
    parser.add_argument("--architectures", type=int, default=30)
    parser.add_argument("--seconds", type=float, nargs="+", default=[16, 48, 160])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", default="0/1")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--read", type=Path, nargs="+", help="print what stands in these files")
    options = parser.parse_args()
    if options.read:
        rows = [row for path in options.read for row in json.loads(path.read_text())]
        print(table(rows, options.seconds))
        return
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    number, parts = map(int, options.part.split("/"))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        data = cifar10(Path(folder)) if options.data == "cifar10" else options.data
        problem = open_problem(None, data)
        all_of_them = chosen(problem, options.architectures, options.seed)
        for kind, architecture in all_of_them[number % parts :: parts]:
            row = scores(problem, architecture, options.seconds)
            rows.append({"kind": kind, "architecture": architecture.to_json(), **row})
            shown = " ".join(f"{value:.3f}" for value in row["accuracy"])
            print(f"{kind} {row['params']:,} parameters, {row['steps']} steps: {shown}", flush=True)
            if options.json:
                options.json.write_text(json.dumps(rows, indent=2))
    print(table(rows, options.seconds))


if __name__ == "__main__":
    main()
