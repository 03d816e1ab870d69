"""The references of image classification: what each reaches in a given processor time.

    python benchmarks/references.py [--data cifar10] [--seconds 100] [--names resnet-20 ...]
        [--json FILE]

Each reference is trained by the task's recipe for ``--seconds`` of processor time of one core, as
``--baseline`` does with the time of a search: on the training and the validation part together.
Printed are its parameters, the processor time that its training took, and the accuracy on the test
part. ``--data cifar10`` is 12,000 photos of CIFAR-10 from the folder that ARCHSMITH_DATA names.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from archsmith.history.objective import Objective
from archsmith.study import MemoryStore
from archsmith.task.contracts import references_of
from archsmith.task.problem import Problem, open_problem
from archsmith.task.references import NetworkReference
from archsmith.workflow.baselines import Baselines


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


def row(problem: Problem, reference: NetworkReference, seconds: float, cache: Path) -> Any:
    """One reference, trained for so many seconds."""
    goal = Objective("accuracy", "maximize")
    # Other work on the machine must not count.
    clock = time.process_time
    made = Baselines(
        problem, MemoryStore(), 0, goal, seconds, together=True, cache=cache, clock=clock
    )
    trained = made.train(reference)
    return {
        "params": trained.costs["params"],
        "seconds": trained.seconds,
        "accuracy": trained.test["accuracy"],
        "latency_ms": trained.costs["latency_ms"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--seconds", type=float, default=100.0)
    parser.add_argument("--names", nargs="+")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        source = cifar10(Path(folder)) if options.data == "cifar10" else options.data
        problem = open_problem("convnet", source, device="cpu")
        print(f"{len(problem.data.train):,} training images, {options.seconds:g} s each")
        for reference in references_of(problem.task):
            if not isinstance(reference, NetworkReference):
                continue
            if options.names and reference.name not in options.names:
                continue
            rows[reference.name] = made = row(problem, reference, options.seconds, Path(folder))
            print(
                f"{reference.name:20} {made['params']:12,.0f} parameters"
                f"  {made['seconds']:6.1f} s  accuracy {made['accuracy']:.4f}",
                flush=True,
            )
    if options.json:
        options.json.write_text(json.dumps({**vars(options), "rows": rows}, default=str, indent=2))


if __name__ == "__main__":
    main()
