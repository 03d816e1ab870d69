"""The detector of collapse: false alarms on healthy searches, and what it finds of planted ones.

    python benchmarks/collapse.py [--healthy 20] [--planted 4] [--epochs 20] [--json FILE]

Needs no data beside scikit-learn's digits. Three places in a row, each a choice of four operations,
are searched; the detector watches and its verdict is noted, but no search is stopped, so that what
would have come can be told. Healthy searches have all pictures and default rates; ``darts``,
``drnas``, ``fair-darts`` and ``gdas`` in turn. Collapses are planted in ``darts``:

- ``heart``: 128 pictures, half of them held out, of which four in ten have a wrong label, at four
  times the rate and without weight decay. The weights learn them by heart, and the held-out loss
  grows sharp in the alphas.
- ``skip``: the alphas of ``skip`` are pulled up from the middle of the search on.

A table tells for each kind how many would have been stopped, of how many decisions, and what share
of the processor time the curvature took. ``exact criterion alone`` is RobustDARTS' growth without
the start and the fall of the loss that it is held against here. With ``--json`` each row is kept
as it comes, and the same command goes on with those that lack.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

import archsmith as nas
from archsmith.data.splits import TensorSplit
from archsmith.supernet import methods
from archsmith.supernet.relax.collapse import Watch
from archsmith.task.problem import open_problem

HEALTHY = ("darts", "drnas", "fair-darts", "gdas")
PLANTED = ("heart", "skip")
WIDTH = 8


def conv(kernel: int) -> nn.Module:
    inner = nn.Conv2d(WIDTH, WIDTH, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(nn.ReLU(), inner, nn.BatchNorm2d(WIDTH))


def places(channels: int, classes: int) -> nn.Module:
    """Three choices in a row, between a convolution and a head."""
    options = {
        "conv3": lambda: conv(3),
        "conv1": lambda: conv(1),
        "skip": nn.Identity,
        "pool": lambda: nn.AvgPool2d(3, 1, 1, count_include_pad=False),
    }
    return nn.Sequential(
        nn.Conv2d(channels, WIDTH, 3, padding=1),
        nn.BatchNorm2d(WIDTH),
        *(nas.one_of(f"op{place}", options) for place in range(3)),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * WIDTH, classes),
    )


def by_heart(train: TensorSplit, seed: int) -> TensorSplit:
    """128 examples, four in ten with a wrong label."""
    generator = torch.Generator().manual_seed(seed)
    few = torch.randperm(len(train), generator=generator)[:128]
    targets = train.targets[few].clone()
    wrong = torch.rand(128, generator=generator) < 0.4
    shift = torch.randint(1, 10, (128,), generator=generator)
    targets[wrong] = (targets + shift)[wrong] % 10
    return TensorSplit(train.inputs[few], targets)


def search(kind: str, method: str, seed: int, epochs: int) -> dict[str, Any]:
    """One search to its end, with the signs of each epoch."""
    problem = open_problem(nas.Space(places, channels=1, classes=10), "digits")
    data, recipe = problem.data, replace(problem.recipe, epochs=epochs, batch_size=48)
    if kind == "heart":
        data = replace(data, train=by_heart(data.train, seed))
        recipe = replace(
            recipe, lr=4 * recipe.lr, weight_decay=0.0, label_smoothing=0.0, batch_size=8
        )
    chosen = methods.get(method)(eigenvalue=True, early_stop=False)
    spent, inner = [0.0], chosen.curvature

    def timed(*args: Any) -> dict[str, float]:
        began = time.process_time()
        told: dict[str, float] = inner(*args)
        spent[0] += time.process_time() - began
        return told

    chosen.curvature = timed
    rows: list[Any] = []

    def noted(row: Any) -> None:
        rows.append(row)
        if kind == "skip" and row["epoch"] >= epochs // 2:
            for name in chosen.alphas.names:
                chosen.alphas[name].data[2] += 1.0

    began = time.process_time()
    nas.train_supernet(
        nas.Supernet(problem.space, seed=seed),
        chosen,
        problem.task,
        data,
        recipe,
        seed=seed,
        on_epoch=noted,
    )
    seconds = time.process_time() - began
    signs = ("eigenvalue", "probe_loss", "free_share", "entropy", "train_loss")
    return {
        "kind": kind,
        "method": method,
        "seed": seed,
        "seconds": seconds,
        "share": spent[0] / seconds,
        **{name: [row[name] for row in rows] for name in signs},
    }


def verdict(row: dict[str, Any]) -> tuple[int, str]:
    """At which epoch the detector would have stopped the search, and why; 0 if not."""
    watch, epochs = Watch(), len(row["free_share"])
    signs = zip(row["free_share"], row["eigenvalue"], row["probe_loss"], strict=True)
    for epoch, (share, eigenvalue, loss) in enumerate(signs, start=1):
        reason = watch.look(share, {}, eigenvalue=eigenvalue, loss=loss, progress=epoch / epochs)
        if reason:
            return epoch, reason
    return 0, ""


def alone(row: dict[str, Any]) -> bool:
    """Whether the growth of the eigenvalue alone would have stopped it, from the ninth epoch on."""
    values = row["eigenvalue"]
    means = [statistics.mean(values[i - 5 : i]) for i in range(5, len(values) + 1)]
    return any(now > 0 and old / now < 0.75 for old, now in zip(means, means[4:], strict=False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--healthy", type=int, default=20)
    parser.add_argument("--planted", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    if options.json and options.json.exists():
        rows = json.loads(options.json.read_text(encoding="utf-8"))["rows"]
    had = {(row["kind"], row["method"], row["seed"]) for row in rows}
    jobs = [(kind, "darts", seed) for seed in range(options.planted) for kind in PLANTED]
    jobs += [("healthy", HEALTHY[i % len(HEALTHY)], i) for i in range(options.healthy)]
    for kind, method, seed in jobs:
        if (kind, method, seed) in had:
            continue
        rows.append(search(kind, method, seed, options.epochs))
        if options.json:
            document = {"machine": platform.platform(), "epochs": options.epochs, "rows": rows}
            options.json.write_text(json.dumps(document), encoding="utf-8")
    print(report(rows))


def report(rows: list[dict[str, Any]]) -> str:
    """The table as Markdown."""
    lines = [
        "| searches | stopped | at epoch | by the eigenvalue | exact criterion alone "
        "| share of the time |",
        "|---|---|---|---|---|---|",
    ]
    for kind in dict.fromkeys(row["kind"] for row in rows):
        own = [row for row in rows if row["kind"] == kind]
        verdicts = [verdict(row) for row in own]
        stopped = [epoch for epoch, _ in verdicts if epoch]
        lines.append(
            f"| {kind} | {len(stopped)} of {len(own)} | {', '.join(map(str, stopped)) or '–'} "
            f"| {sum('eigenvalue' in reason for _, reason in verdicts)} "
            f"| {sum(map(alone, own))} of {len(own)} "
            f"| {statistics.mean(row['share'] for row in own):.0%} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
