"""Networks for tables against gradient boosting and a linear model, on thirteen real tables.

    python benchmarks/tabular.py [--seconds 60 | --trials 24] [--seeds 0] [--sets penguins ...]
        [--contenders search default ft-transformer] [--json FILE]

* ``search``: ``archsmith search TABLE --time SECONDS``, as a user types it;
* ``default``: the default architecture alone, trained by the same recipe (``--trials 1``);
* ``ft-transformer``: the default of the space ``ft_transformer``, likewise;
* ``gradient-boosting`` and the linear model are what each of these runs holds its winner against.

All see the same split: 60 % of the rows are trained on, 20 % choose the epoch and the settings, and
20 % are scored once. Scores are the accuracy of classes and the R² of values. Printed are the
scores, the mean ranks, where gradient boosting is better than the search, and processor seconds
(those of a search include its references). Rows that stand in the JSON file already are not run
again. A busy machine takes time from searches: ``--trials`` gives a search so many trials of the
usual length in place of a time, and the same result on any machine.

Tables are those of scikit-learn, and of statsmodels, palmerpenguins and vega_datasets, whose
packages are in the extra ``benchmarks``; without them their tables are left out.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from statistics import mean
from typing import Any

CLASSES, VALUES = "tabular-classification", "tabular-regression"
#: Name, package, file, target, task, and further options of the command line.
TABLES: tuple[tuple[str, str, str, str, str, tuple[str, ...]], ...] = (
    ("iris", "", "iris", "", CLASSES, ()),
    ("wine", "", "wine", "", CLASSES, ()),
    ("breast-cancer", "", "breast-cancer", "", CLASSES, ()),
    ("digits", "sklearn", "digits", "target", CLASSES, ()),
    ("penguins", "palmerpenguins", "data/penguins.csv", "species", CLASSES, ()),
    ("weather", "vega_datasets", "_data/seattle-weather.csv", "weather", CLASSES, ()),
    ("election", "statsmodels", "datasets/anes96/anes96.csv", "'vote'", CLASSES, ()),
    ("marriages", "statsmodels", "datasets/fair/fair.csv", "rate_marriage", CLASSES, ()),
    ("diabetes", "", "diabetes", "", VALUES, ()),
    ("linnerud", "sklearn", "linnerud", "Weight,Waist,Pulse", VALUES, ()),
    ("cars", "vega_datasets", "_data/cars.json", "Miles_per_Gallon", VALUES, ()),
    ("autos", "statsmodels", "gam/tests/results/autos.csv", "price", VALUES, ()),
    (
        "births",
        "statsmodels",
        "treatment/tests/results/cataneo2.csv",
        "bweight",
        VALUES,
        ("--columns", "lbweight=ignore"),  # whether the target is small
    ),
)
SCORES = {CLASSES: "accuracy", VALUES: "r2"}
CONTENDERS: dict[str, tuple[str, ...]] = {
    "search": (),
    "default": (),
    "ft-transformer": ("--space", "ft_transformer"),
}
LINEAR = ("logistic-regression", "ridge-regression")


def from_sklearn(name: str, folder: Path) -> Path:
    """A table of scikit-learn as a CSV file."""
    import sklearn.datasets

    loader: Callable[..., Any] = getattr(sklearn.datasets, f"load_{name}")
    bunch = loader(as_frame=True)
    bunch.frame.to_csv(folder / f"{name}.csv", index=False)
    return folder / f"{name}.csv"


def as_csv(records: Path, folder: Path) -> Path:
    """A JSON file of records as a CSV file."""
    rows = json.loads(records.read_text())
    path = folder / f"{records.stem}.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def source(package: str, file: str, folder: Path) -> str | None:
    """What the command line takes; ``None`` if the package is not installed."""
    if not package:
        return file
    if package == "sklearn":
        return str(from_sklearn(file, folder))
    found = find_spec(package)
    if found is None or found.origin is None:
        return None
    path = Path(found.origin).parent / file
    return str(as_csv(path, folder) if path.suffix == ".json" else path)


def budget(contender: str, seconds: float, trials: int | None) -> tuple[str, ...]:
    """Options of the command line that limit a run."""
    time = () if trials else ("--time", f"{seconds:g}s")
    count = trials if contender == "search" else 1
    return (*time, *(("--trials", str(count)) if count else ()))


def run(data: str, seed: int, options: tuple[str, ...]) -> dict[str, Any]:
    """One search; the winner, the references, and the processor time."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "archsmith.cli", "search", data, "--json"]
        command += ["--seed", str(seed), "--split-seed", str(seed)]
        command += ["--device", "cpu", "--run", folder, *options]
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(done.stderr)
    result = json.loads(done.stdout)
    processor = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    return {
        "winner": result["winner"]["test"],
        "architecture": result["winner"]["architecture"],
        "params": result["winner"]["costs"]["params"],
        "trials": len(result["trials"]),
        "references": {b["name"]: [b["test"], b["seconds"]] for b in result["baselines"]},
        "processor": processor,
    }


