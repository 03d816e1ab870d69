"""Whatever a table holds, it is read to finite features, and read again alike, or refused."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
import torch

from archsmith._support.errors import ArchsmithError
from archsmith.task import task_for
from archsmith.task.base import ReadOptions

ODD = ["", "NA", "inf", "-", "?", "1e400", "0x1", "2021-02-30", "é", "'", "1,5", "12:00", "  "]


def cells(rng: random.Random, count: int) -> list[str]:
    """A column of one kind, with odd cells at times."""
    kind = rng.choice(["number", "whole", "code", "date", "text", "few", "same", "mixed"])
    made = {
        "number": lambda i: f"{rng.gauss(0, 10 ** rng.randint(-3, 6)):.6g}",
        "whole": lambda i: str(rng.randint(0, 9)),
        "code": lambda i: f"{rng.choice('abc')}{rng.randint(0, 40)}",
        "date": lambda i: f"20{rng.randint(0, 29):02}-0{rng.randint(1, 9)}-{rng.randint(1, 28):02}",
        "text": lambda i: " ".join(rng.choices(["red", "old", "car", str(i), "ünder"], k=3)),
        "few": lambda i: rng.choice(["yes", "no"]),
        "same": lambda i: "7",
        "mixed": lambda i: rng.choice([str(rng.random()), "x", "2020-01-01"]),
    }[kind]
    odd = rng.choice([0, 0, 0.02, 0.3])
    return [rng.choice(ODD) if rng.random() < odd else made(i) for i in range(count)]


def any_table(rng: random.Random, path: Path) -> None:
    count, width = rng.choice([2, 5, 12, 40, 90]), rng.randint(1, 5)
    sign = rng.choice([",", ";", "\t"])
    columns = [cells(rng, count) for _ in range(width)]
    lines = [sign.join(f"c{i}" for i in range(width))]
    lines += [sign.join(f'"{cell}"' for cell in row) for row in zip(*columns, strict=True)]
    path.write_text("\n".join(lines))


@pytest.mark.slow
def test_any_table_is_read_or_refused(tmp_path: Path) -> None:
    ended: Counter[str] = Counter()
    for seed in range(250):
        rng = random.Random(seed)
        path = tmp_path / "t.csv"
        any_table(rng, path)
        unreadable = rng.choice(["refuse", "skip"])
        try:
            task = task_for(str(path))
            data = task.read(str(path), ReadOptions(unreadable=unreadable))
        except ArchsmithError as error:
            ended[type(error).__name__] += 1
            continue
        ended["read"] += 1
        if "features" not in data.facts:  # a table of texts
            continue
        for part in (data.train, data.validation, data.test):
            ready = task.prepare(part.inputs, data.facts)
            assert bool(ready.isfinite().all()), seed
            assert ready.shape[1] == data.facts["features"]
        try:
            again = task.load_input(path, data.facts)
        except ArchsmithError:
            # Rows that were skipped, or values that only other parts miss.
            ended["not loaded"] += 1
            continue
        known = {tuple(row) for row in torch.nan_to_num(again, nan=-9.0).tolist()}
        rows = torch.nan_to_num(data.train.inputs, nan=-9.0).tolist()
        assert all(tuple(row) in known for row in rows), seed
    assert ended["read"] > 40
    assert ended["DataError"] > 20
