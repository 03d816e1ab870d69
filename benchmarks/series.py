"""Series: what a search finds, the default and references, after equal processor time.

    python benchmarks/series.py FOLDER [--sets GunPoint ...] [--seconds 60] [--seeds 0]
        [--contenders search default random-convolutions nearest-series] [--json FILE]
    python benchmarks/series.py FOLDER --forecasts Airline/Airline.csv ... [--seconds 60]
        [--contenders search default linear seasonal-naive]

FOLDER has a folder for each set with its ``_TRAIN.ts`` and ``_TEST.ts`` file, such as
``aeon/datasets/data`` of the wheel of aeon (``pip download --no-deps aeon``, then unzip it); tables
to be forecast are named relative to it.

``search`` is what ``archsmith search --time`` ends with after so many seconds; ``default`` is the
default of the space, trained with the task's recipe for as long a processor time; the name of a
space of the zoo is the default of that one. The references are fitted to the end, and told is how
long that took. Printed is the accuracy on the official test part, or MASE on the last fifth of the
times.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import archsmith as nas
from archsmith.task.contracts import references_of
from archsmith.task.problem import Problem, open_problem
from archsmith.task.references import FittedReference
from archsmith.train import rounds_within, score, train
from archsmith.zoo import spaces

ROUNDS = 8


def searched(source: str, task: str, seconds: float, seed: int) -> dict[str, float]:
    """The test metrics of the winner of a search."""
    best = nas.search(data=source, task=task, time=f"{seconds:.0f}s", seed=seed).best
    assert best is not None
    return {**best.test, "params": float(best.costs["params"])}


def default(problem: Problem, seconds: float, seed: int) -> dict[str, float]:
    """The test metrics of the default, trained for so many seconds of processor time."""
    space, task, data = problem.space, problem.task, problem.data
    recipe = replace(task.recipe(data), epochs=ROUNDS, schedule="wsd", patience=None)
    probe = space.build(space.default(), seed=seed)
    rounds = rounds_within(
        probe,
        task,
        data,
        recipe,
        seconds / ROUNDS,
        seed=seed,
        until=time.process_time() + seconds,
        clock=time.process_time,
    )
    model = space.build(space.default(), seed=seed)
    trained = train(model, task, data, recipe, seed=seed, rounds=rounds)
    model.load_state_dict(trained.best_state)
    params = sum(p.numel() for p in model.parameters())
    return {**score(model, task, data.test, data.facts), "params": float(params)}


def measured(name: str, source: str, task: str, seconds: float, seed: int) -> dict[str, Any]:
    """The test metrics of a contender and the processor time that it took."""
    space = name if name in spaces.names() else None
    problem, began = open_problem(space, source, task=task), time.process_time()
    if name == "search":
        found = searched(source, task, seconds, seed)
    elif name == "default" or space:
        found = default(problem, seconds, seed)
    else:
        references = {one.name: one for one in references_of(problem.task)}
        reference = references[name]
        assert isinstance(reference, FittedReference)
        data = problem.data
        model = reference.fit(problem.task, data, seed).model
        found = score(model, problem.task, data.test, data.facts)
    return {**found, "seconds": time.process_time() - began}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sets", nargs="*", default=[])
    parser.add_argument("--forecasts", nargs="*", default=[])
    parser.add_argument("--contenders", nargs="*", default=[])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    names = {
        "series-classification": ["search", "default", "random-convolutions", "nearest-series"],
        "forecasting": ["search", "default", "linear", "seasonal-naive"],
    }
    rows = []
    for task, sets in (("series-classification", given.sets), ("forecasting", given.forecasts)):
        for one in sets:
            for contender in given.contenders or names[task]:
                for seed in given.seeds:
                    source = str(given.folder / one)
                    row = measured(contender, source, task, given.seconds, seed)
                    metric = "mase" if task == "forecasting" else "accuracy"
                    rows.append({"set": one, "contender": contender, "seed": seed, **row})
                    print(
                        f"{one:28} {contender:20} seed {seed}  {metric} {row[metric]:.4f}  "
                        f"{row['seconds']:.1f} s",
                        flush=True,
                    )
    if given.json:
        machine = {"platform": platform.platform(), "cores": os.cpu_count()}
        record = {"machine": machine, "seconds": given.seconds, "rows": rows}
        given.json.write_text(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
