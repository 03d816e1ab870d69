"""A landscape with a known optimum and local optima, and studies on it, for tests of strategies."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable

from torch import nn

import archsmith as nas
from archsmith.objective import Objective
from archsmith.trial import History, State, Trial

ACCURACY = (Objective("accuracy", "maximize"),)
BOTH = (*ACCURACY, Objective("params", "minimize"))
EDGES = 6


def edges() -> nn.Module:
    """4,096 architectures."""
    for i in range(EDGES):
        nas.choose(f"edge{i}", [0, 1, 2, 3])
    return nn.Identity()


def accuracy(architecture: nas.Architecture) -> float:
    """The single optimum is 1.0 at all threes; 4 points have no better neighbour."""
    answers = [int(str(v)) for v in architecture.values()]
    alike = sum(a == b for a, b in itertools.pairwise(answers))
    return 0.5 * sum(answers) / (3 * len(answers)) + 0.5 * alike / (len(answers) - 1)


def params(architecture: nas.Architecture) -> float:
    return float(sum(2 ** int(str(v)) for v in architecture.values()))


def play(
    strategy: nas.Strategy,
    space: nas.Space,
    trials: int,
    seed: int = 0,
    *,
    objectives: tuple[Objective, ...] = ACCURACY,
    limits: tuple[nas.Limit, ...] = (),
    workers: int = 1,
) -> History:
    """A study with so many workers, of which the one that began first ends first."""
    history = History(objectives, limits, key=space.canonical)
    for number in range(trials):
        proposal = strategy.propose(space, history, random.Random(f"{seed}/{number}"))
        if proposal is None:
            break
        history.add(Trial(number, proposal.architecture, seed=number, note=proposal.note))
        if len(history.running) >= workers:
            end(history, min(history.running))
    for number in sorted(history.running):
        end(history, number)
    return history


def end(history: History, number: int) -> None:
    trial = history.trials[number]
    trial.metrics = {"params": params(trial.architecture)}
    trial.state = State.PRUNED if history.violation(trial.metrics) > 0 else State.FINISHED
    if trial.state is State.FINISHED:
        trial.metrics["accuracy"] = accuracy(trial.architecture)
    history.close(trial)


def wins(
    make: Callable[[], nas.Strategy],
    other: Callable[[], nas.Strategy],
    score: Callable[[History], float],
    space: nas.Space,
    trials: int,
    seeds: int = 30,
    **options: object,
) -> float:
    """The p-value of the one-sided sign test that the first strategy scores higher; ties drop."""
    better = worse = 0
    for seed in range(seeds):
        a = score(play(make(), space, trials, seed, **options))  # type: ignore[arg-type]
        b = score(play(other(), space, trials, seed, **options))  # type: ignore[arg-type]
        better += a > b
        worse += a < b
    n = better + worse
    return sum(math.comb(n, k) for k in range(better, n + 1)) / 2**n
