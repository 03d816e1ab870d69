"""The toy spaces of the strategy suite, and the walk of a strategy over one of them."""

from __future__ import annotations

import random
from typing import Any

from ..history.objective import Limit, Objective
from ..history.trial import Fidelity, History, Proposal, State, Trial
from ..space import Space, choose, integer, one_of, real, repeat, subset
from ..space.architecture import Architecture
from ..strategy.base import Strategy


def _nothing() -> Any:
    from torch import nn

    return nn.Identity()


def flat() -> Any:
    """125 architectures, no conditions."""
    for name in "abc":
        choose(name, [0, 1, 2, 3, 4])
    return _nothing()


def nested() -> Any:
    """Conditional decisions, a repeated block and ranges."""
    integer("width", 8, 64, step=8)

    def wide() -> Any:
        choose("kernel", [3, 5, 7])
        return _nothing()

    repeat("depth", [1, 2, 3], lambda i: one_of("op", {"wide": wide, "skip": _nothing}))
    return _nothing()


def generated() -> Any:
    """Decisions that arise while the search runs; there is no last one, so it cannot be counted.

    Each step decides whether there is another one, and offers the names of the steps before.
    """
    integer("width", 1, 4)
    names = ["in", *subset("inputs", ["left", "right", "far"], (1, 2))]
    step = 0
    while choose(f"more{step}", [False, True]):
        source = choose(f"source{step}", list(names))
        if source == "in":
            choose(f"kernel{step}", [3, 5, 7])
        names.append(f"step{step}")
        step += 1
    return _nothing()


def continuous() -> Any:
    """A range of real numbers."""
    real("rate", 1e-4, 1e-1, log=True)
    choose("on", [False, True])
    return _nothing()


def tiny() -> Any:
    """Four architectures."""
    choose("a", [0, 1])
    choose("b", [0, 1])
    return _nothing()


def single() -> Any:
    """One architecture, nothing to change."""
    choose("a", ["only"])
    return _nothing()


BUILDERS = [flat, nested, generated, continuous, tiny, single]


def score(architecture: Architecture) -> float:
    """A fixed number in [0, 1) for each architecture."""
    return int(architecture.id[:6], 16) / 16**6


class Walk:
    """Lets a strategy propose trials and ends them, as a study would.

    ``lag`` trials are left running, as with that many additional workers.
    """

    def __init__(
        self,
        strategy: Strategy,
        space: Space,
        objectives: int = 1,
        lag: int = 0,
        epochs: tuple[int, ...] = (1, 3, 9),
    ) -> None:
        goals = [Objective("accuracy", "maximize"), Objective("params", "minimize")]
        self.strategy, self.space, self.lag = strategy, space, lag
        self.history = History(
            goals[:objectives],
            [Limit("params", "<=", 0.9)],
            key=space.canonical,
            epochs=epochs,
        )

    def step(self, state: State = State.FINISHED) -> Proposal | None:
        """One proposal; also ends the oldest running trial if more than ``lag`` are running."""
        number = len(self.history)
        proposal = self.strategy.propose(self.space, self.history, random.Random(number))
        if proposal is None:
            return None
        fidelity = proposal.fidelity or Fidelity()
        trial = Trial(number, proposal.architecture, fidelity, number, state=State.RUNNING)
        self.history.add(trial)
        if len(self.history.running) > self.lag:
            first = self.history.trials[min(self.history.running)]
            first.state, first.reason = state, "" if state is State.FINISHED else "broken"
            if state is State.FINISHED:
                value = score(first.architecture)
                first.metrics = {"accuracy": value, "params": (value * 7) % 1}
            self.history.close(first)
        return proposal

    def go(self, steps: int, state: State = State.FINISHED) -> list[Architecture]:
        """The architectures that are proposed in so many steps."""
        proposals = [self.step(state) for _ in range(steps)]
        return [p.architecture for p in proposals if p is not None]

    @property
    def told(self) -> list[list[Any]]:
        """The architecture's id and the fidelity of each trial, as JSON values."""
        return [
            [t.architecture.id, t.fidelity.epochs, t.fidelity.share] for t in self.history.trials
        ]
