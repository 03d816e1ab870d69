"""Small trainings on digits that can be continued; a process of its own for tests that kill it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from torch import nn

import archsmith as nas
from archsmith.evaluate.training import TrainingEvaluator
from archsmith.history.objective import Objective
from archsmith.history.trial import Fidelity
from archsmith.strategy.asha import ASHA
from archsmith.study import Inline, Processes, SqliteStore, Store, Study
from archsmith.study.result import StudyResult
from archsmith.task.base import ReadOptions, Recipe

ACCURACY = (Objective("accuracy", "maximize"),)
RECIPE = Recipe(epochs=9, batch_size=32, lr=1e-2, warmup=0.05, schedule="wsd")
#: 11 steps an epoch.
FIDELITY = Fidelity(9, 0.3)


def net(channels: int, height: int, width: int, classes: int) -> nn.Module:
    hidden = nas.choose("hidden", list(range(2, 34)))
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(channels * height * width, hidden),
        nn.BatchNorm1d(hidden),
        nn.ReLU(),
        nn.Linear(hidden, classes),
    )


def space() -> nas.Space:
    return nas.Space(net, channels=1, height=8, width=8, classes=10)


def evaluator(**changes: Any) -> TrainingEvaluator:
    return TrainingEvaluator(
        space(), "digits", ReadOptions(), "image-classification", RECIPE, subset=0, **changes
    )


def run(
    trials: int,
    store: Store | None = None,
    workers: int = 1,
    strategy: Any = None,
    **changes: Any,
) -> tuple[Study, StudyResult]:
    study = Study(
        space(),
        strategy or ASHA(),
        evaluator(**changes),
        ACCURACY,
        store=store,
        executor=Inline() if workers == 1 else Processes(workers, threads=1),
        trials=trials,
        fidelity=FIDELITY,
    )
    return study, study.run()


if __name__ == "__main__":
    with SqliteStore(Path(sys.argv[1])) as opened:
        run(int(sys.argv[2]), opened)
