"""A search for a network that classifies texts, against TF-IDF and logistic regression.

    ARCHSMITH_DATA=... python benchmarks/texts.py [--data MR SST2 SST5 CR TREC] [--seconds 600]
        [--seeds 0 1 2] [--contenders archsmith default tf-idf-logistic-regression]
        [--space text] [--json FILE]

Each contender has so many seconds of one thread for everything, and the same texts:

* ``archsmith``: ``archsmith search DATA --time SECONDS``, as a user types it;
* ``random``: the same search with ``--strategy random``;
* ``default``: the default architecture of the space, trained for the whole time;
* ``tf-idf-logistic-regression``, ``kim-cnn``: references of the task, on training and validation
  part together.

SST2, SST5 and TREC have a test part of their own; of MR and CR a fifth is drawn by the seed 0, so
the accuracies are not those of the ten-fold cross-validation in papers. Rows are written one by
one, and those that stand in the JSON file already are not run again. The time is real time, and a
busy machine takes it from all contenders: compare their processor times.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
from pathlib import Path
from typing import Any

from contenders import by_hand, searched

DATA = ("MR", "SST2", "SST5", "CR", "TREC")
CONTENDERS = ("archsmith", "default", "tf-idf-logistic-regression", "random", "kim-cnn")


def run(contender: str, data: str, seconds: float, seed: int, space: str | None) -> dict[str, Any]:
    """One row of the table."""
    from archsmith.task.base import ReadOptions

    source = str(Path(os.environ["ARCHSMITH_DATA"]) / "text_classification.parquet")
    if contender not in ("archsmith", "random"):
        options = ReadOptions(where=f"dataset={data}", unreadable="skip")
        return by_hand(source, contender, seconds, seed, "", space, "text-classification", options)
    more = ["--task", "text-classification", "--where", f"dataset={data}", "--unreadable", "skip"]
    more += ["--space", space] if space else []
    more += ["--strategy", "random"] if contender == "random" else []
    return searched(source, seconds, seed, *more)


def table(rows: list[dict[str, Any]]) -> str:
    """Mean and spread of the test accuracy of each contender on each data set, in percent, and its
    mean processor time in seconds."""
    head = [f"{name:>20}" for name in dict.fromkeys(row["data"] for row in rows)]
    lines = [f"{'contender':28}{''.join(head)}{'processor':>10}"]
    for contender in dict.fromkeys(row["contender"] for row in rows):
        cells, mine = [], [row for row in rows if row["contender"] == contender]
        for data in dict.fromkeys(row["data"] for row in rows):
            scores = [100 * row["test"]["accuracy"] for row in mine if row["data"] == data]
            spread = f" ± {statistics.stdev(scores):.2f}" if len(scores) > 1 else ""
            cells.append(f"{statistics.mean(scores):.2f}{spread}" if scores else "")
        used = statistics.mean(row["processor"] for row in mine)
        lines.append(f"{contender:28}{''.join(f'{cell:>20}' for cell in cells)}{used:>10.0f}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="+", default=list(DATA), choices=DATA)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--contenders", nargs="+", default=list(CONTENDERS[:3]), choices=CONTENDERS)
    parser.add_argument("--space")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    torch.set_num_threads(1)
    rows: dict[str, Any] = {}
    if options.json and options.json.exists():
        rows = json.loads(options.json.read_text())
    for data, seed, contender in itertools.product(options.data, options.seeds, options.contenders):
        key = f"{data} {options.seconds:g} {contender} {seed} {options.space or ''}".strip()
        if key in rows:
            continue
        row = run(contender, data, options.seconds, seed, options.space)
        rows[key] = {"data": data, "contender": contender, "seed": seed} | row
        print(
            f"{key}: {row['test']['accuracy']:.4f}, {row['processor']:.0f} s of a core", flush=True
        )
        if options.json:
            options.json.write_text(json.dumps(rows, indent=2))
    print(table(list(rows.values())))


if __name__ == "__main__":
    main()
