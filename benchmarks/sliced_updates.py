"""What may move in a stored tensor of which a step used a part: everything, or the part alone?

    python benchmarks/sliced_updates.py [--seeds 3] [--epochs 60] [--json FILE]

A network for digits with three elastic widths and two elastic kernels is trained as a supernet on
uniform single paths. Torch's optimisers see a gradient of zero outside the part that was used, so
momentum and weight decay go on moving it (*free*). The other way is to put back, after each step,
every entry whose gradient was exactly zero, with its moments (*held*). Mean validation accuracy of
40 random subnets, of the largest and of the smallest, after recalibration.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import statistics
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import archsmith as nas
from archsmith.evaluate.shared import SharedWeightsEvaluator
from archsmith.supernet.session import Session
from archsmith.task.problem import open_problem


def elastic(channels: int, classes: int) -> nn.Module:
    """Three convolutions of chosen widths, two of chosen kernels."""
    one, two, three = (nas.choose(f"width{i}", [8, 16, 24, 32]) for i in range(3))
    first, second = (nas.choose(f"kernel{i}", [1, 3, 5]) for i in range(2))

    def conv(inside: int, outside: int, kernel: int) -> list[nn.Module]:
        return [
            nn.Conv2d(inside, outside, kernel, padding=kernel // 2),
            nn.BatchNorm2d(outside),
            nn.ReLU(),
        ]

    return nn.Sequential(
        *conv(channels, one, 3),
        *conv(one, two, first),
        nn.MaxPool2d(2),
        *conv(two, three, second),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(three, classes),
    )


class Held(torch.optim.Optimizer):
    """Another optimiser's steps, with entries of zero gradient and their moments put back."""

    def __init__(self, inner: torch.optim.Optimizer) -> None:
        self.inner = inner
        self.param_groups, self.state, self.defaults = inner.param_groups, inner.state, {}

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        kept: list[tuple[Tensor, Tensor, Tensor]] = []
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    still = p.grad == 0
                    tensors = [p, *(t for t in self.state[p].values() if isinstance(t, Tensor))]
                    kept += [(t, t.detach().clone(), still) for t in tensors if t.shape == p.shape]
        self.inner.step()
        with torch.no_grad():
            for tensor, before, still in kept:
                tensor.copy_(torch.where(still, before, tensor))

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.inner.zero_grad(set_to_none=set_to_none)


class Single(nas.SPOS):
    """Uniform single paths, with the optimiser of choice."""

    def __init__(self, held: bool) -> None:
        super().__init__()
        self.held = held

    def begin(self, session: Session) -> None:
        super().begin(session)
        if self.held:
            session.optimizer = Held(session.optimizer)


def one(optimizer: str, held: bool, seed: int, epochs: int) -> dict[str, float]:
    rate, decay = (0.05, 5e-4) if optimizer == "sgd" else (6e-3, 0.05)
    recipe = nas.Recipe(epochs=epochs, optimizer=optimizer, lr=rate, weight_decay=decay)  # type: ignore[arg-type]
    problem = open_problem(elastic, "digits", recipe=recipe, options=nas.ReadOptions(seed=seed))
    net = nas.Supernet(problem.space, seed=seed)
    nas.train_supernet(net, Single(held), problem.task, problem.data, recipe, seed=seed)
    judge = SharedWeightsEvaluator(
        problem.space,
        "",
        problem.source,
        problem.options,
        problem.task.name,
        supernet=net,
        data=problem.data,
    )
    rng = random.Random(0)
    drawn = [judge.judge(problem.space.sample(rng), 1024)["accuracy"] for _ in range(40)]
    ends = {
        n: judge.judge(getattr(net.survey, n), 1024)["accuracy"] for n in ("largest", "smallest")
    }
    return {"random": statistics.mean(drawn), **ends}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, list[dict[str, float]]] = {}
    print("| optimiser | outside the part | random subnets | largest | smallest |")
    print("|---|---|---|---|---|")
    for optimizer in ("sgd", "adamw"):
        for held in (False, True):
            rows = [one(optimizer, held, seed, options.epochs) for seed in range(options.seeds)]
            found[f"{optimizer}/{'held' if held else 'free'}"] = rows
            cells = []
            for name in ("random", "largest", "smallest"):
                values = [row[name] for row in rows]
                spread = statistics.stdev(values) if len(values) > 1 else 0.0
                cells.append(f"{statistics.mean(values):.4f} ± {spread:.4f}")
            print(
                f"| {optimizer} | {'held' if held else 'free'} | {' | '.join(cells)} |", flush=True
            )
    if options.json:
        document = {"machine": platform.platform(), "rows": found}
        options.json.write_text(json.dumps(document, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