def scores(rows: dict[str, Any]) -> dict[str, dict[str, float]]:
    """By table and contender, the mean over seeds."""
    found: dict[str, dict[str, list[float]]] = {}
    for row in rows.values():
        own, metric = found.setdefault(row["table"], {}), SCORES[row["task"]]
        own.setdefault(row["contender"], []).append(row["winner"][metric])
        if row["contender"] == "search":
            for name, (test, _) in row["references"].items():
                label = "linear" if name in LINEAR else name
                own.setdefault(label, []).append(test[metric])
    return {
        table: {name: mean(values) for name, values in own.items()} for table, own in found.items()
    }


def report(rows: dict[str, Any]) -> str:
    """Scores, mean ranks, losses against trees and processor time."""
    found = scores(rows)
    names = list(dict.fromkeys(name for own in found.values() for name in own))
    lines = ["table".ljust(16) + "".join(name.rjust(19) for name in names)]
    for table, own in found.items():
        cells = (f"{own[name]:.4f}" if name in own else "–" for name in names)
        lines.append(table.ljust(16) + "".join(cell.rjust(19) for cell in cells))
    whole = [own for own in found.values() if len(own) == len(names)]
    ranks = {name: [] for name in names}  # type: dict[str, list[float]]
    for own in whole:
        for name in names:
            above = sum(other > own[name] for other in own.values())
            equal = sum(other == own[name] for other in own.values())
            ranks[name].append(above + (equal + 1) / 2)
    if whole:
        cells = (f"{mean(ranks[name]):.2f}" for name in names)
        lines.append("mean rank".ljust(16) + "".join(cell.rjust(19) for cell in cells))
    trees = "gradient-boosting"
    lost = [t for t, o in found.items() if trees in o and o.get("search", 1.0) < o[trees]]
    lines.append(f"gradient boosting is better than the search on: {', '.join(lost) or 'none'}")
    for contender in dict.fromkeys(row["contender"] for row in rows.values()):
        own = [row["processor"] for row in rows.values() if row["contender"] == contender]
        lines.append(f"{contender}: {mean(own):.0f} processor seconds a run")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--trials", type=int)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--sets", nargs="+", choices=[table[0] for table in TABLES])
    parser.add_argument("--contenders", nargs="+", default=list(CONTENDERS), choices=CONTENDERS)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    rows: dict[str, Any] = {}
    if options.json and options.json.exists():
        rows = json.loads(options.json.read_text())
    with tempfile.TemporaryDirectory() as folder:
        for table, package, file, target, task, more in TABLES:
            if options.sets and table not in options.sets:
                continue
            data = source(package, file, Path(folder))
            if data is None:
                print(f"{table}: left out, {package} is not installed")
                continue
            asked = ("--task", task, *more, *(("--target", target) if target else ()))
            # Targets that are missing are left out; bundled tables have none.
            asked += ("--unreadable", "skip") if package else ()
            for seed, contender in itertools.product(options.seeds, options.contenders):
                limits = budget(contender, options.seconds, options.trials)
                key = f"{table} {contender} {seed} {' '.join(limits)}"
                if key in rows:
                    continue
                row = run(data, seed, (*asked, *limits, *CONTENDERS[contender]))
                rows[key] = {"table": table, "task": task, "contender": contender, **row}
                print(f"{key}: {row['winner'][SCORES[task]]:.4f}", flush=True)
                if options.json:
                    options.json.write_text(json.dumps(rows, indent=2))
    print(report(rows))


if __name__ == "__main__":
    main()
