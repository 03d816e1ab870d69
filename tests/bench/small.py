"""A table of NAS-Bench-201's form with numbers of our own, for tests that need no shared data."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np

from archsmith.tables import BenchmarkTable
from archsmith.tables.nb201 import NB201
from archsmith.zoo.nasbench201 import EDGES, OPS, canonical, from_arch_str, to_arch_str


def arch_strings(rows: int, seed: int = 0) -> list[str]:
    """Spellings of so many different graphs."""
    rng = random.Random(seed)
    found: dict[str, str] = {}
    while len(found) < rows:
        cell = {f"{s}>{t}": rng.choice(OPS) for s, t in EDGES}
        found.setdefault(canonical(cell), to_arch_str(cell))
    return list(found.values())


def columns(rows: int = 200, dataset: str = "flowers", seed: int = 0) -> dict[str, Any]:
    """Validation goes with how many convolutions there are; costs against it. No two are equal."""
    rng = np.random.default_rng(seed)
    texts = arch_strings(rows, seed)
    good = np.array([text.count("3x3") + 0.5 * text.count("conv_1x1") for text in texts])
    valid = 50 + 5 * good + rng.normal(0, 1, rows)
    return {
        "arch_str": np.array(texts),
        f"{dataset}_valid_acc_200": valid,
        f"{dataset}_test_acc_200": valid + rng.normal(0, 0.5, rows),
        f"{dataset}_flops_M": 10 + 20 * good + rng.random(rows),
        f"{dataset}_size": 1 + good,
    }


def short_schedule(found: dict[str, Any], dataset: str = "flowers") -> dict[str, Any]:
    """The columns with a 12-epoch schedule beside the full one."""
    rng = np.random.default_rng(1)
    for name in ("valid", "test"):
        full = found[f"{dataset}_{name}_acc_200"]
        found[f"{dataset}_{name}_acc_12"] = full - 10 + rng.normal(0, 2, len(full))
    return found


def write(path: Path, found: dict[str, Any]) -> Path:
    np.savez(path, **found)
    return path


def small_table(
    folder: Path, rows: int = 200, *, epochs: bool = False, seed: int = 0
) -> BenchmarkTable:
    found = columns(rows, seed=seed)
    path = write(folder / "small.npz", short_schedule(found) if epochs else found)
    return NB201().read(path, "flowers")


__all__ = ["arch_strings", "columns", "from_arch_str", "short_schedule", "small_table", "write"]
