"""One-shot methods on NAS-Bench-201: how well shared weights rank, and what each method finds.

    python benchmarks/oneshot_nb201.py [--methods NAME...] [--seeds 3] [--seconds 600]
        [--updates N] [--side 16] [--width 8] [--cells 1] [--sample 300] [--processes 2]
        [--json FILE]

Needs ``ARCHSMITH_DATA``. For each method and seed a supernet of ``nasbench201`` is trained on real
CIFAR-10 images (reduced to ``side`` pixels) for ``seconds`` of one core's time (not of the clock,
so that other work on the machine takes little away; with ``--updates`` for so many updates of the
weights instead, whatever they take). Then:

- ranking (samplers, the first ``ranked`` seeds): ``sample`` random cells are judged with the shared
  weights, after recalibration, on validation images. Kendall tau and Spearman rho against the
  recorded test accuracy after 200 epochs of the full network (mean over seeds), over all and over
  the top fifth by the record, with 95 % bootstrap intervals.
- search: methods that derive a cell give their first one; on the weights of the others the default
  strategy searches for ``trials`` trials, once by accuracy and once by loss. The recorded CIFAR-10
  test accuracy of what was found stands beside the published one.

With ``--json`` each row is kept as it comes, and the same command goes on with those that lack.

Random search at the same cost trains less than one cell, so the last line gives what random cells
are worth by the record: one, and the best of ``trials`` by its own validation, each trained alone.
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
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np

METHODS = (
    "spos",
    "fairnas",
    "bignas",
    "ofa",
    "attentive",
    "few-shot-nas",
    "enas",
    "darts",
    "darts-2nd",
    "pc-darts",
    "gdas",
    "snas",
    "drnas",
    "fair-darts",
    "beta-darts",
)
#: CIFAR-10 test accuracy of what the method found, as quoted by later papers; one supernet each.
PUBLISHED = {
    "spos": "–",
    "fairnas": "93.23",
    "enas": "54.30 (93.76 in a rerun)",
    "darts": "54.30",
    "darts-2nd": "54.30",
    "pc-darts": "93.41",
    "gdas": "93.61",
    "drnas": "94.36",
    "beta-darts": "94.36",
}
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
    from archsmith.bench import read_table
    from archsmith.evaluate.base import Stages
    from archsmith.evaluate.shared import SharedWeightsEvaluator
    from archsmith.history.objective import Objective
    from archsmith.study import Study
    from archsmith.supernet import methods
    from archsmith.task.problem import open_problem

    torch.set_num_threads(1)
    table = read_table("nb201", None, "cifar10")
    read = nas.ReadOptions(validation=options.validation, test=0.02)
    recipe = nas.Recipe(
        epochs=1000,
        batch_size=64,
        optimizer=options.optimizer,
        lr=options.lr,
        weight_decay=options.decay,
        augment=True,
    )
    problem = open_problem(
        "nasbench201",
        file,
        options=read,
        recipe=recipe,
        arguments={"width": options.width, "cells": options.cells},
    )
    space = problem.space
    net = nas.Supernet(space, seed=seed)
    chosen = methods.get(method)()
    session = trained_within(net, chosen, problem, seed, options)
    judge = SharedWeightsEvaluator(
        space, "", problem.source, read, problem.task.name, supernet=net, data=problem.data
    )
    row: dict[str, Any] = {
        "method": method,
        "seed": seed,
        "seconds": session.spent,
        "steps": session.step,
        "epochs": len(session.curve),
        "train_loss": session.curve[-1]["train_loss"],
        "stopped": chosen.stopped,
    }
    derived = chosen.derive(session, 1)
    if derived:
        return row | {"found": dict(derived[0]), "test": recorded(table, derived[0])}
    if seed < options.ranked:
        row |= ranking(judge, table, options.sample)
    for name, goal in (
        ("", Objective("accuracy", "maximize")),
        ("_by_loss", Objective("loss", "minimize")),
    ):
        study = Study(space, nas.Auto(), Stages([judge]), [goal], trials=options.trials, seed=seed)
        best = study.run().best
        assert best is not None
        row |= {
            f"found{name}": dict(best.architecture),
            f"test{name}": recorded(table, best.architecture),
        }
    return row


def trained_within(
    net: Any, method: Any, problem: Any, seed: int, options: argparse.Namespace
) -> Any:
    """The training, ended when this process has used its seconds of a core, or by its updates."""
    import archsmith as nas
    from archsmith.supernet import session

    done, step = [0], method.step

    def counted(*args: Any) -> Any:
        done[0] += 1
        return step(*args)

    method.step = counted
    watch = (lambda: float(done[0])) if options.updates else time.process_time
    with patch.object(session, "time", SimpleNamespace(perf_counter=watch)):
        ended = nas.train_supernet(
            net,
            method,
            problem.task,
            problem.data,
            problem.recipe,
            seed=seed,
            seconds=options.updates or options.seconds,
        )
        ended.elapsed, ended._began = ended.spent, time.perf_counter()
    return ended


def ranking(judge: Any, table: Any, count: int) -> dict[str, Any]:
    """How the shared weights rank random cells, the same for all methods and seeds."""
    from archsmith.evaluate.base import Watch
    from archsmith.history.agreement import rank_agreement
    from archsmith.history.trial import Fidelity

    rng, space = random.Random(1000), judge.space
    cells = list({space.canonical(a): a for a in (space.sample(rng) for _ in range(2000))}.values())
    cells = cells[:count]
    began = time.process_time()
    judged = [judge.evaluate(a, Fidelity(), 0, Watch()) for a in cells]
    each = (time.process_time() - began) / len(cells)
    shared = [metrics["accuracy"] for metrics in judged]
    raw = [judge.judge(a, 0)["accuracy"] for a in cells[:60]]
    true = [recorded(table, a) for a in cells]

    def agreement(values: list[float], truth: list[float]) -> dict[str, Any]:
        return rank_agreement(values, truth, direction="maximize").to_json()

    return {
        "seconds_each": each,
        "agreement": agreement(shared, true),
        "agreement_by_loss": agreement([-metrics["loss"] for metrics in judged], true),
        "tau_before_recalibration": agreement(raw, true[:60]),
        "tau_after_on_same": agreement(shared[:60], true[:60]),
        "shared_mean": statistics.mean(shared),
        "raw_mean": statistics.mean(raw),
        "best_by_shared_in_sample": true[int(np.argmax(shared))],
    }


def recorded(table: Any, architecture: Any) -> float:
    """Test accuracy of the table, in percent."""
    return float(table.values[table.report][table.row(architecture)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--updates", type=int)
    parser.add_argument("--side", type=int, default=16)
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--cells", type=int, default=1)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--validation", type=float, default=0.08)
    parser.add_argument("--sample", type=int, default=300)
    parser.add_argument("--ranked", type=int, default=1)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--optimizer", default="sgd")
    parser.add_argument("--lr", type=float, default=0.05)
    parser.add_argument("--decay", type=float, default=5e-4)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    folder = Path(tempfile.gettempdir()) / "archsmith-benchmark"
    folder.mkdir(exist_ok=True)
    file = images(folder, options.side, options.images)
    rows = kept(options)
    had = {(row["method"], row["seed"]) for row in rows}
    jobs = [(m, s) for s in range(options.seeds) for m in options.methods if (m, s) not in had]
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
                document = {"machine": platform.platform(), "options": told(options), "rows": rows}
                options.json.write_text(json.dumps(document, indent=1), encoding="utf-8")
    print(report(rows, options))


def told(options: argparse.Namespace) -> dict[str, str]:
    """What the rows depend on."""
    free = {"methods", "seeds", "processes", "json"}
    return {k: str(v) for k, v in vars(options).items() if k not in free}


def kept(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The rows of an earlier run with the same options."""
    if not options.json or not options.json.exists():
        return []
    document = json.loads(options.json.read_text(encoding="utf-8"))
    if document["options"] != told(options):
        raise SystemExit(f"{options.json} is of other options: name another file")
    rows: list[dict[str, Any]] = document["rows"]
    return rows


