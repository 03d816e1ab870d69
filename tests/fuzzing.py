"""Damaged and tampered files, held against every door that opens one.

    python tests/fuzzing.py --seconds 600 --seed 1 [--kind bytes|values] [--only NAME]

A case is a file that archsmith reads, changed at random: bytes of any kind of file, or values of
valid JSON and SQLite. Right is a result, or an :class:`ArchsmithError`; everything else is counted
and told. The same seed gives the same cases, so that a fault can be looked at again.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import random
import resource
import shutil
import signal
import sqlite3
import struct
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np

import archsmith as nas
from archsmith._support.errors import ArchsmithError

SECONDS = 20  # a case that takes longer is a fault of its own
WORDS = [
    b"",
    b"\0" * 8,
    b"\xff" * 8,
    b"-1",
    b"99999999999999999999",
    b"nan",
    b"[" * 500,
    b'"',
    b",",
    b"\n",
    b"\x1b[31m",
    b"\xe4",
    b"1e999",
]


def any_bytes(rng: random.Random, whole: bytes) -> bytes:
    """The bytes with one to four changes."""
    data = bytearray(whole)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        width = min(len(data) - at, rng.choice([1, 1, 2, 4, 16, 300]))
        kind = rng.randrange(6)
        if kind == 0 and width:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at : at + width] = rng.randbytes(width)
        elif kind == 2:
            del data[at : at + width]
        elif kind == 3:
            data[at:at] = rng.choice(WORDS)
        elif kind == 4:
            data[at : at + width] = rng.choice(WORDS)
        elif rng.random() < 0.5:
            del data[at:]
    return bytes(data)


def hostile(rng: random.Random) -> Any:
    return rng.choice(
        [
            None,
            True,
            0,
            -1,
            10**30,
            1e308,
            float("nan"),
            float("inf"),
            "",
            "x" * 5000,
            [],
            {},
            [[]],
            {"": 0},
            "\x1b[31m",
            "\ud800",
            "../../etc/passwd",
            "1",
            [1, "a"],
            2**63,
            0.5,
        ]
    )


def any_value(rng: random.Random, value: Any, depth: int = 0) -> Any:
    """A JSON value with one thing in it that is not as archsmith writes it."""
    if depth > 0 and (rng.random() < 0.2 or not isinstance(value, dict | list) or not value):
        return hostile(rng)
    if isinstance(value, dict) and value:
        key = rng.choice(list(value))
        if rng.random() < 0.2:
            return {k: v for k, v in value.items() if k != key}
        if rng.random() < 0.1:
            return {**value, str(hostile(rng)): hostile(rng)}
        return {k: any_value(rng, v, depth + 1) if k == key else v for k, v in value.items()}
    if isinstance(value, list) and value:
        at = rng.randrange(len(value))
        if rng.random() < 0.3:
            return [*value[:at], *value[at + 1 :]] if rng.random() < 0.5 else [*value, value[at]]
        return [any_value(rng, v, depth + 1) if i == at else v for i, v in enumerate(value)]
    return hostile(rng)


def any_text(rng: random.Random, value: Any) -> str:
    """JSON of a changed value; now and then nested deeper than a parser likes."""
    text = json.dumps(any_value(rng, value))
    return "[" * 100_000 if rng.random() < 0.02 else text


class Seeds:
    """Small valid files of every kind, made once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(60, 3)).astype(np.float32), np.arange(60) % 3
        rows = "\n".join(f"{a:.3f},{b:.3f},{'xyz'[c]}" for (a, b, _), c in zip(x, y))
        (folder / "t.csv").write_text(f"a,b,kind\n{rows}\n")
        np.savez(folder / "t.npz", x=x, y=y)
        np.savez(folder / "i.npz", x=rng.integers(0, 255, (60, 8, 8), dtype=np.uint8), y=y)
        nas.save_features(folder / "f.npz", nas_tensor(x), nas_tensor(y), ("a", "b", "c"))
        if _has("pyarrow"):
            nas.save_features(folder / "f.parquet", nas_tensor(x), nas_tensor(y), ("a", "b", "c"))
        self._images(rng)
        self._idx(rng, y)
        self._mat(rng)
        from archsmith._support import weights

        weights.write(folder / "w.safetensors", {"a": nas_tensor(x)}, {"format": "1"})
        (folder / "c.toml").write_text('trials = 0\nepochs = 1\nlimit = ["params<=1M"]\n')
        result = nas.search(
            data="iris", trials=2, epochs=1, final_epochs=1, finalists=1, run=folder / "run"
        )
        assert result.best is not None
        result.best.export(folder / "model", onnx=False)
        (folder / "model" / "model.pt2").unlink(missing_ok=True)  # never opened
        names = [
            f"{n} (cm)" for n in ("sepal length", "sepal width", "petal length", "petal width")
        ]
        (folder / "r.csv").write_text(f"{','.join(names)}\n5.1,3.5,1.4,0.2\n")

    def _images(self, rng: np.random.Generator) -> None:
        from PIL import Image

        for name, end in (("cat", "png"), ("dog", "jpg")):
            place = self.folder / "photos" / name
            place.mkdir(parents=True)
            for i in range(6):
                pixels = rng.integers(0, 255, (9, 9, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(place / f"{i}.{end}")

    def _idx(self, rng: np.random.Generator, y: Any) -> None:
        place = self.folder / "idx"
        place.mkdir()
        for part in ("train", "t10k"):
            images = rng.integers(0, 255, (60, 8, 8), dtype=np.uint8)
            head = struct.pack(">IIII", 0x803, 60, 8, 8)
            name = f"{part}-images-idx3-ubyte"
            (place / f"{name}.gz").write_bytes(gzip.compress(head + images.tobytes()))
            labels = struct.pack(">II", 0x801, 60) + y.astype(np.uint8).tobytes()
            (place / f"{part}-labels-idx1-ubyte").write_bytes(labels)

    def _mat(self, rng: np.random.Generator) -> None:
        from scipy.io import savemat

        labels = (np.arange(40) % 4 + 1).astype(float)[:, None]
        seen = np.flatnonzero(labels[:, 0] < 4) + 1
        savemat(
            self.folder / "z.mat",
            {
                "features": rng.normal(size=(5, 40)),
                "labels": labels,
                "att": rng.normal(size=(3, 4)),
                "trainval_loc": seen[:20, None].astype(float),
                "test_seen_loc": seen[20:, None].astype(float),
                "test_unseen_loc": (np.flatnonzero(labels[:, 0] == 4) + 1)[:, None].astype(float),
            },
        )


def features(model: Path) -> None:
    """What the command ``features`` does with an export."""
    from archsmith.cli.features import features as run

    run(folder=model, data="iris", to=model.parent / "out.npz")


def nas_tensor(values: Any) -> Any:
    import torch

    return torch.from_numpy(np.asarray(values))


def _has(name: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(name) is not None


# Doors: each opens a path as the command line would.


def read_data(path: Path) -> None:
    from archsmith.task import task_for
    from archsmith.task.base import ReadOptions

    options = ReadOptions()
    task_for(str(path), options).read(str(path), options)


def read_features(path: Path) -> None:
    nas.load_features(path)


def read_weights(path: Path) -> None:
    from archsmith._support import weights

    weights.read(path)


def read_mat(path: Path) -> None:
    from archsmith.transfer.zeroshot import read_zero_shot

    read_zero_shot(path)


def read_config(path: Path) -> None:
    from archsmith.cli import main

    before = sys.argv
    sys.argv = ["archsmith", "search", "iris", "--config", str(path), "--trials", "0"]
    status: Any = 0
    try:
        main()
    except SystemExit as end:
        status = end.code
    finally:
        sys.argv = before
    if status not in (0, 2):
        raise RuntimeError(f"status {status}")


def open_run(path: Path) -> None:
    from archsmith.cli.output import print_summary, study_json
    from archsmith.report.page import render

    run = nas.Run(path)
    study_json(run)
    print_summary(run)
    with run.undamaged():
        render(run.content(pictures=False))
    _ = run.problem
    for number in (None, 1):
        run.trained(run.chosen(number)[0])


def predict(path: Path) -> None:
    from archsmith.export import predict as run_predict

    run_predict(path, path.parent / "r.csv")


Case = tuple[str, Callable[[random.Random, Path], Path], Callable[[Path], None]]


def byte_cases(seeds: Seeds) -> list[Case]:
    """A file is copied with changed bytes, then opened."""

    def changed(source: str, inside: str = "") -> Callable[[random.Random, Path], Path]:
        def make(rng: random.Random, work: Path) -> Path:
            origin, copy = seeds.folder / source, work / source
            if origin.is_dir():
                shutil.copytree(origin, copy)
                shutil.copy(seeds.folder / "r.csv", work / "r.csv")
                victim = rng.choice(sorted(copy.rglob(inside)))
            else:
                shutil.copy(origin, copy)
                victim = copy
            victim.write_bytes(any_bytes(rng, victim.read_bytes()))
            return copy

        return make

    cases: list[Case] = [
        ("csv", changed("t.csv"), read_data),
        ("npz", changed("t.npz"), read_data),
        ("npz of images", changed("i.npz"), read_data),
        ("features npz", changed("f.npz"), read_features),
        ("images", changed("photos", "*.*g"), read_data),
        ("idx", changed("idx", "*"), read_data),
        ("mat", changed("z.mat"), read_mat),
        ("safetensors", changed("w.safetensors"), read_weights),
        ("toml", changed("c.toml"), read_config),
        ("study.db", changed("run", "study.db"), open_run),
        ("final weights", changed("run", "final/*.safetensors"), open_run),
        ("export", changed("model", "*.*s*n*"), predict),
    ]
    if (seeds.folder / "f.parquet").exists():
        cases.append(("parquet", changed("f.parquet"), read_data))
        cases.append(("features parquet", changed("f.parquet"), read_features))
    return cases


def value_cases(seeds: Seeds) -> list[Case]:
    """Valid files with values that archsmith never writes."""

    def tampered_run(rng: random.Random, work: Path) -> Path:
        copy = work / "run"
        shutil.copytree(seeds.folder / "run", copy)
        db = sqlite3.connect(copy / "study.db")
        table, key, column = rng.choice([("meta", "name", "value"), ("events", "id", "data")])
        rows = db.execute(f"SELECT {key}, {column} FROM {table}").fetchall()
        name, text = rng.choice(rows)
        if rng.random() < 0.1:
            db.execute(f"DELETE FROM {table} WHERE {key} = ?", (name,))
        elif rng.random() < 0.1:
            odd = rng.choice([b"\xff\xfe", 7, "", "NaN", "{"])
            db.execute(f"UPDATE {table} SET {column} = ? WHERE {key} = ?", (odd, name))
        elif table == "events" and rng.random() < 0.2:
            field = rng.choice(["time", "kind", "trial"])
            odd = rng.choice([-1, 2**40, "x", b"\xff", 1e300])
            db.execute(f"UPDATE events SET {field} = ? WHERE id = ?", (odd, name))
        else:
            changed = any_text(rng, json.loads(text))
            db.execute(f"UPDATE {table} SET {column} = ? WHERE {key} = ?", (changed, name))
        db.commit()
        db.close()
        return copy

    def tampered_export(rng: random.Random, work: Path) -> Path:
        copy = work / "model"
        shutil.copytree(seeds.folder / "model", copy)
        shutil.copy(seeds.folder / "r.csv", work / "r.csv")
        path = copy / "architecture.json"
        path.write_text(any_text(rng, json.loads(path.read_text())))
        return copy

    return [
        ("record", tampered_run, open_run),
        ("export record", tampered_export, predict),
        ("export, features", tampered_export, features),
    ]


@contextmanager
def within(seconds: int) -> Iterator[None]:
    def late(*_: object) -> None:
        raise TimeoutError(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def attempt(case: Case, seed: str) -> tuple[str, str]:
    """How one case ended: ``ok``, ``told`` or ``fault``; and where the fault is."""
    name, make, door = case
    with tempfile.TemporaryDirectory() as work:
        path = make(random.Random(f"{name} {seed}"), Path(work))
        try:
            quiet = io.StringIO()
            with (
                within(SECONDS),
                redirect_stdout(quiet),
                redirect_stderr(quiet),
                warnings.catch_warnings(),
            ):
                warnings.simplefilter("ignore")
                door(path)
        except ArchsmithError:
            return "told", ""
        except Exception as error:
            places = [
                f for f in traceback.extract_tb(error.__traceback__) if "archsmith" in f.filename
            ]
            where = f"{Path(places[-1].filename).name}:{places[-1].lineno}" if places else "?"
            return "fault", f"{type(error).__name__} at {where}: {str(error)[:100]}"
    return "ok", ""


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--seconds", type=float, default=60)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--kind", choices=["bytes", "values"])
    options.add_argument("--only")
    given = options.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (16 * 2**30, resource.RLIM_INFINITY))
    counts: Counter[tuple[str, str]] = Counter()
    faults: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        seeds = Seeds(Path(folder))
        cases = byte_cases(seeds) if given.kind != "values" else []
        cases += value_cases(seeds) if given.kind != "bytes" else []
        cases = [case for case in cases if given.only in (None, case[0])]
        end, number = time.monotonic() + given.seconds, 0
        while time.monotonic() < end:
            for case in cases:
                ended, why = attempt(case, f"{given.seed}.{number}")
                counts[case[0], ended] += 1
                if why:
                    key = f"{case[0]}: {why}"
                    faults[key] += 1
                    if faults[key] == 1:
                        print(f"{given.seed}.{number} {key}", flush=True)
            number += 1
    for (name, ended), count in sorted(counts.items()):
        print(f"{name:<20}{ended:<8}{count}")
    print(f"{sum(counts.values())} cases, {sum(faults.values())} faults")


if __name__ == "__main__":
    main()
