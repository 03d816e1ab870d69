"""An enumerable space with a known optimum, searches on it, and a sign test to compare two."""

from __future__ import annotations

import itertools
import math
import random
from functools import cache
from typing import Any

from ..history.objective import Objective
from ..history.trial import Fidelity, History, State, Trial
from ..space import Space, choose
from ..space.architecture import Architecture
from ..strategy.base import Strategy
from ..strategy.random import RandomSearch

#: The answers of the optimum, a mix of first, middle and last options.
OPTIMUM = (2, 0, 3, 1, 2, 0)
#: Numbers of epochs that an evaluation may have; the last is a full evaluation.
EPOCHS = (1, 3, 9, 27)
#: Standard deviation of the noise of the shortest evaluations; that of heights is 0.14.
BLUR = 0.1


def hills() -> Any:
    """4,096 architectures: six decisions with four answers each."""
    from torch import nn

    for i in range(len(OPTIMUM)):
        choose(f"edge{i}", [0, 1, 2, 3])
    return nn.Identity()


def height(architecture: Architecture) -> float:
    """The value of an architecture: 1.0 at :data:`OPTIMUM` alone, between 0 and 1 elsewhere.

    Each answer counts more the nearer it is to the optimum's, and neighbouring answers count by
    their product, so that the height is not a plain sum.
    """
    answers = [int(str(answer)) for answer in architecture.values()]
    near = [1 - abs(a - best) / 3 for a, best in zip(answers, OPTIMUM, strict=True)]
    both = [a * b for a, b in itertools.pairwise(near)]
    return sum(near + both) / len(near + both)


def look(architecture: Architecture, epochs: int) -> float:
    """The height after so many epochs: the fewer, the noisier, and always the same."""
    noise = random.Random(f"{architecture.id}/{epochs}").gauss(0, 1)
    return height(architecture) + BLUR * (1 - epochs / EPOCHS[-1]) * noise


def search(
    strategy: Strategy, seed: int | str, budget: float, space: Space | None = None
) -> History:
    """A search on one worker that may cost as much as ``budget`` full evaluations.

    A trial costs its epochs; a strategy that proposes no number of epochs gets full evaluations.
    The metric ``accuracy`` is :func:`look` at the trial's epochs.
    """
    space = space or Space(hills)
    left = round(budget * EPOCHS[-1])
    history = History(
        [Objective("accuracy", "maximize")],
        key=space.canonical,
        epochs=EPOCHS,
        budget=round(budget),
    )
    while True:
        number = len(history)
        proposal = strategy.propose(space, history, random.Random(f"{seed}/{number}"))
        if proposal is None:
            return history
        epochs = (proposal.fidelity and proposal.fidelity.epochs) or EPOCHS[-1]
        left -= epochs
        if left < 0:
            return history
        fidelity = proposal.fidelity or Fidelity(epochs=epochs)
        trial = Trial(number, proposal.architecture, fidelity, note=proposal.note)
        history.add(trial)
        trial.metrics = {"accuracy": look(trial.architecture, epochs)}
        trial.state = State.FINISHED
        history.close(trial)


def reached(history: History) -> float:
    """The greatest height among the full evaluations; 0.0 if there are none."""
    full = [t for t in history.finished if t.fidelity.epochs == EPOCHS[-1]]
    return max((height(t.architecture) for t in full), default=0.0)


@cache
def reached_by_random(seed: int, budget: float) -> float:
    """The height that random search reaches, with random numbers of its own."""
    return reached(search(RandomSearch(), f"random {seed}", budget))


def sign_test(wins: int, losses: int) -> float:
    """Probability of at least so many wins between equals, ties left out (one-sided)."""
    games = wins + losses
    return sum(math.comb(games, k) for k in range(wins, games + 1)) / 2.0**games
