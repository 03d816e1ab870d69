"""What weight sharing costs: time of a training step and peak memory, against a fixed network.

    python benchmarks/sharing.py [--spaces nasbench201 mobilenet] [--pairs 6] [--threads 1]
        [--batch 64] [--json FILE]

Two spaces at 32x32: ``nasbench201`` with 16 channels and 5 cells a stage, and ``mobilenet``.
Times are those of the process. In each pair a random architecture
is trained one step as a module of its own and one step inside the supernet (building its child,
lending, forward, backward, an SGD step over the shared weights), in turn; a new architecture at
every pair. Ratios are of pairs, their median is given. First-order DARTS and PC-DARTS steps
(alphas and weights, a batch for each) are held against the network in which every edge is a 3x3
convolution, which is the fixed network of that space. Peak memory is that of a process of its own
that takes three steps, less what it held before the model.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import archsmith as nas
from archsmith._support.allocator import frozen_heap

#: Most that a ratio may be.
TARGETS = {"single path": 1.05, "darts": 5.0, "pc-darts": 2.0}


def spaces() -> dict[str, nas.Space]:
    from archsmith.zoo.mobilenet import mobilenet
    from archsmith.zoo.nasbench201 import nasbench201

    return {
        "nasbench201": nas.Space(nasbench201, channels=3, classes=10, width=16, cells=5),
        "mobilenet": nas.Space(mobilenet, channels=3, classes=10, height=32, width=32),
    }


def stepping(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.01, momentum=0.9, weight_decay=5e-4)


def fixed(model: nn.Module, x: Tensor, y: Tensor) -> Callable[[], None]:
    optimizer = stepping(model.parameters())

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()

    return step


def shared(net: nas.Supernet, x: Tensor, y: Tensor) -> Callable[[nas.Architecture], None]:
    optimizer = stepping(net.parameters())

    def step(architecture: nas.Architecture) -> None:
        optimizer.zero_grad(set_to_none=True)
        child = net.subnet(architecture)
        nn.functional.cross_entropy(child(x), y).backward()
        optimizer.step()

    return step


def relaxed(space: nas.Space, method: str, x: Tensor, y: Tensor) -> Callable[[], None]:
    """One step of a differentiable method on given batches, as its training loop takes it."""
    from archsmith.data.splits import TensorSplit
    from archsmith.supernet import methods
    from archsmith.supernet.session import start
    from archsmith.task import task
    from archsmith.task.base import Data

    images = (x * 40 + 128).clamp(0, 255).to(torch.uint8)
    doubled = TensorSplit(torch.cat([images, images]), torch.cat([y, y]))
    facts = {
        "channels": 3,
        "height": 32,
        "width": 32,
        "mean": [0.5] * 3,
        "std": [0.25] * 3,
        "classes": [str(i) for i in range(10)],
    }
    data = Data("noise", "noise", "image-classification", doubled, doubled, doubled, facts)
    recipe = nas.Recipe(epochs=100, batch_size=len(y), optimizer="sgd", lr=0.01, clip=0.0)
    chosen = methods.get(method)()
    session = start(
        nas.Supernet(space),
        task("image-classification"),
        data,
        recipe,
        seed=0,
        holdout=chosen.holdout,
    )
    chosen.begin(session)
    batch = (images, y)

    def step() -> None:
        chosen.step(session, batch)
        session.step += 1

    return step


def timed(step: Callable[[], None]) -> float:
    began = time.process_time()
    step()
    return time.process_time() - began


def pairs(space: nas.Space, count: int, x: Tensor, y: Tensor) -> dict[str, Any]:
    net, rng = nas.Supernet(space), random.Random(0)
    step = shared(net, x, y)
    alone, inside, building = [], [], []
    with frozen_heap():  # as in training
        for i in range(count + 1):
            architecture = space.sample(rng)
            own = fixed(space.build(architecture, seed=0), x, y)
            own()  # first touch of its memory
            step(architecture)
            a, b = timed(own), timed(lambda: step(architecture))  # noqa: B023
            building.append(timed(lambda: net.subnet(architecture)))  # noqa: B023
            if i:
                alone.append(a)
                inside.append(b)
    ratios = [b / a for a, b in zip(alone, inside, strict=True)]
    return {
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "fixed_ms": 1000 * statistics.median(alone),
        "shared_ms": 1000 * statistics.median(inside),
        "building_ms": 1000 * statistics.median(building),
    }


def mixed(space: nas.Space, method: str, count: int, x: Tensor, y: Tensor) -> dict[str, Any]:
    own = fixed(space.build(space.default(), seed=0), x, y)
    step = relaxed(space, method, x, y)
    own()
    step()
    alone, inside = [], []
    for _ in range(count):
        alone.append(timed(own))
        inside.append(timed(step))
    ratios = [b / a for a, b in zip(alone, inside, strict=True)]
    return {
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "fixed_ms": 1000 * statistics.median(alone),
        "shared_ms": 1000 * statistics.median(inside),
    }


def peak(name: str, kind: str, x: Tensor, y: Tensor) -> None:
    """Take three steps and print by how many MB the peak of this process rose."""
    space = spaces()[name]
    before = high_water()
    if kind == "fixed":
        steps: Any = fixed(space.build(space.default(), seed=0), x, y)
    elif kind == "shared":
        net = nas.Supernet(space)
        step = shared(net, x, y)
        default = space.default()

        def steps() -> None:
            step(default)

    else:
        steps = relaxed(space, kind, x, y)
    for _ in range(3):
        steps()
    print(json.dumps((high_water() - before) / 1024))


def high_water() -> float:
    """Peak resident memory of this process in KiB. (getrusage inherits that of the parent.)"""
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def measured_peak(name: str, kind: str, options: argparse.Namespace) -> float:
    """Median of three processes: what the allocator keeps differs by 20 % from one to the next."""
    command = [
        sys.executable,
        __file__,
        "--peak",
        name,
        kind,
        "--batch",
        str(options.batch),
        "--threads",
        str(options.threads),
    ]
    peaks = []
    for _ in range(3):
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(float(json.loads(done.stdout.splitlines()[-1])))
    return statistics.median(peaks)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--spaces", nargs="+", default=[*spaces()], choices=[*spaces()])
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    x, y = torch.randn(options.batch, 3, 32, 32), torch.randint(10, (options.batch,))
    if options.peak:
        peak(*options.peak, x, y)
        return
    found: dict[str, Any] = {}
    rows = []
    for name in options.spaces:
        space = spaces()[name]
        weights = sum(p.numel() for p in nas.Supernet(space).parameters()) * 4 / 1e6
        row = pairs(space, options.pairs, x, y)
        base = measured_peak(name, "fixed", options)
        row |= {
            "memory_mb": measured_peak(name, "shared", options),
            "fixed_memory_mb": base,
            "weights_mb": weights,
        }
        found[f"{name}/single path"] = row
        rows.append((name, "single path", row))
        for method in ("darts", "pc-darts") if name == "nasbench201" else ():
            row = mixed(space, method, max(3, options.pairs // 2), x, y)
            row |= {"memory_mb": measured_peak(name, method, options), "fixed_memory_mb": base}
            found[f"{name}/{method}"] = row
            rows.append((name, method, row))
    print(report(rows, options))
    if options.json:
        document = {"machine": platform.platform(), "torch": torch.__version__, "rows": found}
        options.json.write_text(json.dumps(document, indent=1), encoding="utf-8")


def report(rows: list[tuple[str, str, dict[str, Any]]], options: argparse.Namespace) -> str:
    lines = [
        f"batch {options.batch} at 32x32, {options.threads} thread(s), {options.pairs} pairs\n",
        "| space | step | fixed, ms | shared, ms | ratio (spread) | target | of it building, ms "
        "| memory, MB (fixed) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, kind, row in rows:
        target = TARGETS[kind]
        met = "met" if row["ratio"] <= target else "missed"
        spread = f"{min(row['ratios']):.2f} to {max(row['ratios']):.2f}"
        building = f"{row['building_ms']:.0f}" if "building_ms" in row else "–"
        lines.append(
            f"| {name} | {kind} | {row['fixed_ms']:.0f} | {row['shared_ms']:.0f} "
            f"| **{row['ratio']:.2f}** ({spread}) | {target}, {met} | {building} "
            f"| {row['memory_mb']:.0f} ({row['fixed_memory_mb']:.0f}) |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
