"""Language models by hand against the default and a search, after the same time of one core.

    python benchmarks/language.py [--seconds 300] [--seeds 0] [--contenders archsmith default
        plain-gpt plain-lstm] [--options length=128] [--json FILE]

Needs ``ARCHSMITH_DATA``. Bits per character on the test part of tiny Shakespeare, the last 5 % of
the text; training and validation part, the rest, are trained on.

* ``archsmith``: ``archsmith search TEXT --time SECONDS``, as a user types it, in real time;
* ``default``: the default architecture of the space, trained once with the task's recipe;
* ``plain-gpt``, ``plain-lstm``: the task's references, likewise; ``plain-gpt-equal`` and
  ``plain-lstm-equal`` with the default's number of parameters.

All but the search are limited in processor time, so that a busy machine takes nothing from them.
Rows are written one by one, and those that stand in the JSON file already are not run again.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from contenders import searched

from archsmith.history.objective import Objective
from archsmith.space import Space
from archsmith.study import MemoryStore
from archsmith.task.contracts import references_of
from archsmith.task.language import LanguageModelling
from archsmith.task.problem import Problem, open_problem
from archsmith.task.references import NetworkReference, Reference
from archsmith.workflow.baselines import Baselines
from archsmith.workflow.scaling import nearest_scale

CONTENDERS = ("archsmith", "default", "plain-gpt", "plain-lstm")
EQUAL = ("plain-gpt-equal", "plain-lstm-equal")


@dataclass(frozen=True)
class Default(NetworkReference):
    """The default architecture, trained as references are."""

    space: Space

    def build(self, arguments: Any, seed: int, scale: float = 1.0, device: str = "cpu") -> Any:
        return self.space.build(self.space.default(), seed=seed, device=device)


class Compared(LanguageModelling):
    """The task with the default among its references, as the trainer of references finds them."""

    def __init__(self, options: str, default: Default) -> None:
        super().__init__(options)
        self.default = default

    def references(self) -> tuple[Reference, ...]:
        return *super().references(), self.default


def by_hand(problem: Problem, name: str, seconds: float, seed: int) -> dict[str, Any]:
    """A network trained for so much processor time; its result on the test part."""
    metric, space = problem.task.metrics[0], problem.space
    goal, scale = Objective(metric.name, metric.direction), 1.0
    default = Default("default", "", space)
    reference: NetworkReference = default
    problem = replace(problem, task=Compared(problem.task.name.partition(":")[2], default))
    if name != "default":
        found = [r for r in references_of(problem.task) if r.name == name.removesuffix("-equal")]
        assert isinstance(found[0], NetworkReference)
        reference = found[0]
    if name.endswith("-equal"):
        wanted = sum(p.numel() for p in space.build(space.default(), device="meta").parameters())
        scale = nearest_scale(reference, problem, "params", wanted, seed) or 1.0
    with tempfile.TemporaryDirectory() as cache:
        trained = Baselines(
            problem,
            MemoryStore(),
            seed,
            goal,
            seconds,
            together=True,
            cache=Path(cache),
            clock=time.process_time,
        ).train(reference, scale)
    return {"test": trained.test, "params": trained.costs["params"], "processor": trained.seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument(
        "--contenders", nargs="+", default=CONTENDERS, choices=(*CONTENDERS, *EQUAL)
    )
    parser.add_argument("--options", default="", help="of the task")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    torch.set_num_threads(1)
    text = str(Path(os.environ["ARCHSMITH_DATA"]) / "tinyshakespeare.txt.gz")
    task = "language-modelling" + (f":{options.options}" if options.options else "")
    rows: dict[str, Any] = {}
    if options.json and options.json.exists():
        rows = json.loads(options.json.read_text())
    for seed, name in itertools.product(options.seeds, options.contenders):
        key = f"{task} {options.seconds:g} {name} {seed}"
        if key in rows:
            continue
        if name == "archsmith":
            row = searched(text, options.seconds, seed, "--task", task)
        else:
            problem = open_problem(None, text, task=task)
            row = by_hand(problem, name, options.seconds, seed)
        rows[key] = {"contender": name, "seconds": options.seconds, "task": task} | row
        print(f"{key}: {row['test']['bits_per_character']:.4f}", flush=True)
        if options.json:
            options.json.write_text(json.dumps(rows, indent=2))
    mine = [r for r in rows.values() if (r["task"], r["seconds"]) == (task, options.seconds)]
    print(f"{'contender':18} {'seeds':>5} {'bits':>14} {'parameters':>11} {'processor s':>11}")
    for name in dict.fromkeys(row["contender"] for row in mine):
        found = [row for row in mine if row["contender"] == name]
        bits = [row["test"]["bits_per_character"] for row in found]
        spread = f" ± {statistics.stdev(bits):.3f}" if len(bits) > 1 else ""
        print(
            f"{name:18} {len(found):>5} {statistics.mean(bits):>6.3f}{spread:>8} "
            f"{statistics.median(row['params'] for row in found):>11,.0f} "
            f"{statistics.mean(row['processor'] for row in found):>11.0f}"
        )


if __name__ == "__main__":
    main()
