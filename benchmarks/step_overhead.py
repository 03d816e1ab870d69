"""What a training step costs beyond its convolutions and matrix products.

    python benchmarks/step_overhead.py [--data fashion-mnist] [--task NAME] [--space convnet]
        [--unreadable skip] [--others 4] [--steps 20] [--half] [--json FILE]

For the default of a space and some random architectures: the processor time of a whole training
step (batch, augmentation, forward, backward, clipping, optimiser), as training runs it, against
that of its convolutions and linear layers alone, each layer's forward and backward pass on inputs
of the shape and layout that it sees. Medians over the steps, on one thread; the two alternate, so
that a busy machine slows both. With ``--half`` both are in bfloat16. The target is a ratio of 1.3
for the default on Fashion-MNIST.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from archsmith.history.trial import Fidelity
from archsmith.task.base import ReadOptions
from archsmith.task.problem import open_problem
from archsmith.train import Rounds
from archsmith.train.steps import Steps

PRODUCTS = (nn.Conv2d, nn.Linear)


def seen_by(run: Steps, batch: Any) -> list[tuple[nn.Module, Tensor]]:
    """Convolutions and linear layers with the inputs that they see in a step."""
    seen: list[tuple[nn.Module, Tensor]] = []
    handles = [
        module.register_forward_pre_hook(lambda m, inputs: seen.append((m, inputs[0].detach())))
        for module in run.model.modules()
        if isinstance(module, PRODUCTS)
    ]
    run.learn(batch)
    for handle in handles:
        handle.remove()
    return seen


def products(seen: list[tuple[nn.Module, Tensor]], half: bool) -> float:
    """Seconds of the layers' forward and backward passes."""
    inputs = [(layer, x.clone().requires_grad_(i > 0)) for i, (layer, x) in enumerate(seen)]
    began = time.thread_time()
    for layer, x in inputs:
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            output = layer(x)
        output.backward(torch.ones_like(output))
    return time.thread_time() - began


def measure(problem: Any, architecture: Any, steps: int, half: bool) -> dict[str, float]:
    model = problem.space.build(architecture, seed=0)
    run = Steps(
        model,
        problem.task,
        problem.data,
        problem.recipe,
        Fidelity(),
        0,
        torch.device("cpu"),
        rounds=Rounds(half=half),
    )
    model.train()
    chunks = run.order_of(run.order)
    batch = run.train.take(chunks[0])
    seen = seen_by(run, batch)
    whole, alone, loading = [], [], []
    for number in range(steps + 2):
        began = time.thread_time()
        run.learn(run.train.take(chunks[number % len(chunks)]))
        whole.append(time.thread_time() - began)
        alone.append(products(seen, half))
        began = time.thread_time()
        batch = run.train.take(chunks[number % len(chunks)])
        run.task.prepare_batch(batch, run.facts, run.noise if run.recipe.augment else None)
        loading.append(time.thread_time() - began)
    step, layers = statistics.median(whole[2:]), statistics.median(alone[2:])
    return {
        "params": float(sum(p.numel() for p in model.parameters())),
        "step_ms": 1000 * step,
        "products_ms": 1000 * layers,
        "ratio": step / layers,
        "loading": statistics.median(loading[2:]) / step,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--task")
    parser.add_argument("--space", default="convnet")
    parser.add_argument("--unreadable", default="refuse")
    parser.add_argument("--others", type=int, default=4, help="random architectures")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--half", action="store_true", help="in bfloat16")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    read = ReadOptions(unreadable=options.unreadable)
    problem = open_problem(options.space, options.data, task=options.task, options=read)
    rng = random.Random(0)
    tried = {"default": problem.space.default()}
    tried |= {f"random {n}": problem.space.sample(rng) for n in range(1, options.others + 1)}
    rows = {}
    print(f"{'':10} {'params':>9} {'step':>9} {'products':>9} {'ratio':>6} loading")
    for name, architecture in tried.items():
        row = rows[name] = measure(problem, architecture, options.steps, options.half)
        print(
            f"{name:10} {row['params']:>9,.0f} {row['step_ms']:>6.1f} ms "
            f"{row['products_ms']:>6.1f} ms {row['ratio']:>6.2f} "
            f"{row['loading']:>7.1%}",
            flush=True,
        )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
