"""What the tests of all readers need: the real files, and broken copies of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from archsmith.evaluate import Watch
from archsmith.evaluate.cost import CostEvaluator
from archsmith.history.trial import Fidelity


def real(name: str) -> Path:
    """A file of the folder that ``ARCHSMITH_DATA`` names; skips where there is none."""
    folder = os.environ.get("ARCHSMITH_DATA")
    if not folder:
        pytest.skip(f"ARCHSMITH_DATA does not name a folder with {name}")
    return Path(folder) / name


def write(folder: Path, rows: list[dict[str, object]]) -> Path:
    """Rows as a CSV file, which readers take as well."""
    import csv

    path = folder / "table.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def cost(space, shape):
    """Params and FLOPs of an architecture's network, as archsmith itself counts them."""
    evaluator = CostEvaluator(space, shape)

    def of(architecture):
        metrics = evaluator.evaluate(architecture, Fidelity(), 0, Watch())
        return metrics["params"], metrics["flops"]

    return of
