"""Learning without labels: what features are worth with few labels, and whether the score ranks.

    python benchmarks/selfsupervised.py [--data digits] [--space convnet] [--epochs 40]
        [--labels 1 5 20 100] [--seeds 3] [--architectures 16] [--json FILE]

First table: the default architecture is trained without labels (SimCLR, Barlow Twins) or not at
all; a linear probe on its features gets so many labels a class. Beside it the same architecture
trained from nothing on these labels alone. Accuracy on the test part, mean over seeds.

Second table: random architectures are trained without labels and, apart from that, with all of
them. Kendall's tau between the score without labels and the accuracy, and what the best by the
score is worth. Baseline: the number of parameters.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import kendalltau

import archsmith as nas
from archsmith.data.splits import TensorSplit
from archsmith.task import task as find_task
from archsmith.task.base import Data, ReadOptions
from archsmith.task.problem import open_space
from archsmith.train import score, train

LOSSES = ("simclr", "barlow-twins")


def drawn(data: Data, count: int, seed: int) -> TensorSplit:
    """So many training examples of each class."""
    rng = np.random.default_rng(seed)
    targets = data.train.targets.numpy()
    rows = np.concatenate(
        [rng.permutation(np.flatnonzero(targets == c))[:count] for c in np.unique(targets)]
    )
    return TensorSplit(data.train.inputs[rows], data.train.targets[rows])


def alone(options: argparse.Namespace, loss: str, seed: int, architecture: Any = None) -> Any:
    """A model trained without labels, and its score on the validation part."""
    task = find_task(f"self-supervised:loss={loss}")
    data = task.read(options.data, ReadOptions())
    space = open_space(options.space, task.arguments(data.facts))
    model = space.build(architecture or space.default(), seed=seed)
    recipe = replace(task.recipe(data), epochs=options.epochs)
    trained = train(model, task, data, recipe, seed=seed)
    return model, trained.metrics["accuracy"]


def few_labels(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Accuracy by kind of features and number of labels."""
    task = find_task("image-classification")
    data = task.read(options.data, ReadOptions())
    space = open_space(options.space, task.arguments(data.facts))
    rows = []
    for seed in range(options.seeds):
        models = {"untrained": space.build(space.default(), seed=seed)}
        models |= {loss: alone(options, loss, seed)[0] for loss in LOSSES}
        for count in options.labels:
            part = drawn(data, count, seed)
            found = {}
            for name, model in models.items():
                features = nas.Features(model)
                seen, asked = (
                    features(task.prepare(p.inputs, data.facts)) for p in (part, data.test)
                )
                probes = nas.probe(
                    seen, part.targets, asked, data.test.targets, kinds=["linear"], seed=seed
                )
                found[f"{name}, linear probe"] = probes[0].accuracy
            small = replace(data, train=part, validation=part)
            model = space.build(space.default(), seed=seed)
            recipe = replace(task.recipe(small), epochs=options.epochs)
            train(model, task, small, recipe, seed=seed)
            found["from nothing, all weights"] = score(model, task, data.test, data.facts)[
                "accuracy"
            ]
            for name, accuracy in found.items():
                rows.append({"seed": seed, "labels": count, "method": name, "accuracy": accuracy})
            print(rows[-len(found) :], file=sys.stderr, flush=True)
    return rows


def ranking(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Score without labels and accuracy with them, of random architectures."""
    task = find_task("image-classification")
    data = task.read(options.data, ReadOptions())
    space = open_space(options.space, task.arguments(data.facts))
    rng, rows = random.Random(0), []
    for number in range(options.architectures):
        architecture = space.sample(rng)
        model = space.build(architecture, seed=0)
        row = {"params": float(sum(p.numel() for p in model.parameters()))}
        row |= {loss: alone(options, loss, 0, architecture)[1] for loss in LOSSES}
        trained = train(model, task, data, task.recipe(data), seed=0)
        row["accuracy"] = trained.metrics["accuracy"]
        rows.append(row)
        print(number, row, file=sys.stderr, flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--space", default="convnet")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--labels", type=int, nargs="+", default=[1, 5, 20, 100])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--architectures", type=int, default=16)
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = few_labels(options)
    methods = list(dict.fromkeys(row["method"] for row in rows))
    print("| features | " + " | ".join(f"{n} a class" for n in options.labels) + " |")
    print("|---|" + "---|" * len(options.labels))
    for method in methods:
        cells = []
        for count in options.labels:
            own = [r["accuracy"] for r in rows if r["method"] == method and r["labels"] == count]
            cells.append(f"{100 * np.mean(own):.1f} ± {100 * np.std(own):.1f}")
        print(f"| {method} | " + " | ".join(cells) + " |")
    ranked = ranking(options) if options.architectures else []
    if ranked:
        truth = [row["accuracy"] for row in ranked]
        print(f"\nBest of {len(ranked)} by accuracy: {max(truth):.4f}, mean {np.mean(truth):.4f}\n")
        print("| score | Kendall's tau | accuracy of its best |")
        print("|---|---|---|")
        for name in (*LOSSES, "params"):
            values = [row[name] for row in ranked]
            tau = kendalltau(values, truth).statistic
            print(f"| {name} | {tau:.2f} | {truth[int(np.argmax(values))]:.4f} |")
    if options.json:
        kept = {"options": vars(options) | {"json": None}, "few_labels": rows, "ranking": ranked}
        text = json.dumps(kept | {"machine": platform.platform()}, indent=2)
        options.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
