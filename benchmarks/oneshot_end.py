"""One total budget on Fashion-MNIST: one-shot search, random search, evolution, the default.

    python benchmarks/oneshot_end.py [--minutes 20] [--strategies NAME...] [--seeds 1]
        [--data fashion-mnist] [--space NAME] [--processor] [--json FILE]

Each contender has ``minutes`` for everything on this machine's cores: half for the search (a
one-shot method trains its supernet and searches in that time), the rest for training what was found
to the end, in as many epochs as fit by the time of its first one. The default architecture trains
for the whole time. One recipe for all; the test part is looked at once, after the last training.
``NAME/inherit`` starts the final training from the shared weights. With ``--processor`` the minutes
are processor time of one thread, so that whatever else the machine does takes nothing away.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import archsmith as nas
from archsmith.history.trial import Fidelity
from archsmith.task.problem import Problem, open_problem
from archsmith.train import score, train
from archsmith.workflow.oneshot import OnSharedWeights, one_shot

STRATEGIES = ("default", "random", "evolution", "spos", "bignas", "bignas/inherit")


def one(strategy: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Search and train within the budget."""
    began, budget = time.perf_counter(), 60.0 * options.minutes
    name, _, inherit = strategy.partition("/")
    problem = open_problem(options.space, options.data)
    architecture, start, trials = problem.space.default(), None, 0
    if name != "default":
        chosen: Any = one_shot(name) or name
        result = nas.search(
            problem.space, options.data, strategy=chosen, time=budget / 2, finalists=0, seed=seed
        )
        best = result.history.best()
        assert best is not None
        architecture, trials = best.architecture, len(result.history.finished)
        if inherit and isinstance(chosen, OnSharedWeights):
            start = chosen.evaluator.supernet.extract(architecture).state_dict()
    model = problem.space.build(architecture, seed=seed)
    if start is not None:
        model.load_state_dict(start)
    epochs = affordable(problem, model, budget - (time.perf_counter() - began))
    recipe = replace(problem.recipe, epochs=epochs)
    trained = train(model, problem.task, problem.data, recipe, seed=seed, device=problem.device)
    test = score(model, problem.task, problem.data.test, problem.data.facts, device=problem.device)
    return {
        "strategy": strategy,
        "seed": seed,
        "test": test["accuracy"],
        "validation": trained.metrics["accuracy"],
        "epochs": epochs,
        "trials": trials,
        "params": sum(p.numel() for p in model.parameters()),
        "seconds": time.perf_counter() - began,
        "architecture": dict(architecture),
    }


def affordable(problem: Problem, model: Any, seconds: float) -> int:
    """Epochs that fit, by the time of a twentieth of one on a copy and of a validation pass."""
    copy, data = deepcopy(model), problem.data
    began = time.perf_counter()

    def timed(share: float) -> float:
        start = time.perf_counter()
        part = Fidelity(epochs=1, share=share)
        train(copy, problem.task, data, problem.recipe, part, seed=0, device=problem.device)
        return time.perf_counter() - start

    timed(0.01)  # the first pass of a process is slower
    start = time.perf_counter()
    score(copy, problem.task, data.validation, data.facts, device=problem.device)
    checking = time.perf_counter() - start
    epoch = 20 * max(0.0, timed(0.05) - checking) + checking
    return max(1, int((seconds - (time.perf_counter() - began)) / epoch))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--strategies", nargs="+", default=list(STRATEGIES))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--space")
    parser.add_argument("--processor", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.processor:
        torch.set_num_threads(1)
        time.perf_counter = time.monotonic = time.time = time.process_time
    rows: list[dict[str, Any]] = []
    of = "one core" if options.processor else "all cores"
    print(f"{options.data}, {options.minutes:g} minutes of {of} in all, {platform.platform()}\n")
    print("| strategy | test accuracy | parameters | trials | final epochs | minutes |")
    print("|---|---|---|---|---|---|")
    for strategy in options.strategies:
        own = [one(strategy, seed, options) for seed in range(options.seeds)]
        rows += own
        tests = [row["test"] for row in own]
        spread = f" ± {statistics.stdev(tests):.4f}" if len(tests) > 1 else ""
        print(
            f"| {strategy} | {statistics.mean(tests):.4f}{spread} "
            f"| {statistics.mean(row['params'] for row in own):,.0f} "
            f"| {statistics.mean(row['trials'] for row in own):.0f} "
            f"| {statistics.mean(row['epochs'] for row in own):.0f} "
            f"| {statistics.mean(row['seconds'] for row in own) / 60:.1f} |",
            flush=True,
        )
        if options.json:
            options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
