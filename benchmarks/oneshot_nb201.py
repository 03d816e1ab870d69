"""One-shot methods on NAS-Bench-201: how well shared weights rank, and what each method finds.

    python benchmarks/oneshot_nb201.py [--methods NAME...] [--seeds 3] [--seconds 600]
        [--side 16] [--width 8] [--cells 1] [--sample 300] [--processes 2] [--json FILE]

Needs ``ARCHSMITH_DATA``. For each method and seed a supernet of ``nasbench201`` is trained on real
CIFAR-10 images (reduced to ``side`` pixels) for ``seconds`` on one core. Then:

- ranking: ``sample`` random cells are judged with the shared weights, after recalibration, on
  validation images. Kendall tau and Spearman rho against the recorded test accuracy after 200
  epochs of the full network (mean over seeds), over all and over the top fifth by the record, with
  95 % bootstrap intervals.
- search: methods that derive a cell give their first one; on the weights of the others the default
  strategy searches for 100 trials, and the best of these and of the sample is taken. The recorded
  CIFAR-10 test accuracy of what was found stands beside the published one.

Random search at the same total cost is reported as the mean recorded accuracy of the best of k
random cells by the record's own validation, k = 1: the same seconds train less than one cell.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

METHODS = (
    "spos", "fairnas", "bignas", "ofa", "attentive", "few-shot-nas", "enas", "darts", "darts-2nd",
    "pc-darts", "gdas", "snas", "drnas", "fair-darts", "beta-darts",
)  # fmt: skip
#: CIFAR-10 test accuracy of what the method found, as quoted by later papers; one supernet each.
PUBLISHED = {
    "spos": "–", "fairnas": "93.23", "enas": "54.30 (93.76 in a rerun)", "darts": "54.30",
    "darts-2nd": "54.30", "pc-darts": "93.41", "gdas": "93.61", "drnas": "94.36",
    "beta-darts": "94.36",
}  # fmt: skip
#: Published Kendall tau of shared with true accuracies, full size and long training.
TAU = {"spos": "0.55–0.60", "fairnas": "0.54–0.61", "few-shot-nas": "0.65–0.70"}


def images(folder: Path, side: int, count: int) -> Path:
    """CIFAR-10 training images as arrays of ``side`` pixels, decoded once."""
    from PIL import Image

    file = folder / f"cifar10-{side}-{count}.npz"
    if not file.exists():
        with np.load(Path(os.environ["ARCHSMITH_DATA"]) / "cifar10_jpeg.npz") as packed:
            label, data = packed["train_label"][:count], packed["train_jpeg"]
            offsets = packed["train_offsets"]
        pixels = np.empty((count, 3, side, side), np.uint8)
        for i in range(count):
            with Image.open(io.BytesIO(data[offsets[i] : offsets[i + 1]].tobytes())) as image:
                small = image.convert("RGB").resize((side, side), Image.Resampling.BOX)
                pixels[i] = np.asarray(small).transpose(2, 0, 1)
        np.savez(file, x=pixels, y=label.astype(np.int64))
    return file


def one(method: str, seed: int, options: argparse.Namespace, file: Path) -> dict[str, Any]:
    """Train, rank and search once."""
    import torch

    import archsmith as nas
    from archsmith.benchmarking import read_table
    from archsmith.evaluate.base import Stages, Watch
    from archsmith.evaluate.shared import SharedWeightsEvaluator
    from archsmith.objective import Objective
    from archsmith.setting import settle
    from archsmith.study import Study
    from archsmith.supernet import methods
    from archsmith.trial import Fidelity
    from archsmith.trust import rank_agreement

    torch.set_num_threads(1)
    table = read_table("nb201", None, "cifar10")
    read = nas.ReadOptions(validation=options.validation, test=0.02)
    recipe = nas.Recipe(
        epochs=1000, batch_size=64, optimizer=options.optimizer, lr=options.lr,
        weight_decay=options.decay, augment=True,
    )  # fmt: skip
    setting = settle(
        "nasbench201", file, options=read, recipe=recipe,
        arguments={"width": options.width, "cells": options.cells},
    )  # fmt: skip
    space = setting.space
    net = nas.Supernet(space, seed=seed)
    chosen = methods.get(method)()
    began = time.perf_counter()
    session = nas.train_supernet(
        net, chosen, setting.task, setting.data, recipe, seed=seed, seconds=options.seconds
    )
    trained = time.perf_counter() - began
    judge = SharedWeightsEvaluator(
        space, "", setting.source, read, setting.task.name, supernet=net, data=setting.data
    )
    rng = random.Random(1000)  # the same cells for all methods and seeds
    cells = list({space.canonical(a): a for a in (space.sample(rng) for _ in range(2000))}.values())
    cells = cells[: options.sample]
    began = time.perf_counter()
    judged = [judge.evaluate(a, Fidelity(), 0, Watch()) for a in cells]
    each = (time.perf_counter() - began) / max(1, len(cells))
    shared = [metrics["accuracy"] for metrics in judged]
    raw = [judge.judge(a, 0)["accuracy"] for a in cells[:60]]
    true = [recorded(table, a) for a in cells]
    goal = Objective("accuracy", "maximize")
    agreement = rank_agreement(shared, true, direction=goal.direction)
    derived = chosen.derive(session, 1)
    if derived:
        found = derived[0]
    else:
        study = Study(space, nas.Auto(), Stages([judge]), [goal], trials=options.trials, seed=seed)
        best = study.run().best
        assert best is not None
        offers = [(best.metrics["accuracy"], best.architecture), *zip(shared, cells, strict=True)]
        found = max(offers, key=lambda pair: pair[0])[1]
    return {
        "method": method, "seed": seed, "seconds": trained, "steps": session.step,
        "epochs": len(session.curve), "train_loss": session.curve[-1]["train_loss"],
        "seconds_each": each, "agreement": agreement.to_json(),
        "agreement_by_loss": rank_agreement(
            [-metrics["loss"] for metrics in judged], true, direction="maximize"
        ).to_json(),
        "tau_before_recalibration": rank_agreement(
            raw, true[:60], direction=goal.direction
        ).to_json(),
        "tau_after_on_same": rank_agreement(
            shared[:60], true[:60], direction=goal.direction
        ).to_json(),
        "shared_mean": statistics.mean(shared), "raw_mean": statistics.mean(raw),
        "found": dict(found), "test": recorded(table, found), "stopped": chosen.stopped,
        "best_by_shared_in_sample": true[int(np.argmax(shared))],
    }  # fmt: skip


def recorded(table: Any, architecture: Any) -> float:
    """Test accuracy of the table, in percent."""
    return float(table.values[table.report][table.row(architecture)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--side", type=int, default=16)
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--cells", type=int, default=1)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--validation", type=float, default=0.08)
    parser.add_argument("--sample", type=int, default=300)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--optimizer", default="sgd")
    parser.add_argument("--lr", type=float, default=0.05)
    parser.add_argument("--decay", type=float, default=5e-4)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    folder = Path(tempfile.gettempdir()) / "archsmith-benchmark"
    folder.mkdir(exist_ok=True)
    file = images(folder, options.side, options.images)
    rows: list[dict[str, Any]] = []
    jobs = [(m, s) for s in range(options.seeds) for m in options.methods]
    with ProcessPoolExecutor(options.processes, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(one, m, s, options, file) for m, s in jobs]
        for (method, seed), future in zip(jobs, futures, strict=True):
            try:
                row = future.result()
            except Exception as error:
                print(f"{method} {seed}: {type(error).__name__}: {error}", file=sys.stderr)
                continue
            rows.append(row)
            print(f"{method} {seed}: test {row['test']:.2f}", file=sys.stderr, flush=True)
            if options.json:
                told = {k: str(v) for k, v in vars(options).items()}
                document = {"machine": platform.platform(), "options": told, "rows": rows}
                options.json.write_text(json.dumps(document, indent=1), encoding="utf-8")
    print(report(rows, options))


def report(rows: list[dict[str, Any]], options: argparse.Namespace) -> str:
    """The table as Markdown: means over seeds, the interval of the first seed."""
    lines = [
        f"nasbench201, {options.width} channels, {options.cells} cell(s) a stage, "
        f"{options.side}x{options.side}, {options.seconds:g} s of training on one core\n",
        "| method | seeds | tau, all (published) | 95 % interval, first seed | tau, top fifth | "
        "tau by loss | rho | test accuracy found, each seed | published | best of the sample by "
        "shared weights | epochs | s a judgement |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for method in dict.fromkeys(row["method"] for row in rows):
        own = [row for row in rows if row["method"] == method]
        told = [row["agreement"] for row in own]
        first = told[0]["tau"]
        tau = statistics.mean(t["tau"]["value"] for t in told)
        top = [t["top_tau"]["value"] for t in told if t["top_tau"]["value"] is not None]
        rho = statistics.mean(t["rho"]["value"] for t in told)
        by_loss = statistics.mean(row["agreement_by_loss"]["tau"]["value"] for row in own)
        tests = [row["test"] for row in own]
        sample = statistics.mean(row["best_by_shared_in_sample"] for row in own)
        lines.append(
            f"| {method} | {len(own)} | {tau:.2f} ({TAU.get(method, '–')}) "
            f"| {first['low']:.2f} to {first['high']:.2f} | {statistics.mean(top):.2f} "
            f"| {by_loss:.2f} | {rho:.2f} "
            f"| **{statistics.mean(tests):.2f}** ({', '.join(f'{t:.2f}' for t in tests)}) "
            f"| {PUBLISHED.get(method, '–')} | {sample:.2f} "
            f"| {statistics.mean(row['epochs'] for row in own):.0f} "
            f"| {statistics.mean(row['seconds_each'] for row in own):.2f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
