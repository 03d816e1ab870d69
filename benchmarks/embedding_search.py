"""A searched embedding against the Conv-4 of the papers, at equal training and no more parameters.

    python benchmarks/embedding_search.py [--data omniglot] [--strategy auto] [--trials 24]
        [--loss prototypical] [--options mirrored=yes,together=0.8] [--final-epochs 20]
        [--seeds 2] [--run FOLDER] [--json FILE]

The space is ``embedder``, whose default is Conv-4. The search goes by one-shot accuracy on classes
of the validation part, under a limit of Conv-4's parameters. Its winner and Conv-4 are then trained
from nothing with the same recipe and the same seeds (the first by the search, the others here), and
told apart on classes that neither search nor training has seen: episodes of several kinds, and one
drawer's characters against another's within an alphabet. One training serves all columns.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import archsmith as nas
from archsmith.data.episodes import one_drawer_each
from archsmith.space import Space
from archsmith.task.base import Data
from archsmith.train import train
from archsmith.transfer.fewshot import evaluate_episodes, learners

EPISODES = ((5, 1), (5, 5), (20, 1), (20, 5))


def judged(model: torch.nn.Module, problem: Any, episodes: int) -> dict[str, Any]:
    """Accuracy and interval of each kind of episode, in %; error of the test within alphabets."""
    data, task = problem.data, problem.task
    learner = learners.get("prototypical")(model.eval())
    inputs = task.prepare(data.test.inputs, data.facts)
    labels = data.test.targets.numpy()
    found = {}
    for ways, shots in EPISODES:
        result = evaluate_episodes(
            learner, inputs, labels, ways=ways, shots=shots, queries=15, episodes=episodes, seed=1
        )
        found[f"{ways}-way {shots}-shot"] = (100 * result.accuracy, 100 * result.interval)
    if data.name == "omniglot":
        found["within alphabets, error"] = within(learner, inputs, data, episodes)
    return found


def within(learner: Any, inputs: torch.Tensor, data: Data, episodes: int) -> tuple[float, float]:
    """20 characters of an alphabet by one drawer against another's: error in %, and interval."""
    names = data.facts["class_names"]
    labels = data.test.targets.numpy()
    upright = np.array([" turned " not in names[label] for label in labels])
    kept = np.flatnonzero(upright)
    # Drawings of a character stand in the order of who drew them.
    drawers = np.zeros(len(kept), dtype=np.int64)
    for label in np.unique(labels[kept]):
        rows = np.flatnonzero(labels[kept] == label)
        drawers[rows] = np.arange(len(rows))
    groups = np.array([names[label].rpartition("/")[0] for label in labels[kept]])
    count = -(-episodes // len(np.unique(groups)))
    drawn = one_drawer_each(labels[kept], drawers, groups, count=count, rng=0)
    result = evaluate_episodes(learner, inputs[kept], labels[kept], drawn=drawn)
    return 100 * (1 - result.accuracy), 100 * result.interval


def again(problem: Any, architecture: Any, seed: int) -> torch.nn.Module:
    """The architecture trained from nothing with another seed."""
    space: Space = problem.space
    model = space.build(architecture, seed=seed)
    train(model, problem.task, problem.data, problem.recipe, seed=seed)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="omniglot")
    parser.add_argument("--strategy", default="auto")
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--loss", default="prototypical")
    parser.add_argument("--options", default="", help="others of the task")
    parser.add_argument("--epochs", type=int, default=None, help="of a trial, or of a supernet")
    parser.add_argument("--final-epochs", type=int, default=20)
    parser.add_argument("--finalists", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=2, help="trainings of each from nothing")
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--run", type=Path, default=None)
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    run = options.run or Path(tempfile.mkdtemp()) / "run"
    began = time.process_time()
    text = ",".join(filter(None, [f"few-shot:turned=yes,loss={options.loss}", options.options]))
    conv4 = {"omniglot": 111_680}.get(options.data)
    result = nas.search(
        "embedder",
        options.data,
        task=text,
        strategy=options.strategy,
        trials=options.trials,
        epochs=options.epochs,
        final_epochs=options.final_epochs,
        finalists=options.finalists,
        limits=[f"params<={conv4}"] if conv4 else (),
        run=run,
    )
    spent = time.process_time() - began
    problem, best, default = result.problem, result.best, result.default
    assert best is not None
    assert default is not None
    rows: list[dict[str, Any]] = []
    for name, found in (("searched", best), ("Conv-4", default)):
        for seed in range(options.seeds):
            model = found.model if seed == 0 else again(problem, found.architecture, seed)
            rows.append(
                {
                    "name": name,
                    "seed": seed,
                    "params": found.metrics["params"],
                    "flops": found.metrics["flops"],
                    "architecture": found.architecture.to_json(),
                    "found": judged(model, problem, options.episodes),
                }
            )
            print(name, seed, rows[-1]["found"], file=sys.stderr, flush=True)
    print(table(rows, options, spent))
    if options.json:
        kept = {"options": vars(options) | {"run": str(run), "json": None}, "rows": rows}
        kept |= {"search_seconds": spent, "machine": platform.platform()}
        options.json.write_text(json.dumps(kept, indent=2) + "\n")


def table(rows: list[dict[str, Any]], options: argparse.Namespace, spent: float) -> str:
    """Means over the seeds, as Markdown."""
    columns = list(rows[0]["found"])
    lines = [
        f"{options.data}, {options.strategy}, {options.trials} trials, "
        f"{spent / 60:.0f} minutes of a core for search and finalists, {options.final_epochs} "
        f"epochs, {options.seeds} seeds, {options.episodes} episodes\n",
        "| embedding | parameters | MFLOPs | " + " | ".join(columns) + " |",
        "|---|---|---|" + "---|" * len(columns),
    ]
    for name in dict.fromkeys(row["name"] for row in rows):
        own = [row for row in rows if row["name"] == name]
        cells = [
            f"{np.mean([row['found'][c][0] for row in own]):.2f} ± "
            f"{np.mean([row['found'][c][1] for row in own]):.2f}"
            for c in columns
        ]
        lines.append(
            f"| {name} | {own[0]['params']:,.0f} | {own[0]['flops'] / 1e6:.1f} | "
            + " | ".join(cells)
            + " |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
