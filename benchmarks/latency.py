"""Latency: how well it is predicted here and on measured devices, and whether limits on it hold.

    python benchmarks/latency.py [here] [devices] [limits] [--samples 100] [--json FILE]

``here``: predictors made on this machine from up to ``--samples`` architectures, and their mean
absolute percentage error on ``--held`` others, which were measured in the same way.
``devices``: Spearman's correlation on devices of ``nb201_hw.npz`` (``ARCHSMITH_DATA``) from 20
architectures each, over all others, as HELP (Lee et al. 2021, arXiv:2106.08630) reports it. Three
ways are fitted and the one with the least error in cross-validation on the 20 is taken: numbers of
operations, of operations that reach the output, and the latencies of the same architectures on the
other devices (the same product with another batch left out).
``limits``: short searches on digits under a limit on latency, and the winner of each measured again
five times.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import archsmith as nas
from archsmith._support.trees import TensorSpec
from archsmith.hardware.blocks import measure_blocks
from archsmith.hardware.latency import Probe
from archsmith.hardware.options import LatencyOptions
from archsmith.hardware.predictor import LatencyPredictor, holds_for
from archsmith.hardware.regress import Linear, held_out, relative_error
from archsmith.hardware.sampling import distinct, measure_all
from archsmith.zoo.channel_bench import channel_bench
from archsmith.zoo.convnet import convnet
from archsmith.zoo.nasbench201 import EDGES, from_arch_str, nasbench201

PARTS = ("here", "devices", "limits")
SPACES: dict[str, tuple[nas.Space, tuple[int, ...]]] = {
    "nasbench201 (8 channels, 2 cells)": (
        nas.Space(nasbench201, channels=3, classes=10, cells=2, width=8),
        (1, 3, 32, 32),
    ),
    "convnet (28x28)": (
        nas.Space(convnet, channels=1, classes=10, height=28, width=28),
        (1, 1, 28, 28),
    ),
    "channel_bench (elastic widths)": (
        nas.Space(channel_bench, channels=3, classes=10, width=16),
        (1, 3, 32, 32),
    ),
}
DEVICES = (
    "help_1080ti_1_ms",
    "help_1080ti_256_ms",
    "help_2080ti_32_ms",
    "help_titan_rtx_1_ms",
    "help_titanx_1_ms",
    "help_gold_6226_ms",
    "help_gold_6240_ms",
    "help_silver_4114_ms",
    "help_silver_4210r_ms",
    "help_pixel3_ms",
    "help_samsung_a50_ms",
    "help_samsung_s7_ms",
    "help_essential_ph_1_ms",
    "hw360_pi5_litert_cifar100_lat_ms",
    "hw360_pi5_onnx_cifar100_lat_ms",
    "hw360_pi5_torchmobile_cifar100_lat_ms",
)
STRATEGIES = (
    "random",
    "evolution",
    "bayesian",
    "nsga2",
    "hyperband",
    "spos",
    "fairnas",
    "bignas",
    "ofa",
    "enas",
    "few-shot-nas",
    "darts",
    "pc-darts",
    "gdas",
    "snas",
    "drnas",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="*", default=list(PARTS), choices=PARTS)
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--held", type=int, default=100)
    parser.add_argument("--runtime", default="eager")
    parser.add_argument("--seconds", type=float, default=0.3, help="for each architecture")
    parser.add_argument("--repeats", type=int, default=10, help="draws of 20 on each device")
    parser.add_argument("--strategies", nargs="+", default=list(STRATEGIES))
    parser.add_argument("--quantile", type=float, default=0.25, help="share that keeps the limit")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    work: dict[str, Callable[[argparse.Namespace], list[dict[str, Any]]]] = {
        "here": here,
        "devices": devices,
        "limits": limits,
    }
    found = {}
    for part in options.parts:
        found[part] = work[part](options)
        print(shown(found[part]), end="\n\n")
        if options.json:
            options.json.write_text(json.dumps(found, indent=1))


def here(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Errors of predictors that are made on this machine."""
    rows = []
    for name, (space, shape) in SPACES.items():
        chosen = LatencyOptions(options.runtime, seconds=options.seconds)
        drawn = distinct(space, options.samples + options.held)
        times = np.array(measure_all(space, drawn, shape, options=chosen))
        known, others = drawn[: options.samples], drawn[options.samples :]
        made = LatencyPredictor(space, holds_for(space, TensorSpec(shape), "cpu", chosen))
        if options.runtime != "onnx":
            made.blocks = measure_blocks([one for a in known for one in made.operations(a)])
        made.fit(known, times[: len(known)].tolist())
        error = relative_error(made.predict(others), times[len(known) :])
        rows.append(
            {
                "space": name,
                "runtime": options.runtime,
                "measured": len(known),
                "held out": len(others),
                "ms": f"{times.min():.2f} to {times.max():.2f}",
                "way": made.way,
                "own error %": 100 * made.error,
                "MAPE %": 100 * error,
                **{f"{way} %": 100 * e for way, e in made.errors.items()},
            }
        )
        print(rows[-1], file=sys.stderr)
    return rows


