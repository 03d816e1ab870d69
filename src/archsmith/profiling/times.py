"""How long trials, searches and trainings take on this machine, from a few timed steps."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from statistics import median
from typing import TYPE_CHECKING

from ..evaluate.shared import CALIBRATION
from ..history.trial import Fidelity
from ..strategy import strategies
from ..supernet import methods
from ..task.fidelity import steps_of
from ..train import paces
from ..workflow.oneshot import DERIVED, derives, epochs_of
from ..workflow.oneshot import TRIALS as ON_SHARED
from ..workflow.plan import FINALISTS
from ..workflow.search import TRIALS
from .facts import Estimate, Pace, Spread, Times
from .sharing import TIMED

if TYPE_CHECKING:
    from ..space import Architecture
    from ..task.problem import Problem

#: Strategies that spend the same budget on many short trainings and a few long ones.
_OVER_EPOCHS = ("asha", "abohb", "hyperband", "bohb", "freeze-thaw", "successive-halving")


def measure_paces(problem: Problem, flops: Spread, seed: int, seconds: float) -> tuple[Pace, ...]:
    """Train the smallest, the middle and the largest architecture for a few steps each.

    Args:
        seconds: about how long it may take; at least one step and one validation batch of each
            are timed in any case.
    """
    paces_of: dict[Architecture, Pace] = {}
    ends = {"smallest": flops.smallest, "middle": flops.middle, "largest": flops.largest}
    for left, (name, example) in zip((3, 2, 1), ends.items(), strict=True):
        began = time.monotonic()
        if example.architecture not in paces_of:
            paces_of[example.architecture] = _pace(
                problem, name, example.architecture, seed, seconds / left / 2
            )
        seconds = max(0.0, seconds - (time.monotonic() - began))
    return tuple(paces_of.values())


def _pace(
    problem: Problem, name: str, architecture: Architecture, seed: int, seconds: float
) -> Pace:
    model = problem.space.build(architecture, seed=seed)
    steps, batches = paces(
        model,
        problem.task,
        problem.data,
        problem.recipe,
        seed=seed,
        device=problem.device,
        seconds=seconds,
    )
    step, validation = median(steps), median(batches) * len(problem.data.validation)

    def training(fidelity: Fidelity) -> float:
        count = steps_of(round(fidelity.share * len(problem.data.train)), problem.recipe.batch_size)
        return (fidelity.epochs or problem.recipe.epochs) * (count * step + validation)

    trial, final = training(problem.fidelity), training(Fidelity())
    return Pace(name, architecture, step, validation, trial, final)


def times(problem: Problem, measured: tuple[Pace, ...], on_shared: Mapping[str, float]) -> Times:
    """Estimated times of searches.

    Args:
        on_shared: seconds per step of some one-shot methods, by name.
    """
    fidelity = problem.fidelity
    share = f"{fidelity.share:.0%} of the training part"
    trial = f"{fidelity.epochs} epochs on {share}"
    low, middle, high = _three([pace.trial for pace in measured])
    plain = [name for name in strategies.names() if name not in _OVER_EPOCHS]
    budget = f"{TRIALS} trials of {trial}"
    estimates = [
        Estimate(tuple(plain), budget, TRIALS * low, TRIALS * middle, TRIALS * high),
        Estimate(
            _OVER_EPOCHS,
            f"as many epochs as {TRIALS} trials, most of them in short trainings",
            TRIALS * low,
            TRIALS * middle,
            TRIALS * high,
        ),
    ]
    estimates += [_shared(problem, measured, name, step) for name, step in on_shared.items()]
    low, middle, high = _three([pace.final for pace in measured])
    count = FINALISTS + 1
    finals = Estimate(
        (),
        f"{FINALISTS} finalists and the default, {problem.recipe.epochs} epochs each",
        count * low,
        count * middle,
        count * high,
    )
    return Times(measured, trial, TRIALS, tuple(estimates), finals)


def _shared(problem: Problem, measured: tuple[Pace, ...], name: str, step: float) -> Estimate:
    """A supernet, and the trials on its weights: each passes the validation part once."""
    method = methods.get(name)()
    epochs = epochs_of(problem, None, False)
    kept = round((1.0 - method.holdout) * len(problem.data.train))
    training = epochs * steps_of(kept, problem.recipe.batch_size) * step
    trials = DERIVED + 1 if derives(method) else ON_SHARED
    passes = 1.0 + min(CALIBRATION, len(problem.data.train)) / len(problem.data.validation)
    low, middle, high = (
        training + trials * passes * seconds
        for seconds in _three([pace.validation for pace in measured])
    )
    budget = f"a supernet of {epochs} epochs, {trials} trials on its weights"
    return Estimate(TIMED[name], budget, low, middle, high)


def _three(values: list[float]) -> tuple[float, float, float]:
    if not values:
        return math.nan, math.nan, math.nan
    return min(values), median(values), max(values)
