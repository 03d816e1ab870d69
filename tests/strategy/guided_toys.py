"""A space with a known optimum, and searches of it, for strategies that learn from the history."""

from __future__ import annotations

import itertools
import math
import random
import time
from collections.abc import Callable

from torch import nn

import archsmith as nas
from archsmith.objective import Limit, Objective
from archsmith.strategy.base import Strategy
from archsmith.strategy.random import RandomSearch
from archsmith.trial import History, State, Trial

LAYERS = 5
KINDS = ("a", "b", "c", "d")
#: Of 12,288 architectures (4^5 stacks, 4 widths, 3 tails) one has it.
BEST = 10.0


def stack() -> nn.Module:
    """Layers of four kinds, a width in four steps, and a tail that not all have."""
    for i in range(LAYERS):
        nas.choose(f"layer{i}", list(KINDS))
    nas.integer("width", 8, 32, step=8)
    if nas.choose("tail", [False, True]):
        nas.choose("gate", ["soft", "hard"])
    return nn.Identity()


def value(architecture: nas.Architecture) -> float:
    """At most 10.0, at one architecture: kinds a, b, a, b, a with width 24 and a hard gate.

    Neighbouring layers that fit add more than each alone, so it is not a plain sum.
    """
    fits = [architecture[f"layer{i}"] == KINDS[i % 2] for i in range(LAYERS)]
    pairs = sum(a and b for a, b in itertools.pairwise(fits))
    tail = 0.5 * bool(architecture["tail"]) + 0.5 * (architecture.get("gate") == "hard")
    width = architecture["width"]
    assert isinstance(width, int)
    return sum(fits) + 0.5 * pairs + tail + 2.0 - abs(width - 24) / 8


def cost(architecture: nas.Architecture) -> float:
    """Between 1 and 8: falls with each layer that is not of the kinds a and b, rises with width."""
    width = architecture["width"]
    assert isinstance(width, int)
    heavy = sum(architecture[f"layer{i}"] in ("a", "b") for i in range(LAYERS))
    return heavy * 0.8 + width / 8


def search(
    strategy: Strategy,
    space: nas.Space,
    seed: int,
    trials: int,
    objectives: int = 1,
    limits: tuple[Limit, ...] = (),
) -> History:
    """A search on one worker. Trials beyond a limit are pruned, as a study does it."""
    goals = (Objective("score", "maximize"), Objective("cost", "minimize"))
    history = History(goals[:objectives], limits, key=space.canonical)
    for number in range(trials):
        proposal = strategy.propose(space, history, random.Random(f"{seed}/{number}"))
        if proposal is None:
            break
        trial = Trial(number, proposal.architecture, note=proposal.note)
        history.add(trial)
        trial.metrics = {"score": value(trial.architecture), "cost": cost(trial.architecture)}
        broken = history.violation(trial.metrics) > 0
        trial.state = State.PRUNED if broken else State.FINISHED
        history.close(trial)
    return history


def best(history: History) -> float:
    """The best score of the trials that keep the limits; -inf where there is none."""
    found = history.best()
    return found.metrics["score"] if found else -math.inf


def sign_test(wins: int, losses: int) -> float:
    """One-sided: the chance of so many wins or more if neither were better (ties left out)."""
    games = wins + losses
    return sum(math.comb(games, k) for k in range(wins, games + 1)) / 2**games


def against_random(make: Callable[[], Strategy], trials: int, seeds: int = 30, **options) -> float:
    """The sign test's p of ``make()`` against random search at equal budget."""
    space = nas.Space(stack)
    wins = losses = 0
    for seed in range(seeds):
        mine = best(search(make(), space, seed, trials, **options))
        theirs = best(search(RandomSearch(), space, seed, trials, **options))
        wins += mine > theirs
        losses += mine < theirs
    return sign_test(wins, losses)


def milliseconds(strategy: Strategy, space: nas.Space, trials: int = 500) -> float:
    """Processor time of a proposal after ``trials`` trials: the middle of 15, each one new."""
    history = search(RandomSearch(), space, 0, trials)
    taken = []
    for number in range(15):
        start = time.process_time()
        proposal = strategy.propose(space, history, random.Random(number))
        taken.append(1000 * (time.process_time() - start))
        assert proposal is not None
        trial = Trial(len(history), proposal.architecture, state=State.FINISHED)
        history.add(trial)
        trial.metrics = {"score": value(trial.architecture), "cost": 1.0}
        history.close(trial)
    return sorted(taken)[len(taken) // 2]
