"""One drawer's characters against another's, within an alphabet that nobody trained on.

    python benchmarks/within_alphabets.py [--epochs 13] [--contenders conv-4 residual]
        [--options mirrored=yes,together=0.8] [--views 16] [--episodes 1000] [--json FILE]

Two embeddings of the space ``embedder``: its default, the Conv-4 of the papers, and a residual one
(two convolutions a stage, widths 32, 64, 64, 128, the last map is kept as it is). Both are trained
by the task ``few-shot`` with the same recipe. Five alphabets to train on, one to choose the epoch
by, two to test on. The last columns average the embedding over slightly distorted views.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from embedding_search import judged, within
from torch import Tensor, nn

from archsmith.space import Architecture
from archsmith.task import task as find_task
from archsmith.task.base import ReadOptions
from archsmith.task.embedding import distorted
from archsmith.task.problem import open_space
from archsmith.train import train
from archsmith.transfer.fewshot import learners

CONTENDERS: dict[str, dict[str, Any]] = {
    "conv-4": {},
    "residual": {
        "head.pool": "map",
        **{f"stage{n}.width": w for n, w in zip((1, 2, 3, 4), (32, 64, 64, 128), strict=True)},
        **{f"stage{n}.further": 1 for n in (1, 2, 3, 4)},
    },
}


class Problem:
    """What :func:`embedding_search.judged` asks for."""

    def __init__(self, task: Any, data: Any) -> None:
        self.task, self.data = task, data


class Views(nn.Module):
    """An embedding averaged over distorted views of each image, and the image itself."""

    def __init__(self, model: nn.Module, count: int) -> None:
        super().__init__()
        self.model, self.count = model, count

    def forward(self, x: Tensor) -> Tensor:
        total = self.model(x)
        for seed in range(self.count):
            drawn = torch.Generator().manual_seed(seed)
            view = distorted(x, drawn, turn=8, scale=0.08, shift=0.05, bend=0.015)
            total = total + self.model(view)
        return total / (self.count + 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--epochs", type=int, default=13)
    parser.add_argument("--contenders", nargs="+", default=list(CONTENDERS), choices=CONTENDERS)
    parser.add_argument("--options", default="mirrored=yes,together=0.8")
    parser.add_argument("--views", type=int, default=16)
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    task = find_task(",".join(filter(None, ["few-shot:turned=yes", options.options])))
    data = task.read("omniglot", ReadOptions(validation=0.1))
    print("; ".join(data.summary), file=sys.stderr)
    space = open_space("embedder", task.arguments(data.facts))
    recipe = replace(task.recipe(data), epochs=options.epochs)
    rows = []
    for name in options.contenders:
        architecture = space.complete({**space.default(), **CONTENDERS[name]})
        model = space.build(Architecture(architecture), seed=options.seed)
        began = time.process_time()
        train(
            model,
            task,
            data,
            recipe,
            seed=options.seed,
            on_epoch=lambda row: print(row, file=sys.stderr, flush=True),
        )
        spent = time.process_time() - began
        found = judged(model, Problem(task, data), options.episodes)
        inputs = task.prepare(data.test.inputs, data.facts)
        averaged = learners.get("prototypical")(Views(model, options.views).eval())
        found["the same, views averaged"] = within(averaged, inputs, data, options.episodes)
        count = sum(p.numel() for p in model.parameters())
        rows.append({"name": name, "params": count, "seconds": spent, "found": found})
        print(rows[-1], file=sys.stderr, flush=True)
    if options.json:
        kept = {name: str(value) for name, value in vars(options).items()}
        document = {"machine": platform.platform(), "options": kept, "rows": rows}
        options.json.write_text(json.dumps(document, indent=1), encoding="utf-8")
    columns = list(rows[0]["found"])
    print("| embedding | parameters | " + " | ".join(columns) + " | minutes of a core |")
    print("|---|---|" + "---|" * (len(columns) + 1))
    for row in rows:
        cells = " | ".join("{:.2f} ± {:.2f}".format(*row["found"][c]) for c in columns)
        print(f"| {row['name']} | {row['params']:,} | {cells} | {row['seconds'] / 60:.0f} |")


if __name__ == "__main__":
    main()