def report(rows: list[dict[str, Any]], options: argparse.Namespace) -> str:
    """The tables as Markdown: ranking (the first seed's interval) and search (means over seeds)."""
    lines = [
        f"nasbench201, {options.width} channels, {options.cells} cell(s) a stage, "
        f"{options.side}x{options.side}, "
        + (
            f"{options.updates} updates\n"
            if options.updates
            else f"{options.seconds:g} s of one core for training\n"
        ),
        "| method | seeds | updates (epochs) | tau, all (published) | 95 % interval, first seed "
        "| tau, top fifth | tau by loss | rho | tau of 60 cells, before and after recalibration "
        "| best of the sample | s a judgement |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    methods = list(dict.fromkeys(row["method"] for row in rows))
    for method in methods:
        own = [row for row in rows if row["method"] == method and "agreement" in row]
        if own:
            lines.append(ranking_row(method, own))
    lines += [
        "\n| method | updates (epochs) | test accuracy found, each seed | searched by loss "
        "| published |",
        "|---|---|---|---|---|",
    ]
    for method in methods:
        own = [row for row in rows if row["method"] == method]
        by_loss = [row["test_by_loss"] for row in own if "test_by_loss" in row]
        lines.append(
            f"| {method} | {trained(own)} | {each([row['test'] for row in own])} "
            f"| {each(by_loss) if by_loss else 'derived'} | {PUBLISHED.get(method, '–')} |"
        )
    one, many = random_cells(1), random_cells(options.trials)
    lines.append(f"\nrandom cells, trained alone: {one:.2f}; best of {options.trials}: {many:.2f}")
    return "\n".join(lines)


def random_cells(count: int) -> float:
    """Mean recorded test accuracy of the best by validation of so many random cells."""
    from archsmith.bench import read_table

    table, rng = read_table("nb201", None, "cifar10"), np.random.default_rng(0)
    valid, test = table.values[table.select.metric], table.values[table.report]
    draws = [rng.choice(len(test), count, replace=False) for _ in range(2000)]
    return float(np.mean([test[draw[np.argmax(valid[draw])]] for draw in draws]))


def each(values: list[float]) -> str:
    """The mean, and every value."""
    return f"**{statistics.mean(values):.2f}** ({', '.join(f'{v:.2f}' for v in values)})"


def trained(rows: list[dict[str, Any]]) -> str:
    """How long the supernets were trained."""
    steps = statistics.mean(row["steps"] for row in rows)
    return f"{steps:,.0f} ({statistics.mean(row['epochs'] for row in rows):.0f})"


def ranking_row(method: str, rows: list[dict[str, Any]]) -> str:
    """One line of the first table."""

    def mean(key: str, measure: str) -> float:
        values = [row[key][measure]["value"] for row in rows]
        return statistics.mean(v for v in values if v is not None)

    first = rows[0]["agreement"]["tau"]
    return (
        f"| {method} | {len(rows)} | {trained(rows)} "
        f"| {mean('agreement', 'tau'):.2f} ({TAU.get(method, '–')}) "
        f"| {first['low']:.2f} to {first['high']:.2f} | {mean('agreement', 'top_tau'):.2f} "
        f"| {mean('agreement_by_loss', 'tau'):.2f} | {mean('agreement', 'rho'):.2f} "
        f"| {mean('tau_before_recalibration', 'tau'):.2f}, {mean('tau_after_on_same', 'tau'):.2f} "
        f"| {statistics.mean(row['best_by_shared_in_sample'] for row in rows):.2f} "
        f"| {statistics.mean(row['seconds_each'] for row in rows):.2f} |"
    )


if __name__ == "__main__":
    main()
