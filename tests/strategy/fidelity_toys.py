"""An enumerable space whose low fidelities are a noisy view of the full one, and its workers."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable, Sequence

from torch import nn

import archsmith as nas
from archsmith.objective import Limit, Objective
from archsmith.strategy.base import Strategy
from archsmith.strategy.random import RandomSearch
from archsmith.trial import Fidelity, History, State, Trial

EPOCHS = (1, 3, 9)
ACCURACY = Objective("accuracy", "maximize")


def chain() -> nn.Module:
    """3,125 architectures; the best is all fours."""
    for i in range(5):
        nas.choose(f"edge{i}", [0, 1, 2, 3, 4])
    return nn.Identity()


def pair() -> nn.Module:
    """Twelve architectures; the best is (3, 2)."""
    nas.choose("edge0", [0, 1, 2, 3])
    nas.choose("edge1", [0, 1, 2])
    return nn.Identity()


def truth(architecture: nas.Architecture) -> float:
    """What the full evaluation gives: 20 at the optimum of the chain."""
    return float(sum(v for v in architecture.values() if isinstance(v, int)))


def measure(trial: Trial, full: int = EPOCHS[-1]) -> dict[str, float]:
    """The truth, blurred the more the fewer epochs were spent of ``full``."""
    epochs = trial.fidelity.epochs or full
    blur = 2.0 * (1 - epochs / full)
    noise = random.Random(f"{trial.architecture.id}/{epochs}").gauss(0, 1)
    value = truth(trial.architecture)
    return {"accuracy": value + blur * noise, "size": value}


def finish(trial: Trial) -> State:
    return State.FINISHED


class Play:
    """Workers that ask a strategy, on a clock of their own.

    Args:
        seconds: how long a trial takes; as long as its epochs where not given.
        end: how a trial ends.
        remake: makes a new strategy for each proposal, as resuming does.
        epochs: budget, in epochs of all trials together.
        offered: the fidelities, the last one full.

    Attributes:
        idle: how often a worker got no proposal while others worked.
        started: for each trial the numbers of those that had ended when it was proposed.
    """

    def __init__(
        self,
        make: Callable[[], Strategy],
        space: nas.Space,
        seed: int = 0,
        *,
        epochs: int,
        workers: int = 1,
        seconds: Callable[[Trial], float] | None = None,
        end: Callable[[Trial], State] = finish,
        remake: bool = False,
        objectives: Sequence[Objective] = (ACCURACY,),
        limits: Sequence[Limit] = (),
        offered: Sequence[int] = EPOCHS,
    ) -> None:
        self.history = History(objectives, limits, key=space.canonical, epochs=offered)
        self.idle, self.started = 0, []
        history, strategy, busy, now = self.history, make(), [], 0.0
        while True:
            while len(busy) < workers and epochs > 0:
                rng = random.Random(f"{seed}/{len(history)}")
                strategy = make() if remake else strategy
                proposal = strategy.propose(space, history, rng)
                if proposal is None:
                    self.idle += bool(busy)
                    break
                fidelity = proposal.fidelity or Fidelity(epochs=offered[-1])
                trial = Trial(len(history), proposal.architecture, fidelity, note=proposal.note)
                self.started.append({t.number for t in history.ended})
                history.add(trial)
                epochs -= fidelity.epochs
                length = seconds(trial) if seconds else float(fidelity.epochs)
                heapq.heappush(busy, (now + length, trial.number))
            if not busy:
                return
            now, number = heapq.heappop(busy)
            trial = history.trials[number]
            trial.state = end(trial)
            if trial.state is State.FINISHED:
                trial.metrics = measure(trial, offered[-1])
            history.close(trial)

    def at(self, epochs: int) -> list[Trial]:
        """The trials of this many epochs, by number."""
        return [t for t in self.history.trials if t.fidelity.epochs == epochs]

    def brackets(self, start: int, count: int) -> list[list[Trial]]:
        """The entrants of each full bracket that begins with ``start`` epochs."""
        first = {t.architecture: t for t in reversed(self.history.trials)}
        ended = [t for t in self.history.finished if t.fidelity.epochs == start]
        entrants = [t for t in ended if first[t.architecture] is t]
        whole = len(entrants) - len(entrants) % count
        return [entrants[i : i + count] for i in range(0, whole, count)]

    def risen(self, bracket: Sequence[Trial], epochs: int) -> list[Trial]:
        """The trials at these epochs of the architectures of a bracket."""
        members = {t.architecture for t in bracket}
        return [t for t in self.at(epochs) if t.architecture in members]

    @property
    def told(self) -> list[tuple[str, int | None]]:
        return [(t.architecture.id, t.fidelity.epochs) for t in self.history.trials]


def uneven(trial: Trial) -> float:
    """Seconds of which the longest is a thousand times the shortest."""
    return 10 ** random.Random(f"length {trial.number}").uniform(-1.5, 1.5)


def beats_random(make: Callable[[], Strategy], seeds: int = 30, epochs: int = 540) -> float:
    """Chance that a strategy no better than random search wins so often (sign test, one-sided).

    Each seed plays both with equal epochs, and the better full evaluation wins; ties count for
    nobody. A test that asks for less than 0.01 has an error rate of 1%: that is how often it would
    pass, over all choices of seeds, for a strategy that is as good as random search.
    """
    space, offered = nas.Space(chain), (1, 3, 9, 27)
    won = lost = 0
    for seed in range(seeds):
        found = Play(make, space, seed, epochs=epochs, offered=offered).history
        drawn = Play(RandomSearch, space, seed, epochs=epochs, offered=offered).history
        ours, other = (max(truth(t.architecture) for t in h.full) for h in (found, drawn))
        assert {t.fidelity.epochs for t in found.full} == {offered[-1]}
        won, lost = won + (ours > other), lost + (ours < other)
    tosses = won + lost
    return sum(math.comb(tosses, k) for k in range(won, tosses + 1)) / 2**tosses
