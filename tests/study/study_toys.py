"""Spaces, strategies and evaluators that cost nothing; workers import them by this module.

Torch is imported where it is needed alone, so that workers start quickly.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from archsmith.evaluate.base import Evaluator, Price, TrialFailed, TrialPruned, Watch
from archsmith.history.objective import Objective
from archsmith.history.trial import Fidelity, History, Proposal
from archsmith.space import Space, choose
from archsmith.space.architecture import Architecture
from archsmith.strategy.base import Strategy

if TYPE_CHECKING:
    from torch import nn

ACCURACY = [Objective("accuracy", "maximize")]
BOTH = [Objective("accuracy", "maximize"), Objective("params", "minimize")]


def toy() -> nn.Module:
    from torch import nn

    for position in range(6):
        choose(f"edge{position}", [0, 1, 2, 3, 4])
    return nn.Identity()


def tiny() -> nn.Module:
    from torch import nn

    choose("edge0", [0, 1])
    choose("edge1", [0, 1])
    return nn.Identity()


def space() -> Space:
    return Space(toy)


class Climb(Strategy):
    """Mutates the best so far: depends on history and on the seed."""

    name = "climb"

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        if len(history.finished) < 5:
            return Proposal(space.sample(rng))
        if space.size().count == 1:
            return None
        best = history.ranked(history.finished)[0]
        return Proposal(space.mutate(best.architecture, rng), note=f"from {best.number}")


class Spread(Strategy):
    """Random."""

    name = "spread"

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        return Proposal(space.sample(rng))


class Each(Strategy):
    """Each architecture once, then nothing."""

    name = "each"

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        for architecture in space.enumerate():
            if history.new(architecture):
                return Proposal(architecture)
        return None


class Toy(Evaluator):
    """Accuracy from the answers and the seed; optional time and weights."""

    name = "toy"
    price = Price.TABLE

    def __init__(
        self, pause: float = 0.0, epochs: int = 0, weights: bool = False, size: int = 2
    ) -> None:
        self.pause, self.epochs, self.weights, self.size = pause, epochs, weights, size

    @property
    def provides(self) -> tuple[str, ...]:
        return ("accuracy", "params")

    def evaluate(
        self, architecture: Architecture, fidelity: Fidelity, seed: int, watch: Watch
    ) -> dict[str, float]:
        for epoch in range(self.epochs):
            time.sleep(self.pause)
            watch.epoch({"epoch": epoch + 1, "loss": 1 / (epoch + 1)})
            if self.weights:
                import torch

                watch.keep(
                    {"weight": torch.full((self.size,), float(seed % 1000)), "n": torch.tensor(1)}
                )
        total = sum(cast(int, answer) for answer in architecture.values())
        return {"accuracy": total / 24 + random.Random(seed).random() / 100, "params": 1.0 + total}


class Scripted(Toy):
    """Does what the first decision says: 0 fine, 1 raises, 2 prunes, 3 NaN, 4 fails."""

    def evaluate(
        self, architecture: Architecture, fidelity: Fidelity, seed: int, watch: Watch
    ) -> dict[str, float]:
        metrics = super().evaluate(architecture, fidelity, seed, watch)
        match architecture["edge0"]:
            case 1:
                raise ZeroDivisionError("by\nnothing")
            case 2:
                raise TrialPruned("too big", {"params": 99.0})
            case 3:
                metrics["accuracy"] = float("nan")
            case 4:
                raise TrialFailed("diverged at epoch 2", {"loss": float("inf")})
        return metrics


class Always(Toy):
    """Raises for every architecture."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def evaluate(
        self, architecture: Architecture, fidelity: Fidelity, seed: int, watch: Watch
    ) -> dict[str, float]:
        raise self.error


class Deadly(Toy):
    """Kills its worker: the first ``times`` evaluations of trials whose first answer is odd."""

    def __init__(self, folder: Path, times: int) -> None:
        super().__init__()
        self.folder, self.times = folder, times

    def evaluate(
        self, architecture: Architecture, fidelity: Fidelity, seed: int, watch: Watch
    ) -> dict[str, float]:
        if odd(architecture):
            counter = self.folder / f"seed{seed}"
            before = len(counter.read_bytes()) if counter.exists() else 0
            with counter.open("ab") as file:
                file.write(b".")
            if before < self.times:
                os.kill(os.getpid(), signal.SIGKILL)
        return super().evaluate(architecture, fidelity, seed, watch)


class Threads(Toy):
    """Reports torch's threads as the accuracy, and the worker's process as parameters."""

    def evaluate(
        self, architecture: Architecture, fidelity: Fidelity, seed: int, watch: Watch
    ) -> dict[str, float]:
        import torch

        time.sleep(0.05)
        return {"accuracy": float(torch.get_num_threads()), "params": float(os.getpid())}


def odd(architecture: Architecture) -> bool:
    """Whether the first answer is odd."""
    return cast(int, architecture["edge0"]) % 2 == 1


def rows(trials: object) -> list[tuple[object, ...]]:
    """What must be equal between two runs, trial for trial."""
    assert isinstance(trials, list)
    return [
        (t.number, t.architecture, t.fidelity, t.seed, t.note, t.state, _plain(t.metrics), t.reason)
        for t in trials
    ]


def _plain(metrics: Mapping[str, float]) -> dict[str, str]:
    return {name: repr(value) for name, value in metrics.items()}


#: Of a whole curve.
EPOCHS = 20


def level(architecture: Architecture) -> float:
    """Where the curve of an architecture ends, in [0.3, 0.9]."""
    answers = [int(str(answer)) for answer in architecture.values()]
    return 0.3 + 0.6 * sum(answers) / (4 * len(answers))


class Curves(Evaluator):
    """Accuracy rises to the architecture's level by a power law; a whole training counts fully."""

    name = "curves"
    price = Price.TRAINED
    provides = ("accuracy", "params")

    @property
    def fidelities(self) -> Sequence[int]:
        return range(1, EPOCHS + 1)

    def evaluate(
        self, architecture: Architecture, fidelity: Fidelity, seed: int, watch: Watch
    ) -> dict[str, float]:
        rng, top = random.Random(seed), level(architecture)
        values = []
        for epoch in range(1, (fidelity.epochs or EPOCHS) + 1):
            values.append(top - 0.25 * epoch**-0.8 + rng.gauss(0, 0.003))
            watch.epoch({"epoch": epoch, "accuracy": values[-1]})
        return {"accuracy": max(values), "params": 1.0}
