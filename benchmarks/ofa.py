"""What progressive shrinking gains from lower rates later, sorted channels, kernel matrices.

    python benchmarks/ofa.py [--epochs 60] [--seeds 2] [--paths 20] [--json FILE]

A MobileNet-like space (kernel, depth and expansion chosen) on the digits at 8x8. Each variant of
``ofa`` trains one supernet; random architectures, the smallest and the largest are judged by its
weights on the validation part, batch normalisation recalibrated as in a search. Means over seeds,
with the spread of the seeds; the same architectures for all.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import archsmith as nas
from archsmith.supernet.progressive import OFA, PAPER
from archsmith.supernet.recalibrate import recalibrate
from archsmith.supernet.training import train_supernet
from archsmith.task import task
from archsmith.task.base import ReadOptions

VARIANTS: dict[str, dict[str, Any]] = {
    "as before": {"sort": False, "transforms": False},
    "sorted": {"transforms": False},
    "matrices": {"sort": False},
    "both": {},
    "both, paper's rates": {"rates": PAPER},
}
CHANNELS = 12


class Inverted(nn.Module):
    """Widen, filter each channel, narrow; beside a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        hidden = CHANNELS * nas.choose("expansion", [1, 2, 4])
        kernel = nas.choose("kernel", [3, 5])
        self.body = nn.Sequential(
            nn.Conv2d(CHANNELS, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(),
            nn.Conv2d(hidden, hidden, kernel, padding=kernel // 2, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(),
            nn.Conv2d(hidden, CHANNELS, 1, bias=False),
            nn.BatchNorm2d(CHANNELS),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.body(x)
        return out


def net(channels: int = 1, classes: int = 10) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, CHANNELS, 3, padding=1),
        nn.BatchNorm2d(CHANNELS),
        nn.ReLU(),
        nas.repeat("depth", [1, 2, 3], lambda i: Inverted()),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * CHANNELS, classes),
    )


def judged(supernet: nas.Supernet, architecture: nas.Architecture, data: Any) -> float:
    images = task("image-classification")
    model = supernet.subnet(architecture, own_buffers=True)
    inputs = images.prepare(data.train.inputs, data.facts)
    recalibrate(model, inputs.split(256))
    with torch.no_grad():
        out = model.eval()(images.prepare(data.validation.inputs, data.facts))
    return float((out.argmax(1) == data.validation.targets).float().mean())


def run(variant: str, seed: int, epochs: int, paths: int, data: Any) -> dict[str, float]:
    space, began = nas.Space(net, channels=1, classes=10), time.process_time()
    supernet = nas.Supernet(space, seed=seed, example=torch.zeros(2, 1, 8, 8))
    images = task("image-classification")
    recipe = replace(images.recipe(data), epochs=epochs)
    method = OFA(**VARIANTS[variant])
    train_supernet(supernet, method, images, data, recipe, seed=seed)
    rng = random.Random(0)
    scores = [judged(supernet, space.sample(rng), data) for _ in range(paths)]
    return {
        "random": statistics.mean(scores),
        "smallest": judged(supernet, supernet.survey.smallest, data),
        "largest": judged(supernet, supernet.survey.largest, data),
        "seconds": time.process_time() - began,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--paths", type=int, default=20)
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = task("image-classification").read("digits", ReadOptions())
    found: dict[str, list[dict[str, float]]] = {}
    for seed in range(options.seeds):
        for variant in options.variants:
            row = run(variant, seed, options.epochs, options.paths, data)
            found.setdefault(variant, []).append(row)
            told = "  ".join(f"{name} {value:.3f}" for name, value in row.items())
            print(f"seed {seed}  {variant:20} {told}", flush=True)
            if options.json:
                options.json.write_text(json.dumps(found, indent=1))
    for variant, rows in found.items():
        for name in ("random", "smallest", "largest"):
            values = [row[name] for row in rows]
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            print(f"{variant:20} {name:9} {statistics.mean(values):.3f} ± {spread:.3f}")


if __name__ == "__main__":
    main()
