"""What early stopping saves and what it costs, on recorded learning curves.

    python benchmarks/early_stopping.py [--trials 60] [--repeats 100] [--json FILE]

Needs ``ARCHSMITH_DATA``: NAS-Bench-NLP's recurrent cells on WikiText-2, which are recorded epoch by
epoch. Each repeat is a random search over the recorded runs, the same order with and without
stopping. Two comparisons:

- the same proposals: epochs and recorded seconds saved, and the regret, by how much the best
  finished trial's validation loss is above that of the best of all these proposals;
- the same epochs: what is saved goes into more proposals until as many epochs are spent as full
  training of ``trials`` cells takes; regret against the best cell of the whole table, beside that
  of full training, and how often stopping ended better or worse.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from archsmith.evaluate.base import Evaluator, Price, Watch
from archsmith.history.objective import Objective
from archsmith.history.trial import Fidelity, History, Proposal, State
from archsmith.space import Architecture, Space, choose
from archsmith.strategy.base import Strategy
from archsmith.study import CurveStop, MedianStop, Pruner, Study

FILE = "nas_bench_nlp_wikitext2.parquet"


def recorded(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Validation losses and seconds of the runs that trained to the end, (runs, epochs) each."""
    import pandas as pd

    frame = pd.read_parquet(folder / FILE)
    losses = [np.array(json.loads(text), dtype=float) for text in frame["val_losses"]]
    walls = [np.array(json.loads(text), dtype=float) for text in frame["wall_times"]]
    epochs = max(map(len, losses))
    whole = [i for i, run in enumerate(losses) if len(run) == epochs and np.isfinite(run).all()]
    return np.stack([losses[i] for i in whole]), np.stack([walls[i] for i in whole])


class Recorded(Evaluator):
    """Plays a recorded curve; the result is the best epoch, as a training gives it."""

    name = "recorded"
    price = Price.TABLE
    provides = ("loss",)

    def __init__(self, losses: np.ndarray) -> None:
        self.losses = losses

    @property
    def fidelities(self) -> Sequence[int]:
        return range(1, self.losses.shape[1] + 1)

    def evaluate(
        self, architecture: Architecture, fidelity: Fidelity, seed: int, watch: Watch
    ) -> dict[str, float]:
        run = self.losses[int(str(architecture["run"]))]
        for epoch, loss in enumerate(run, start=1):
            watch.epoch({"epoch": epoch, "loss": float(loss)})
        return {"loss": float(run.min())}


class InOrder(Strategy):
    """The runs in a given order, with or without stopping."""

    name = "in-order"

    def __init__(self, order: Sequence[int]) -> None:
        self.order = order

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        if len(history) == len(self.order):
            return None
        return Proposal(Architecture({"run": self.order[len(history)]}))


def space_of(runs: int) -> Space:
    def recorded_runs() -> Any:
        from torch import nn

        choose("run", list(range(runs)))
        return nn.Identity()

    return Space(recorded_runs)


def play(
    space: Space, losses: np.ndarray, order: Sequence[int], stop: Pruner | None, trials: int
) -> History:
    goal = [Objective("loss", "minimize")]
    study = Study(space, InOrder(order), Recorded(losses), goal, trials=trials, stop=stop)
    return study.run().history


def spent(history: History, walls: np.ndarray) -> tuple[int, float]:
    """Epochs and recorded seconds of all trials."""
    epochs, seconds = 0, 0.0
    for trial in history.ended:
        done = len(trial.curve)
        epochs += done
        seconds += float(walls[int(str(trial.architecture["run"])), :done].sum())
    return epochs, seconds


def best(history: History) -> float:
    return min(t.metrics["loss"] for t in history.finished)


def repeat(
    space: Space, losses: np.ndarray, walls: np.ndarray, trials: int, seed: int
) -> dict[str, Any]:
    """All rules on one order of runs."""
    order = random.Random(seed).sample(range(len(losses)), len(losses))
    optimum = float(losses.min())
    full = play(space, losses, order[:trials], None, trials)
    epochs, seconds = spent(full, walls)
    found: dict[str, Any] = {"full": {"regret": best(full) - optimum}}
    for stop in (MedianStop(), CurveStop()):
        same = play(space, losses, order[:trials], stop, trials)
        more = play(space, losses, order, stop, trials)
        used = spent(same, walls)
        found[stop.name] = {
            "epochs_saved": 1 - used[0] / epochs,
            "seconds_saved": 1 - used[1] / seconds,
            "lost": best(same) - best(full),
            "kept_best": float(best(same) == best(full)),
            "stopped": sum(t.state is State.PRUNED for t in same.trials) / trials,
            "regret": best(more) - optimum,
            "proposals": len(more.trials),
        }
    return found


def mean(repeats: Sequence[Mapping[str, Any]], rule: str) -> dict[str, float]:
    figures = repeats[0][rule]
    return {name: statistics.mean(one[rule][name] for one in repeats) for name in figures}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    folder = os.environ.get("ARCHSMITH_DATA")
    if not folder:
        sys.exit("ARCHSMITH_DATA names the folder of the tables; it is not set")
    losses, walls = recorded(Path(folder))
    space = space_of(len(losses))
    repeats = [repeat(space, losses, walls, given.trials, seed) for seed in range(given.repeats)]
    summary = {rule: mean(repeats, rule) for rule in ("full", "median", "curve")}
    print(
        f"{len(losses)} curves of {losses.shape[1]} epochs, {given.trials} trials, "
        f"{given.repeats} repeats; losses in nats, optimum {losses.min():.3f}"
    )
    print("| | seconds saved | epochs saved | best kept | loss given up | regret at equal epochs |")
    print("|---|---|---|---|---|---|")
    print(f"| full training | 0 % | 0 % | 100 % | 0 | {summary['full']['regret']:.4f} |")
    for rule in ("median", "curve"):
        s = summary[rule]
        print(
            f"| {rule} | {s['seconds_saved']:.0%} | {s['epochs_saved']:.0%} | "
            f"{s['kept_best']:.0%} | {s['lost']:.4f} | {s['regret']:.4f} "
            f"({s['proposals']:.0f} proposals) |"
        )
    if given.json:
        given.json.write_text(json.dumps({"summary": summary, "repeats": repeats}, indent=1) + "\n")


if __name__ == "__main__":
    main()
