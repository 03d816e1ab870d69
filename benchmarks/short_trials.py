"""How far short trainings rank architectures as long ones do, by their steps and their data.

    python benchmarks/short_trials.py [--data digits] [--architectures 8] [--repeats 2]
        [--steps 32 64 128 256] [--long 768] [--json FILE]

Architectures of a small space of convolutions (kernel, width, depth, normalisation) are trained for
``--long`` steps on the whole training part, and for each number of steps on a subset that these
pass twice: the same one for all (``common``), or one for each trial (``own``). Printed is the rank
correlation (Spearman) of the validation losses with those of the long trainings, averaged over
repeats with other seeds, and the spread of the losses of one architecture between repeats.
``--data cifar10`` is a part of CIFAR-10 from the folder that ARCHSMITH_DATA names.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import os
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from scipy.stats import spearmanr
from torch import nn

import archsmith as nas
from archsmith.history.trial import Fidelity
from archsmith.space.architecture import Architecture
from archsmith.task.problem import Problem, open_problem
from archsmith.train import train


def cifar10(folder: Path, images: int = 12_000) -> Path:
    """An archive of the first images."""
    with np.load(Path(os.environ["ARCHSMITH_DATA"]) / "cifar10_jpeg.npz") as packed:
        ends, raw = packed["train_offsets"][: images + 1], packed["train_jpeg"]
        labels = packed["train_label"][:images]
        parts = itertools.pairwise(ends)
        x = np.stack([np.asarray(Image.open(io.BytesIO(raw[a:b].tobytes()))) for a, b in parts])
    path = folder / "cifar10.npz"
    np.savez(path, x=x, y=labels)
    return path


def small(channels: int, classes: int, height: int) -> nn.Module:
    """Convolutions behind a stem that halves what is larger than 16 pixels."""
    width, kernel = nas.choose("width", [4, 8, 16]), nas.choose("kernel", [1, 3, 5])
    depth, norm = nas.choose("depth", [0, 1, 2, 3]), nas.choose("norm", [False, True])
    layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, stride=1 + (height > 16), padding=1)]
    for _ in range(depth):
        layers += [nn.BatchNorm2d(width)] if norm else []
        layers += [nn.ReLU(), nn.Conv2d(width, width, kernel, padding=kernel // 2)]
    layers += [nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * width, classes)]
    return nn.Sequential(*layers)


def loss_of(
    problem: Problem, architecture: Architecture, steps: int, seed: int, subset: int | None
) -> float:
    """Validation loss after a training of so many steps."""
    size, whole = problem.recipe.batch_size, len(problem.data.train)
    share = min(1.0, steps * size / 2 / whole) if subset is not None else 1.0
    epochs = max(1, round(steps * size / (share * whole)))
    model = problem.space.build(architecture, seed=seed)
    trained = train(
        model,
        problem.task,
        problem.data,
        problem.recipe,
        Fidelity(epochs, share),
        seed=seed,
        subset_seed=subset,
    )
    return trained.curve[-1]["loss"]


def table(problem: Problem, options: argparse.Namespace) -> dict[str, Any]:
    """Rank correlation and spread by number of steps and kind of subset."""
    rng = random.Random(0)
    tried = [problem.space.default()]
    tried += [problem.space.sample(rng) for _ in range(options.architectures - 1)]
    long = [loss_of(problem, a, options.long, 1000 + i, None) for i, a in enumerate(tried)]
    rows = {}
    for steps in options.steps:
        for kind in ("common", "own"):
            losses = np.array(
                [
                    [
                        loss_of(problem, a, steps, seed, 0 if kind == "common" else seed)
                        for seed, a in enumerate(tried, 100 * repeat)
                    ]
                    for repeat in range(options.repeats)
                ]
            )
            agreement = statistics.mean(float(spearmanr(row, long)[0]) for row in losses)
            spread = float(losses.std(axis=0, ddof=1).mean()) if options.repeats > 1 else None
            rows[f"{steps} {kind}"] = {"rank_correlation": agreement, "spread": spread}
            print(f"{steps:5d} steps, {kind:6}: {agreement:6.2f}   spread {spread}", flush=True)
    return {"long": long, "rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--architectures", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--steps", type=int, nargs="+", default=[32, 64, 128, 256])
    parser.add_argument("--long", type=int, default=768)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        source = cifar10(Path(folder)) if options.data == "cifar10" else options.data
        found = table(open_problem(small, source), options)
    found["processor_seconds"] = round(time.process_time() - began)
    print(f"{found['processor_seconds']} s of processor time")
    if options.json:
        options.json.write_text(json.dumps({**vars(options), **found}, default=str, indent=2))


if __name__ == "__main__":
    main()