def devices(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Rank correlation on measured devices from 20 architectures each."""
    from scipy.stats import spearmanr

    table = np.load(Path(os.environ["ARCHSMITH_DATA"]) / "nb201_hw.npz", allow_pickle=False)
    architectures = [from_arch_str(str(text)) for text in table["arch_str"]]
    counts = [counted(architecture) for architecture in architectures]
    known = [name for name in table.files if name.startswith("help_")]
    rows = []
    for device in DEVICES:
        times = table[device].astype(float)
        priors = [name for name in known if product(name) != product(device)]
        medians = {name: float(np.median(table[name])) for name in priors}
        scaled = np.column_stack([table[name] / medians[name] for name in priors])
        seen = [
            {**row, **{f"device {n}": float(v) for n, v in zip(priors, other, strict=True)}}
            for row, other in zip(counts, scaled, strict=True)
        ]
        usable = np.flatnonzero(times > 0)
        values, taken = [], Counter()
        for repeat in range(options.repeats):
            order = np.random.default_rng(repeat).permutation(usable)
            few, rest = order[:20], order[20:]
            way, model = best([seen[i] for i in few], times[few])
            taken[way] += 1
            guess = model.predict([seen[i] for i in rest])
            values.append(float(spearmanr(guess, times[rest])[0]))
        rows.append(
            {
                "device": device,
                "Spearman": float(np.mean(values)),
                "least": min(values),
                "ways": ", ".join(f"{way} {n}" for way, n in taken.most_common()),
            }
        )
        print(rows[-1], file=sys.stderr)
    return rows


def best(rows: Sequence[Mapping[str, float]], times: Any) -> tuple[str, Linear]:
    """The way of the least error in cross-validation, fitted."""
    ways = ("op ", "live ", "device ")

    def fit(way: str) -> Callable[[Any, Any], Linear]:
        return lambda seen, taken: Linear.fit(seen, taken, lambda name: name.startswith(way))

    errors = {way: relative_error(held_out(fit(way), rows, times), times) for way in ways}
    way = min(errors, key=errors.__getitem__)
    return way.strip(), fit(way)(rows, times)


def counted(architecture: Mapping[str, Any]) -> dict[str, float]:
    """Numbers of operations of a cell: all, and those between the input and the output."""
    edges = {edge: str(architecture[f"{edge[0]}>{edge[1]}"]) for edge in EDGES}
    reached, leads = {0}, {3}
    for source, target in sorted(edges):
        if source in reached and edges[source, target] != "none":
            reached.add(target)
    for source, target in sorted(edges, reverse=True):
        if target in leads and edges[source, target] != "none":
            leads.add(source)
    told: Counter[str] = Counter()
    for (source, target), op in edges.items():
        told[f"op {op}"] += 1
        if op != "none" and source in reached and target in leads:
            told[f"live {op}"] += 1
    return {name: float(count) for name, count in told.items()}


def product(device: str) -> str:
    """A device's column without batch and unit."""
    return "_".join(part for part in device.split("_") if part not in ("1", "32", "256", "ms"))


def limits(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Winners of short searches under a limit, measured again."""
    import torch

    space = nas.Space(nasbench201, channels=1, classes=10, cells=1, width=8)
    chosen = LatencyOptions(seconds=options.seconds, samples=40)
    made = LatencyPredictor.measure(space, (1, 1, 8, 8), options=chosen)
    bound = float(np.quantile([ms for _, ms in made.samples], options.quantile))
    rows = []
    for strategy in options.strategies:
        began = time.perf_counter()
        result = nas.search(
            space,
            "digits",
            strategy=strategy,
            limits={"latency_ms": bound},
            trials=6,
            epochs=3,
            final_epochs=1,
            finalists=2,
            latency=replace(chosen, samples=None),
        )
        assert result.best is not None, result.problems
        probe = Probe(result.best.model, torch.zeros(1, 1, 8, 8))
        again = [probe.measure().median for _ in range(5)]
        rows.append(
            {
                "strategy": strategy,
                "limit ms": bound,
                "winner ms": result.best.metrics["latency_ms"],
                "again ms": float(np.median(again)),
                "share of 5 that keep": float(np.mean(np.array(again) <= bound)),
                "keeps": float(np.median(again)) <= bound,
                "seconds": time.perf_counter() - began,
                "problems": len(result.problems),
            }
        )
        print(rows[-1], file=sys.stderr)
    return rows


def shown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a Markdown table."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [f"| {' | '.join(names)} |", "|" + "---|" * len(names)]
    for row in rows:
        cells = [f"{v:.3g}" if isinstance(v := row.get(n, ""), float) else str(v) for n in names]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
