"""Losses over pairs: the same embedding trained with each, judged on new classes.

    python benchmarks/losses.py [--losses NAME...] [--epochs 6] [--seed 0] [--episodes 1000]
        [--json FILE]

Conv-4 on Omniglot (turned drawings are further classes), the same batches and recipe for all. A
loss that goes by angles trains an embedding of unit length; the others one that is compared by
distance as it is.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from embedding_search import judged

from archsmith.metric import losses
from archsmith.space import Architecture
from archsmith.task import task as find_task
from archsmith.task.base import ReadOptions
from archsmith.task.problem import open_space
from archsmith.train import train

ANGLES = ("contrastive", "proxy-anchor", "proxy-nca", "supervised-contrastive")


def one(loss: str, options: argparse.Namespace) -> dict[str, Any]:
    """The embedding of one loss."""
    task = find_task(f"few-shot:turned=yes,loss={loss}")
    data = task.read("omniglot", ReadOptions())
    space = open_space("embedder", task.arguments(data.facts))
    metric = "angle" if loss in ANGLES else "distance"
    architecture = Architecture(dict(space.default()) | {"head.metric": metric})
    model = space.build(architecture, seed=options.seed)
    began = time.process_time()
    recipe = replace(task.recipe(data), epochs=options.epochs)
    train(model, task, data, recipe, seed=options.seed)
    seconds = time.process_time() - began
    found = judged(model, SimpleNamespace(task=task, data=data), options.episodes)
    return {"loss": loss, "metric": metric, "seconds": seconds, "found": found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--losses", nargs="*", default=losses.names())
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    rows = []
    for loss in options.losses:
        rows.append(one(loss, options))
        print(rows[-1], file=sys.stderr, flush=True)
        if options.json:
            kept = {"options": vars(options) | {"json": None}, "rows": rows}
            options.json.write_text(
                json.dumps(kept | {"machine": platform.platform()}, indent=2) + "\n"
            )
    columns = list(rows[0]["found"])
    print(f"Conv-4 on Omniglot, {options.epochs} epochs, {options.episodes} episodes\n")
    print("| loss | compared by | " + " | ".join(columns) + " | seconds of a core |")
    print("|---|---|" + "---|" * (len(columns) + 1))
    for row in rows:
        cells = [f"{row['found'][c][0]:.2f} ± {row['found'][c][1]:.2f}" for c in columns]
        shown = " | ".join(cells)
        print(f"| {row['loss']} | {row['metric']} | {shown} | {row['seconds']:.0f} |")


if __name__ == "__main__":
    main()
