"""Samples of the found and of the default generative model, after equal processor time.

    python benchmarks/generation.py [--data fashion-mnist] [--task generation] [--space NAME]
        [--models found default] [--minutes 20] [--samples 5000] [--seeds 0] [--sheets DIR]
        [--json FILE]

``found`` is what ``archsmith search DATA --task generation --time`` ends with after so many
minutes, search and last training together; ``default`` is the default of the space, trained with
the task's recipe for as many minutes of one core's processor time. Printed are, of samples of all
classes in equal numbers:

- ``right class``: the share that a classifier takes for the class that was asked for;
- ``Frechet``: the squared Fréchet distance of its features of samples and of test images.

The classifier is our own: the default of ``convnet``, trained on the same training part. Distances
by its features are not comparable with published ones (FID), which use an Inception network. The
first row judges as many training images as if they were samples: nothing is expected to do better.

With ``--sheets`` samples of the same noise are saved as pictures after each round of the default's
training.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import archsmith as nas
from archsmith.metric.frechet import frechet_distance
from archsmith.task import task as find_task
from archsmith.task.base import Data, ReadOptions
from archsmith.task.generation import Generation, Order
from archsmith.task.generation_picture import sheet
from archsmith.task.generative import as_grey_levels
from archsmith.task.problem import Problem, open_problem, open_space
from archsmith.train import rounds_within, score, train

ROUNDS = 16


class Judge:
    """A classifier of our own that looks at images, uint8 (n, channels, height, width)."""

    def __init__(self, source: str) -> None:
        self.task = find_task("image-classification")
        self.data: Data = self.task.read(source, ReadOptions())
        space = open_space("convnet", self.task.arguments(self.data.facts))
        self.model = space.build(space.default(), seed=0)
        train(self.model, self.task, self.data, self.task.recipe(self.data), seed=0)
        self.features = nas.Features(self.model)
        self.accuracy = score(self.model, self.task, self.data.test, self.data.facts)["accuracy"]
        whole = self.data.test.head(len(self.data.test))
        self.real = self.features(self.task.prepare(whole.inputs, self.data.facts)).numpy()

    def __call__(self, images: Tensor, labels: Tensor) -> dict[str, float]:
        ready = self.task.prepare(images, self.data.facts)
        with torch.no_grad():
            guesses = torch.cat([self.model(part).argmax(1) for part in ready.split(512)])
        features = self.features(ready).numpy()
        return {
            "right_class": float((guesses == labels).float().mean()),
            "frechet": frechet_distance(features.astype(float), self.real.astype(float)),
        }


def samples(
    problem: Problem, model: nn.Module, count: int, seed: int
) -> tuple[Tensor, Tensor | None]:
    """Samples from 0 to 1, of all classes in turn, and their classes."""
    task, facts = problem.task, problem.data.facts
    assert isinstance(task, Generation)
    inputs = task.noise_for(Order(count=count, seed=seed), facts)
    deployed = task.deployable(model.eval(), facts)
    with torch.no_grad():
        parts = [
            deployed(**{name: tensor[start : start + 250] for name, tensor in inputs.items()})
            for start in range(0, count, 250)
        ]
    return torch.cat(parts), inputs.get("label")


def found(problem: Problem, options: Any, seed: int) -> tuple[nn.Module, dict[str, Any]]:
    """The winner of a search in time, trained to the end."""
    began = time.process_time()
    result = nas.search(
        options.space, options.data, task=options.task, time=60 * options.minutes, seed=seed
    )
    best = result.best
    assert best is not None
    facts: dict[str, Any] = dict(best.costs) | {"seconds": time.process_time() - began}
    facts["architecture"] = dict(best.architecture)
    facts["trials"] = len(result.history)
    return best.model, facts | {f"test_{name}": value for name, value in best.test.items()}


def default(problem: Problem, options: Any, seed: int) -> tuple[nn.Module, dict[str, Any]]:
    """The default after as much processor time."""
    sheets, seconds = options.sheets, 60 * options.minutes
    architecture = problem.space.default()
    task, data, space, clock = problem.task, problem.data, problem.space, time.process_time
    recipe = replace(problem.recipe, schedule="wsd", epochs=ROUNDS)
    trial = space.build(architecture, seed=seed)
    rounds = rounds_within(
        trial,
        task,
        data,
        recipe,
        seconds / ROUNDS,
        seed=seed,
        until=clock() + seconds,
        clock=clock,
    )
    model = space.build(architecture, seed=seed)

    def draw(row: Any) -> None:
        print(f"  round {row['epoch']}: {row['loss']:.4f}", flush=True)
        if sheets is not None:
            images, labels = samples(problem, model, 50, 0)
            picture = sheet(images, labels, data.facts["class_names"])
            sheets.mkdir(parents=True, exist_ok=True)
            picture.save(sheets / f"{seed}-{row['epoch']:02}.png")
            model.train()

    done = train(model, task, data, recipe, seed=seed, rounds=rounds, on_epoch=draw)
    facts = {"steps": len(done.curve) * (rounds.steps or 0), "seconds": seconds}
    facts["params"] = sum(p.numel() for p in model.parameters())
    test = score(model, task, data.test, data.facts)
    return model, facts | {f"test_{name}": value for name, value in test.items()}


MODELS = {"found": found, "default": default}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--task", default="generation")
    parser.add_argument("--space", default=None)
    parser.add_argument("--models", nargs="+", default=[*MODELS], choices=[*MODELS])
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--samples", type=int, default=5000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--sheets", type=Path, default=None)
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    judge = Judge(options.data)
    print(f"our classifier: {100 * judge.accuracy:.2f} % of the test images")
    seen = judge.data.train.head(options.samples)
    rows: list[dict[str, Any]] = [{"model": "training images", **judge(*seen)}]
    problem = open_problem(options.space, options.data, task=options.task)
    for seed in options.seeds:
        for name in options.models:
            model, facts = MODELS[name](problem, options, seed)
            images, labels = samples(problem, model, options.samples, seed)
            judged = judge(as_grey_levels(images), labels if labels is not None else seen.targets)
            if labels is None:
                del judged["right_class"]
            rows.append({"model": name, "seed": seed, **judged, **facts})
            print(rows[-1], flush=True)
            if options.json:
                kept = {"options": vars(options) | {"json": None, "sheets": None}, "rows": rows}
                kept |= {"classifier": judge.accuracy, "machine": platform.platform()}
                options.json.write_text(json.dumps(kept, indent=2) + "\n")
    print("| model | right class | Frechet, our classifier | test loss | seconds | parameters |")
    print("|---|---|---|---|---|---|")
    for name in dict.fromkeys(row["model"] for row in rows):
        mine = [row for row in rows if row["model"] == name]
        cells = []
        for key, form in (
            ("right_class", ".1%"),
            ("frechet", ".2f"),
            ("test_loss", ".4f"),
            ("seconds", ",.0f"),
            ("params", ",.0f"),
        ):
            values = [row[key] for row in mine if key in row]
            cells.append(format(np.mean(values), form) if values else "")
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
