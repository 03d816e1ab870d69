"""Landscapes with known optima, and searches of them, beside those of the shipped suite."""

from __future__ import annotations

import heapq
import itertools
import random
import time
from collections.abc import Callable, Sequence

from torch import nn

import archsmith as nas
from archsmith.history.objective import Limit, Objective
from archsmith.history.trial import Fidelity, History, State, Trial
from archsmith.strategy.base import Strategy
from archsmith.strategy.random import RandomSearch
from archsmith.testing.landscape import sign_test

ACCURACY = Objective("accuracy", "maximize")
BOTH = (ACCURACY, Objective("params", "minimize"))
SCORE = Objective("score", "maximize")
TRADE = (SCORE, Objective("cost", "minimize"))
#: Numbers of epochs on offer.
EPOCHS = (1, 3, 9)
LAYERS = 5
KINDS = ("a", "b", "c", "d")
#: Of 12,288 stacks (4^5 layers, 4 widths, 3 tails) one has this score.
BEST = 10.0

Measure = Callable[[nas.Architecture], float | dict[str, float]]


def chain(edges: int = 5) -> nn.Module:
    """3,125 architectures, or 15,625 with six edges."""
    for i in range(edges):
        nas.choose(f"edge{i}", [0, 1, 2, 3, 4])
    return nn.Identity()


def pair() -> nn.Module:
    """Twelve architectures; the best by :func:`total` is (3, 2)."""
    nas.choose("edge0", [0, 1, 2, 3])
    nas.choose("edge1", [0, 1, 2])
    return nn.Identity()


def total(architecture: nas.Architecture) -> float:
    """A plain sum: at most 20 or 24, at all fours."""
    return float(sum(v for v in architecture.values() if isinstance(v, int)))


def edges() -> nn.Module:
    """4,096 architectures."""
    for i in range(6):
        nas.choose(f"edge{i}", [0, 1, 2, 3])
    return nn.Identity()


def accuracy(architecture: nas.Architecture) -> float:
    """The single optimum is 1.0 at all threes; 4 points have no better neighbour."""
    answers = [int(str(v)) for v in architecture.values()]
    alike = sum(a == b for a, b in itertools.pairwise(answers))
    return 0.5 * sum(answers) / (3 * len(answers)) + 0.5 * alike / (len(answers) - 1)


def params(architecture: nas.Architecture) -> float:
    """Doubles with each step of an answer."""
    return float(sum(2 ** int(str(v)) for v in architecture.values()))


def sized(architecture: nas.Architecture) -> dict[str, float]:
    """The metrics of :func:`edges`."""
    return {"accuracy": accuracy(architecture), "params": params(architecture)}


def stack() -> nn.Module:
    """Layers of four kinds, a width in four steps, and a tail that not all have."""
    for i in range(LAYERS):
        nas.choose(f"layer{i}", list(KINDS))
    nas.integer("width", 8, 32, step=8)
    if nas.choose("tail", [False, True]):
        nas.choose("gate", ["soft", "hard"])
    return nn.Identity()


def worth(architecture: nas.Architecture) -> dict[str, float]:
    """The metrics of :func:`stack`.

    The score is 10.0 at kinds a, b, a, b, a with width 24 and a hard gate; neighbouring layers that
    fit add more than each alone. The cost, from 1 to 8, is that of layers a and b and of the width.
    """
    width = architecture["width"]
    assert isinstance(width, int)
    fits = [architecture[f"layer{i}"] == KINDS[i % 2] for i in range(LAYERS)]
    pairs = sum(a and b for a, b in itertools.pairwise(fits))
    tail = 0.5 * bool(architecture["tail"]) + 0.5 * (architecture.get("gate") == "hard")
    heavy = sum(architecture[f"layer{i}"] in ("a", "b") for i in range(LAYERS))
    score = sum(fits) + 0.5 * pairs + tail + 2.0 - abs(width - 24) / 8
    return {"score": score, "cost": heavy * 0.8 + width / 8}


def play(
    strategy: Strategy,
    space: nas.Space,
    trials: int,
    seed: int = 0,
    *,
    measure: Measure = total,
    objectives: Sequence[Objective] = (ACCURACY,),
    limits: Sequence[Limit] = (),
    workers: int = 1,
) -> History:
    """A study with so many workers, of which the one that began first ends first.

    What breaks a limit ends pruned, and only what the limits are on is known of it.
    """
    history = History(objectives, limits, key=space.canonical)

    def end(trial: Trial) -> None:
        measured = measure(trial.architecture)
        metrics = measured if isinstance(measured, dict) else {"accuracy": measured}
        broken = history.violation(metrics) > 0
        trial.state = State.PRUNED if broken else State.FINISHED
        trial.metrics = (
            {n: metrics[n] for n in (limit.metric for limit in limits)} if broken else metrics
        )
        history.close(trial)

    for number in range(trials):
        proposal = strategy.propose(space, history, random.Random(f"{seed}/{number}"))
        if proposal is None:
            break
        history.add(Trial(number, proposal.architecture, seed=number, note=proposal.note))
        if len(history.running) >= workers:
            end(history.trials[min(history.running)])
    for number in sorted(history.running):
        end(history.trials[number])
    return history


def best(history: History) -> float:
    """The best value of the first objective within the limits; that of nothing is -1."""
    found = history.best()
    return found.metrics[history.objectives[0].metric] if found else -1.0


def against_random(
    make: Callable[[], Strategy],
    space: nas.Space,
    trials: int,
    seeds: int = 30,
    *,
    reached: Callable[[History], float] = best,
    **options: object,
) -> float:
    """Chance that an equal of random search reaches more so often (one-sided sign test)."""
    wins = losses = 0
    for seed in range(seeds):
        ours = reached(play(make(), space, trials, seed, **options))  # type: ignore[arg-type]
        theirs = reached(play(RandomSearch(), space, trials, seed, **options))  # type: ignore[arg-type]
        wins, losses = wins + (ours > theirs), losses + (ours < theirs)
    return sign_test(wins, losses)


def slowness() -> float:
    """How many times slower this core is than an idle one of a usual machine; 1 at least.

    Processor time grows, too, where others share a core's caches and units.
    """
    taken = []
    for _ in range(3):
        start = time.process_time()
        sum(number * number for number in range(500_000))
        taken.append(time.process_time() - start)
    return max(1.0, min(taken) / 0.03)


def milliseconds(strategy: Strategy, space: nas.Space, trials: int = 500) -> float:
    """Processor time of a proposal after ``trials`` stacks: the middle of 15, each one new; as on
    an idle core.
    """
    history = play(RandomSearch(), space, trials, measure=worth, objectives=(SCORE,))
    taken = []
    for number in range(15):
        start = time.process_time()
        proposal = strategy.propose(space, history, random.Random(number))
        taken.append(1000 * (time.process_time() - start))
        assert proposal is not None
        trial = Trial(len(history), proposal.architecture, state=State.FINISHED)
        history.add(trial)
        trial.metrics = worth(trial.architecture)
        history.close(trial)
    return sorted(taken)[len(taken) // 2] / slowness()


def look(trial: Trial, full: int = EPOCHS[-1]) -> dict[str, float]:
    """The truth, blurred the more the fewer epochs were spent of ``full``."""
    epochs = trial.fidelity.epochs or full
    blur = 2.0 * (1 - epochs / full)
    noise = random.Random(f"{trial.architecture.id}/{epochs}").gauss(0, 1)
    value = total(trial.architecture)
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
                trial.metrics = look(trial, offered[-1])
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
