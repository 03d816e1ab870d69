"""Zero-cost proxies on NAS-Bench-201: how each ranks random cells, beside what was published.

    python benchmarks/proxies.py [--count 1000] [--reference 0] [--datasets cifar10 cifar100]
        [--width 16] [--cells 5] [--batch 64] [--side 32] [--proxies NAME...]
        [--without NAME...] [--unique] [--timed 5] [--seed 0] [--scores FILE.jsonl] [--json FILE]

Needs ``ARCHSMITH_DATA``. ``count`` random architectures of ``nasbench201`` are built and scored
untrained on one batch of real CIFAR-10 training images. Scores are held against the recorded test
accuracies after 200 epochs (mean over seeds): Kendall tau with a 95 % bootstrap interval, recall of
the top tenth, and the accuracy of the architecture that scores best. ``reference`` more rows are
those of ``nb201_zc.parquet``, whose own scores (other seeds, other batch) get their tau beside ours
on the same rows, and the tau between both.

No CIFAR-100 images are at hand: for ``cifar100`` the model has 100 classes, images are those of
CIFAR-10 and labels are random. What sees neither head nor labels is not computed twice.

A proxy that scored fewer architectures than others (it was left out ``--without`` later) is judged
on those, and the table tells their number.

Every score is appended to ``scores`` at once, and what stands there is not computed again: the same
command goes on where it was cut. Seconds are of one core (processor time), each proxy alone, on
the first ``timed`` architectures; other architectures are scored by all proxies with shared passes.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import platform
import random
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

#: Kendall tau on CIFAR-10 and CIFAR-100, one set of runs (AZ-NAS, arXiv:2403.19232).
PUBLISHED = {
    "snip": (0.455, 0.461),
    "grasp": (0.318, 0.329),
    "synflow": (0.571, 0.562),
    "naswot": (0.557, 0.579),
    "zico": (0.589, 0.620),
    "swap": (0.634, 0.649),
    "az-nas": (0.741, 0.723),
}
#: Names of columns in the reference scores that differ from ours.
COLUMNS = {"naswot": "nwot", "epe-nas": "epe_nas"}
#: What sees neither the classifier nor labels.
HEADLESS = ("naswot", "swap", "zen", "meco", "expressivity", "progressivity", "trainability")
CLASSES = {"cifar10": 10, "cifar100": 100}


def images(count: int, side: int, seed: int) -> tuple[Any, Any]:
    """Normalised training images (n, 3, side, side) and labels (n,)."""
    import torch
    from PIL import Image

    with np.load(Path(os.environ["ARCHSMITH_DATA"]) / "cifar10_jpeg.npz") as packed:
        label, data, offsets = (packed[f"train_{k}"] for k in ("label", "jpeg", "offsets"))
    chosen = np.random.default_rng(seed).choice(len(label), count, replace=False)
    pixels = np.empty((count, side, side, 3), np.uint8)
    for place, i in enumerate(chosen):
        with Image.open(io.BytesIO(data[offsets[i] : offsets[i + 1]].tobytes())) as image:
            pixels[place] = image.convert("RGB").resize((side, side), Image.Resampling.BOX)
    mean, std = np.array([0.4914, 0.4822, 0.4465]), np.array([0.2470, 0.2435, 0.2616])
    scaled = ((pixels / 255 - mean) / std).transpose(0, 3, 1, 2).astype(np.float32)
    return torch.from_numpy(scaled), torch.from_numpy(label[chosen].astype(np.int64))


def sample(options: argparse.Namespace, table: Any) -> dict[str, list[int]]:
    """Rows of the table that are scored, by set."""
    rng = random.Random(options.seed)
    order = list(range(len(table["arch_str"])))
    rng.shuffle(order)
    if options.unique:
        order = list({table["unique_str"][i]: i for i in reversed(order)}.values())[::-1]
    found = {"random": order[: options.count]}
    if options.reference:
        rows = list(dict.fromkeys(int(i) for i in reference()["nb201_index"]))
        found["reference"] = rows[: options.reference]
    return found


def reference() -> Any:
    import pandas as pd

    return pd.read_parquet(Path(os.environ["ARCHSMITH_DATA"]) / "nb201_zc.parquet")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--reference", type=int, default=0)
    parser.add_argument("--datasets", nargs="+", default=list(CLASSES), choices=list(CLASSES))
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--cells", type=int, default=5)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--proxies", nargs="+")
    parser.add_argument("--without", nargs="+", default=[], help="proxies that are not scored")
    parser.add_argument("--unique", action="store_true", help="one architecture of each graph")
    parser.add_argument("--timed", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scores", type=Path, default=Path("proxy-scores.jsonl"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with np.load(Path(os.environ["ARCHSMITH_DATA"]) / "nb201.npz") as packed:
        table = {name: packed[name] for name in packed}
    sets = sample(options, table)
    records = score_all(options, table, sets)
    results = [
        result
        for dataset in options.datasets
        for kind, rows in sets.items()
        for result in judge(records, table, dataset, kind, rows)
    ]
    if options.json:
        told = {name: str(value) for name, value in vars(options).items()}
        document = {"machine": platform.platform(), "options": told, "rows": results}
        options.json.write_text(json.dumps(document, indent=1), encoding="utf-8")
    print(report(results, options))


def score_all(
    options: argparse.Namespace, table: Any, sets: dict[str, list[int]]
) -> dict[tuple[str, int], dict[str, Any]]:
    """Records by data set and row: those in the file, and what is missing there, scored now."""
    import torch

    from archsmith.proxy import SetProxy, proxies
    from archsmith.zoo.nasbench201 import from_arch_str

    torch.set_num_threads(1)
    names = options.proxies or [
        name for name in proxies.names() if not issubclass(proxies.get(name), SetProxy)
    ]
    names = [name for name in names if name not in options.without]
    told = {k: getattr(options, k) for k in ("width", "cells", "batch", "side", "seed")}
    records: dict[tuple[str, int], dict[str, Any]] = {}
    if options.scores.exists():
        for line in options.scores.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            if record["settings"] != told:
                sys.exit(f"{options.scores} was made with {record['settings']}, not {told}")
            key = (record["dataset"], record["index"])
            records[key] = merged(records.get(key), record)
    rows = list(dict.fromkeys(row for part in sets.values() for row in part))
    scorers = {dataset: Scorer(dataset, options) for dataset in options.datasets}
    with options.scores.open("a", encoding="utf-8") as file:
        for place, row in enumerate(rows):
            architecture = from_arch_str(str(table["arch_str"][row]))
            for dataset, scorer in scorers.items():
                known = records.get((dataset, row))
                wanted = [n for n in names if known is None or n not in known["scores"]]
                if not wanted:
                    continue
                borrowed = records.get(("cifar10", row)) if dataset != "cifar10" else None
                record = scorer.record(architecture, wanted, borrowed, place < options.timed)
                record |= {"dataset": dataset, "index": row, "settings": told}
                file.write(json.dumps(record) + "\n")
                file.flush()
                records[dataset, row] = merged(known, record)
            print(f"\r{place + 1} of {len(rows)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return records


def merged(old: dict[str, Any] | None, new: dict[str, Any]) -> dict[str, Any]:
    """Two records of the same architecture as one."""
    if old is None:
        return new
    parts = ("scores", "seconds", "refused")
    return new | {part: old[part] | new[part] for part in parts}


class Scorer:
    """Builds and scores architectures for one data set."""

    def __init__(self, dataset: str, options: argparse.Namespace) -> None:
        import torch
        from torch.nn import functional as F

        from archsmith.proxy import Batch
        from archsmith.space import Space
        from archsmith.zoo.nasbench201 import nasbench201

        classes = CLASSES[dataset]
        self.space = Space(
            nasbench201, channels=3, classes=classes, width=options.width, cells=options.cells
        )
        inputs, labels = images(options.batch, options.side, options.seed)
        if dataset != "cifar10":
            generator = torch.Generator().manual_seed(options.seed)
            labels = torch.randint(classes, (options.batch,), generator=generator)
        self.batch = Batch(inputs, labels, lambda output, target: F.cross_entropy(output, target))
        self.seed = options.seed

    def record(
        self, architecture: Any, names: list[str], borrowed: dict[str, Any] | None, timed: bool
    ) -> dict[str, Any]:
        """Scores; ``None`` where a proxy refuses, with what it said."""
        from archsmith.proxy.scoring import attempt

        taken = [n for n in names if borrowed and n in HEADLESS and n in borrowed["scores"]]
        todo = [n for n in names if n not in taken]
        model = self.space.build(architecture, seed=self.seed)
        scores, seconds, refused = {}, {}, {}
        groups = [[name] for name in todo] if timed else [todo]
        for group in filter(None, groups):
            began = time.process_time()
            for name, value in attempt(model, self.batch, group, self.seed).items():
                if not isinstance(value, float):
                    refused[name] = str(value)
                scores[name] = value if isinstance(value, float) else None
            seconds["all" if not timed else group[0]] = time.process_time() - began
        for name in taken:
            scores[name] = borrowed["scores"][name]  # type: ignore[index]
        return {"scores": scores, "seconds": seconds, "refused": refused}


def judge(
    records: dict[tuple[str, int], dict[str, Any]],
    table: Any,
    dataset: str,
    kind: str,
    rows: list[int],
) -> list[dict[str, Any]]:
    """One result for each proxy, and for those that combine them."""
    from archsmith.proxy import SetProxy, proxies

    accuracy = table[f"{dataset}_test_acc_200"][rows].astype(float)
    own = [records[dataset, row] for row in rows]
    singles = list(dict.fromkeys(name for r in own for name in r["scores"]))
    known = theirs(dataset, rows) if kind == "reference" else {}
    found = []
    for name in [*singles, *(n for n in proxies.names() if issubclass(proxies.get(n), SetProxy))]:
        kindred = proxies.get(name)
        members = kindred().members if issubclass(kindred, SetProxy) else (name,)
        scored = [i for i, r in enumerate(own) if set(members) <= set(r["scores"])]
        if not scored:
            continue
        each = {m: values_of([own[i] for i in scored], m) for m in members}
        values = kindred().combine(each) if issubclass(kindred, SetProxy) else each[name]
        seconds = [r["seconds"][name] for r in own if name in r["seconds"]]
        others = known.get(COLUMNS.get(name, name))
        found.append(
            {"dataset": dataset, "set": kind, "proxy": name, "count": len(scored)}
            | measures(values, accuracy[scored])
            | {
                "published": PUBLISHED.get(name, (None, None))[list(CLASSES).index(dataset)],
                "seconds": statistics.mean(seconds) if seconds else None,
                "refused": int((values == -math.inf).sum()),
            }
            | beside(values, None if others is None else others[scored], accuracy[scored])
        )
    return found


def values_of(records: list[dict[str, Any]], name: str) -> Any:
    """Scores (n,), the worst of all where the proxy refused."""
    told = [record["scores"][name] for record in records]
    return np.array([-math.inf if value is None else value for value in told])


def measures(values: Any, accuracy: Any) -> dict[str, Any]:
    """Tau with its interval, recall of the top tenth, accuracy of the pick (mean where tied)."""
    from archsmith.history.agreement import rank_agreement

    tau = rank_agreement(list(values), list(accuracy)).tau
    tenth = max(1, math.ceil(len(values) / 10))
    best = set(np.argsort(-accuracy, kind="stable")[:tenth])
    liked = set(np.argsort(-values, kind="stable")[:tenth])
    return {
        "tau": tau.value,
        "low": tau.low,
        "high": tau.high,
        "recall": len(best & liked) / tenth,
        "picked": float(accuracy[values == values.max()].mean()),
        "best": float(accuracy.max()),
    }


def theirs(dataset: str, rows: list[int]) -> dict[str, Any]:
    """Reference scores of these rows by column."""
    found = reference()
    found = found[found["dataset"] == dataset].set_index("nb201_index").loc[rows]
    return {
        name: found[name].to_numpy(float)
        for name in found.columns
        if name in found.select_dtypes("number")
    }


def beside(values: Any, others: Any, accuracy: Any) -> dict[str, Any]:
    """Tau of the reference scores with the accuracy, and with ours."""
    from scipy.stats import kendalltau

    if others is None:
        return {}
    return {
        "reference_tau": float(kendalltau(others, accuracy).statistic),
        "tau_between": float(
            kendalltau(np.unique(values, return_inverse=True)[1], others).statistic
        ),
    }


def report(results: list[dict[str, Any]], options: argparse.Namespace) -> str:
    """Tables as Markdown, one for each data set and set of rows."""
    lines = [
        f"nasbench201, {options.width} channels, {options.cells} cells a stage, batch "
        f"{options.batch} of {options.side}x{options.side}"
    ]
    for dataset, kind in dict.fromkeys((r["dataset"], r["set"]) for r in results):
        own = [r for r in results if (r["dataset"], r["set"]) == (dataset, kind)]
        random_labels = ", CIFAR-10 images and random labels" if dataset != "cifar10" else ""
        lines += [
            f"\n{dataset}{random_labels}, {kind} architectures, the best of all has "
            f"{max(r['best'] for r in own):.2f}\n",
            "| proxy | scored | tau (95 %) | published | reference scores | tau between "
            "| recall, top tenth | picked | not scored | s each |",
            "|---|---|---|---|---|---|---|---|---|---|",
        ]
        lines += [line(r) for r in sorted(own, key=lambda r: -(r["tau"] or -1))]
    return "\n".join(lines)


def line(result: dict[str, Any]) -> str:
    """One proxy."""

    def told(key: str, form: str = ".3f") -> str:
        value = result.get(key)
        return "–" if value is None else format(value, form)

    return (
        f"| {result['proxy']} | {result['count']} "
        f"| {told('tau')} ({told('low', '.2f')} to {told('high', '.2f')}) "
        f"| {told('published')} | {told('reference_tau')} | {told('tau_between')} "
        f"| {told('recall', '.2f')} | {told('picked', '.2f')} | {result['refused']} "
        f"| {told('seconds', '.2f')} |"
    )


if __name__ == "__main__":
    main()
