"""Whether a search of the architecture together with its recipe beats one of the architecture.

    python benchmarks/tuned_recipe.py [--data digits] [--trials 10] [--epochs 3]
        [--final-epochs 8] [--seeds 3] [--tune lr,weight_decay,label_smoothing] [--rate 1]
        [--json FILE]

For each seed the task's own space is searched twice with as many trials of as many epochs: with the
task's own recipe, and with fields of it as decisions beside those of the model. The best trial by
the validation part is trained to the end with the recipe that it was found with, as is the default
architecture. ``--rate`` multiplies the learning rate of the task's recipe, for a default that
is off. Printed are the winners' test accuracy and processor seconds. ``--data cifar10`` is a
part of CIFAR-10, 2,400 pictures, from the folder that ARCHSMITH_DATA names.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from short_trials import cifar10

import archsmith as nas
from archsmith.task.options import ReadOptions
from archsmith.task.problem import read_data

_CIFAR10 = 2_400


def one(data: str, tune: str | None, seed: int, given: argparse.Namespace) -> dict[str, Any]:
    """A search and its winner."""
    began = time.process_time()
    task, read = read_data(data, None, ReadOptions())
    recipe = task.recipe(read)
    result = nas.search(
        None,
        data,
        strategy=given.strategy,
        recipe=replace(recipe, lr=given.rate * recipe.lr),
        tune=tune,
        trials=given.trials,
        epochs=given.epochs,
        final_epochs=given.final_epochs,
        finalists=1,
        seed=seed,
    )
    assert result.best is not None
    assert result.default is not None
    best = result.history.best()
    assert best is not None
    return {
        "seed": seed,
        "tune": tune,
        "found": best.metrics["accuracy"],
        "test": result.best.test["accuracy"],
        "default": result.default.test["accuracy"],
        "params": result.best.costs["params"],
        "recipe": {n: a for n, a in result.best.architecture.items() if n.startswith("recipe.")},
        "seconds": time.process_time() - began,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default="digits")
    parser.add_argument("--strategy", default="auto")
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--final-epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rate", type=float, default=1.0)
    parser.add_argument("--tune", default="lr,weight_decay,label_smoothing")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        data = given.data
        if data == "cifar10":
            data = str(cifar10(Path(folder), _CIFAR10))
        for seed in range(given.seeds):
            for tune in (None, given.tune):
                rows.append(one(data, tune, seed, given))
                print(rows[-1], flush=True)
    print(f"\n{given.data}: {given.trials} trials of {given.epochs} epochs, {given.seeds} seeds")
    print("recipe    best trial  winner's test  default's test  seconds")
    for tune in (None, given.tune):
        some = [row for row in rows if row["tune"] == tune]
        means = [statistics.mean(row[n] for row in some) for n in ("found", "test", "default")]
        spread = statistics.stdev(row["test"] for row in some) if len(some) > 1 else 0.0
        seconds = statistics.mean(row["seconds"] for row in some)
        print(
            f"{'searched' if tune else 'default':9} {means[0]:10.4f}  {means[1]:.4f} ± "
            f"{spread:.4f}  {means[2]:14.4f}  {seconds:7.1f}"
        )
    gains = [b["test"] - a["test"] for a, b in zip(rows[::2], rows[1::2], strict=True)]
    print("gain of the searched recipe by seed:", " ".join(f"{gain:+.4f}" for gain in gains))
    if given.json:
        given.json.write_text(json.dumps({"options": vars(given), "rows": rows}, default=str))


if __name__ == "__main__":
    main()
