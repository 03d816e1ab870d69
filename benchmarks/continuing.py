"""What continuing the trainings of promoted trials and finalists saves, and what it costs.

    python benchmarks/continuing.py [--seeds 5] [--only digits] [--json FILE]

Two data sets: scikit-learn's digits, and 8,700 images of Fashion-MNIST (4,200 to train on), each
with a small space of its own. First the schedules at equal epochs: the same architectures trained
with ``cosine`` and with ``wsd``. Then searches with Hyperband (one round, 22 trials) and ASHA (22
trials), ending with three finalists and the default trained to the end:

- restarting: ``cosine``, each trial and finalist trained from the start;
- continuing: ``wsd``, a trial that was promoted and a finalist continue.

Reported are test accuracy of the winner, processor time of the whole search, and the differences
with 95 % intervals over paired seeds (t distribution).
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import archsmith as nas
from archsmith.evaluate.training import TrainingEvaluator
from archsmith.history.trial import History, Proposal
from archsmith.space import Space
from archsmith.strategy.asha import ASHA
from archsmith.strategy.base import Strategy
from archsmith.strategy.hyperband import Hyperband
from archsmith.study import Progress
from archsmith.task import task
from archsmith.task.base import ReadOptions, Recipe
from archsmith.task.problem import open_problem
from archsmith.workflow.listener import Listener

#: Trials of a search; one round of Hyperband on three rungs.
TRIALS = 22
#: Architectures whose schedules are compared.
SAMPLE = 8
STRATEGIES = (Hyperband, ASHA)
#: 97.5 % quantiles of the t distribution by degrees of freedom.
T = {1: 12.71, 2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 9: 2.26, 11: 2.20, 15: 2.13}


class First(Strategy):
    """A strategy that ends after a number of trials, whatever they cost."""

    name = "first"

    def __init__(self, strategy: Strategy) -> None:
        self.strategy = strategy

    def check(self, space: Space, history: History) -> None:
        self.strategy.check(space, history)

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        return self.strategy.propose(space, history, rng) if len(history) < TRIALS else None


def perceptron(channels: int, height: int, width: int, classes: int) -> nn.Module:
    layers: list[nn.Module] = [nn.Flatten()]
    size = channels * height * width
    for place in range(nas.choose("depth", [1, 2, 3])):
        hidden = nas.choose(f"hidden{place}", [8, 16, 32, 64, 128])
        layers += [nn.Linear(size, hidden), nn.BatchNorm1d(hidden), nn.ReLU()]
        size = hidden
    dropout = nas.choose("dropout", [0.0, 0.1, 0.3])
    return nn.Sequential(*layers, nn.Dropout(dropout), nn.Linear(size, classes))


def strided(channels: int, classes: int) -> nn.Module:
    layers: list[nn.Module] = []
    for place in range(nas.choose("depth", [2, 3])):
        width = nas.choose(f"width{place}", [4, 8, 12, 16])
        kernel = nas.choose(f"kernel{place}", [3, 5])
        layers += [
            nn.Conv2d(channels, width, kernel, 2, kernel // 2, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        ]
        channels = width
    pooled = nas.choose("pooled", [1, 2])
    head = nn.Linear(channels * pooled**2, classes)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(pooled), nn.Flatten(), head)


def some_of_fashion(folder: Path) -> Path:
    """A file of 8,700 images, the same ones each time."""
    data = task("image-classification").read("fashion-mnist", ReadOptions())
    kept = torch.from_numpy(np.random.RandomState(0).permutation(len(data.train))[:8700])
    images, labels = data.train.take(kept)
    np.savez(folder / "fashion.npz", images=images[:, 0].numpy(), labels=labels.numpy())
    return folder / "fashion.npz"


def interval(differences: Sequence[float]) -> tuple[float, float]:
    """Mean and half of the width of its 95 % interval."""
    n = len(differences)
    if n < 2:
        return differences[0], math.inf
    free = max(k for k in T if k <= n - 1)
    return statistics.mean(differences), T[free] * statistics.stdev(differences) / math.sqrt(n)


def schedules(builder: Any, source: str, options: ReadOptions, recipe: Recipe) -> dict[str, Any]:
    """Validation accuracy of the same architectures after whole trainings of either schedule."""
    problem = open_problem(builder, source, options=options, recipe=recipe)
    rng, rows = random.Random(0), []
    for seed in range(SAMPLE):
        architecture = problem.space.sample(rng)
        row: dict[str, float] = {}
        for name, changes in {"cosine": {}, "wsd": {"schedule": "wsd"}}.items():
            changed = replace(problem, recipe=replace(recipe, **changes))  # type: ignore[arg-type]
            trained = TrainingEvaluator.for_problem(changed).train(architecture, seed)
            row[name] = trained.curve[-1]["accuracy"]
        rows.append(row)
    return {"rows": rows, "difference": interval([row["wsd"] - row["cosine"] for row in rows])}


def search(
    builder: Any, source: str, options: ReadOptions, recipe: Recipe, strategy: Strategy, seed: int
) -> dict[str, float]:
    began = finals = time.process_time()

    def event(progress: Progress) -> None:
        nonlocal finals
        finals = time.process_time()  # the last one is the end of the last trial

    result = nas.search(
        builder,
        source,
        strategy=First(strategy),
        recipe=recipe,
        epochs=recipe.epochs,
        share=1.0,
        trials=1000,
        seed=seed,
        read=options,
        listener=Listener(event=event),
    )
    ended = time.process_time()
    assert result.best is not None
    assert not result.problems, result.problems
    trials = result.history.ended
    searched = sum((t.fidelity.epochs or 0) if t.trained is None else t.trained for t in trials)
    return {
        "accuracy": result.best.test["accuracy"],
        "seconds": ended - began,
        "search_seconds": finals - began,
        "final_seconds": ended - finals,
        "search_epochs": searched,
        "continued": sum(t.continues is not None for t in trials),
    }


def compare(setup: Sequence[Any], strategy: type[Strategy], seed: int) -> dict[str, Any]:
    builder, source, options, recipe = setup
    return {
        name: search(builder, source, options, changed, strategy(), seed)
        for name, changed in {
            "restarting": recipe,
            "continuing": replace(recipe, schedule="wsd"),
        }.items()
    }


def line(name: str, strategy: str, rows: Sequence[Any]) -> str:
    def mean(contender: str, figure: str) -> float:
        return statistics.mean(row[contender][figure] for row in rows)

    def saved(figure: str) -> str:
        shares = [1 - row["continuing"][figure] / row["restarting"][figure] for row in rows]
        return "{:.0%} ± {:.0%}".format(*interval(shares))

    difference = "{:+.2f} ± {:.2f}"
    gains = [100 * (row["continuing"]["accuracy"] - row["restarting"]["accuracy"]) for row in rows]
    return (
        f"| {name} | {strategy} | {len(rows)} | {100 * mean('restarting', 'accuracy'):.2f} | "
        f"{100 * mean('continuing', 'accuracy'):.2f} | {difference.format(*interval(gains))}"
        f" | {mean('restarting', 'seconds'):.1f} s | {mean('continuing', 'seconds'):.1f} s | "
        f"{saved('seconds')} | {saved('search_seconds')} | {saved('final_seconds')} | "
        f"{saved('search_epochs')} |"
    )


def show(found: Mapping[str, Any]) -> None:
    print(
        "| data | strategy | seeds | restarting, % | continuing, % | difference | restarting "
        "| continuing | saved | in the search | for finalists | epochs of the search |"
    )
    print("|" + "---|" * 12)
    for name, rows in found.items():
        for strategy in STRATEGIES:
            if rows[strategy.name]:
                print(line(name, strategy.name, rows[strategy.name]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", choices=["digits", "fashion-mnist"])
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        setups: dict[str, Sequence[Any]] = {
            "digits": (
                perceptron,
                "digits",
                ReadOptions(),
                Recipe(epochs=27, batch_size=32, lr=4e-3, label_smoothing=0.05),
            )
        }
        if given.only != "digits":
            setups["fashion-mnist"] = (
                strided,
                str(some_of_fashion(Path(folder))),
                ReadOptions(validation=1500 / 8700, test=3000 / 8700),
                Recipe(epochs=9, batch_size=32, lr=4e-3, label_smoothing=0.05),
            )
        for name, setup in setups.items():
            if given.only in (None, name):
                found[name] = {"schedules": schedules(*setup)} | {s.name: [] for s in STRATEGIES}
                shown = [100 * value for value in found[name]["schedules"]["difference"]]
                print(f"{name}: wsd - cosine {shown[0]:+.2f} ± {shown[1]:.2f} points", flush=True)
        for seed in range(given.seeds):
            for name, rows in found.items():
                for strategy in STRATEGIES:
                    rows[strategy.name].append(compare(setups[name], strategy, seed))
                    if given.json:
                        given.json.write_text(json.dumps(found, indent=1) + "\n")
    show(found)


if __name__ == "__main__":
    main()
