"""Trials and their history: what strategies read, what evaluators answer, what the store keeps."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ..space.architecture import Architecture
from .objective import Limit, Objective, crowding, nondominated, nondominated_fronts, violation


@dataclass(frozen=True, slots=True)
class Fidelity:
    """How much is spent on one evaluation.

    Attributes:
        epochs: passes over the used part of the training data; ``None`` leaves it to the recipe.
        share: part of the training data that is used, in (0, 1].
    """

    epochs: int | None = None
    share: float = 1.0

    @property
    def order(self) -> tuple[float, float]:
        """Greater where more is spent."""
        return (math.inf if self.epochs is None else self.epochs, self.share)


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a strategy wants tried next. ``note`` says why, for people (``"mutation of 12"``)."""

    architecture: Architecture
    fidelity: Fidelity | None = None
    note: str = ""


class State(StrEnum):
    """Where a trial stands. The last three are ends."""

    PROPOSED = "proposed"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    PRUNED = "pruned"

    @property
    def ended(self) -> bool:
        return self in (State.FINISHED, State.FAILED, State.PRUNED)


@dataclass(slots=True)
class Trial:
    """One architecture at one fidelity.

    Attributes:
        number: position in the study, from 0.
        seed: seeds everything random in the evaluation; derived from (study seed, number).
        metrics: what was measured; a pruned or failed trial holds what was known by then.
        curve: per-epoch metrics, each with ``epoch`` (from 1).
        reason: why it failed or was pruned.
        attempts: how often it was started; more than one when a worker died under it.
        started, ended: seconds since 1970, 0.0 while not yet.
    """

    number: int
    architecture: Architecture
    fidelity: Fidelity = Fidelity()
    seed: int = 0
    note: str = ""
    state: State = State.PROPOSED
    metrics: dict[str, float] = field(default_factory=dict)
    curve: list[dict[str, float]] = field(default_factory=list)
    reason: str = ""
    worker: str = ""
    attempts: int = 0
    started: float = 0.0
    ended: float = 0.0

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of the last attempt, 0.0 before its end."""
        return max(0.0, self.ended - self.started)


@dataclass(frozen=True)
class KnownCosts:
    """Metrics of an architecture that are known, exactly, before it is tried.

    Attributes:
        names: of the metrics.
        of: gives those of an architecture; fewer, or none, where they cannot be told.
        looks: at how many architectures a proposal may look.
    """

    names: tuple[str, ...]
    of: Callable[[Architecture], Mapping[str, float]]
    looks: int

    def __call__(self, architecture: Architecture) -> Mapping[str, float]:
        return self.of(architecture)


class History:
    """All trials of a study so far, with the objectives that order them.

    Strategies read it and never change it. ``ended`` and its parts ``finished`` and ``pruned`` are
    in order of ending, so that the last *n* are the newest whatever the number of workers.

    Args:
        objectives: what orders trials.
        limits: what they must keep.
        key: tells architectures apart, as :meth:`~archsmith.space.Space.canonical` does; by their
            content where none is given.
        epochs: numbers of epochs that an evaluation may be asked for, ascending, the last one the
            full evaluation; empty where there is one fidelity alone.
        budget: trials that the study is to run, where it knows.
        workers: how many trials run side by side.
        costs: what is known of architectures before they are tried, where anything is.

    Attributes:
        full: finished trials at the highest fidelity that any finished trial has, in order of
            ending: what may be compared with each other, and what a result is taken from.
        seen: keys of all trials.
    """

    def __init__(
        self,
        objectives: Sequence[Objective],
        limits: Sequence[Limit] = (),
        *,
        key: Callable[[Architecture], Hashable] | None = None,
        epochs: Sequence[int] = (),
        budget: int | None = None,
        workers: int = 1,
        costs: KnownCosts | None = None,
    ) -> None:
        if not objectives:
            raise ValueError("a history needs at least one objective")
        self.objectives = tuple(objectives)
        self.limits = tuple(limits)
        self.epochs = tuple(epochs)
        self.budget, self.workers, self.costs = budget, workers, costs
        self.trials: list[Trial] = []
        self.ended: list[Trial] = []
        self.finished: list[Trial] = []
        self.full: list[Trial] = []
        self.pruned: list[Trial] = []
        self.running: dict[int, Trial] = {}
        self.seen: set[Hashable] = set()
        self._key = key

    def __len__(self) -> int:
        return len(self.trials)

    def add(self, trial: Trial) -> None:
        """Take in a newly proposed trial."""
        self.trials.append(trial)
        self.running[trial.number] = trial
        self.seen.add(self.key(trial.architecture))

    def key(self, architecture: Architecture) -> Hashable:
        """What is the same for architectures that count as one."""
        return architecture if self._key is None else self._key(architecture)

    def new(self, architecture: Architecture) -> bool:
        """Whether no trial has it, in this or in another spelling of the same graph."""
        return self.key(architecture) not in self.seen

    def close(self, trial: Trial) -> None:
        """Note that a trial has ended (its state says how)."""
        self.running.pop(trial.number, None)
        self.ended.append(trial)
        if trial.state is State.FINISHED:
            self.finished.append(trial)
            spent = trial.fidelity.order
            if self.full and spent > self.full[0].fidelity.order:
                self.full = []
            if not self.full or spent == self.full[0].fidelity.order:
                self.full.append(trial)
        elif trial.state is State.PRUNED:
            self.pruned.append(trial)

    def losses(self, trial: Trial) -> tuple[float, ...]:
        """The trial's objectives, each turned so that smaller is better."""
        return tuple(objective.loss(trial.metrics) for objective in self.objectives)

    def rank(self, trial: Trial) -> tuple[float, ...]:
        """The losses, then the trial's metric ``loss``, which tells apart what they call equal."""
        loss = trial.metrics.get("loss", 0.0)
        return (*self.losses(trial), math.inf if math.isnan(loss) else loss)

    def violation(self, metrics: Mapping[str, float]) -> float:
        """Total relative violation of the limits, 0.0 where all are kept."""
        return violation(metrics, self.limits)

    def ranked(self, trials: Sequence[Trial]) -> list[Trial]:
        """The trials from best to worst.

        Those that keep the limits come first. Among them one objective orders plainly; several
        order by Pareto front, then by crowding distance (Deb et al. 2002). Equal ones order by
        ``loss`` where they have it: accuracy on a few hundred examples comes in coarse steps, and
        the loss tells apart what they call equal. What is still equal keeps its order.
        """
        kept = [t for t in trials if self.violation(t.metrics) == 0.0]
        broken = [t for t in trials if self.violation(t.metrics) > 0.0]
        broken.sort(key=lambda t: self.violation(t.metrics))
        if len(self.objectives) == 1:
            return sorted(kept, key=self.rank) + broken
        losses = [self.losses(t) for t in kept]
        order: list[Trial] = []
        for front in nondominated_fronts(losses):
            lonely = crowding([losses[i] for i in front])
            by_distance = sorted(range(len(front)), key=lambda k: -lonely[k])
            order += [kept[front[k]] for k in by_distance]
        return order + broken

    def front(self) -> list[Trial]:
        """Trials of :attr:`full` that keep the limits and that no other dominates, by rank."""
        kept = [t for t in self.full if self.violation(t.metrics) == 0.0]
        losses = [self.losses(t) for t in kept]
        finite = [i for i in range(len(kept)) if all(map(math.isfinite, losses[i]))]
        first = nondominated([losses[i] for i in finite])
        return sorted((kept[finite[i]] for i in first), key=self.rank)

    def best(self) -> Trial | None:
        """The trial of :attr:`full` that keeps the limits and is best by the first objective.

        With several objectives the first-named one decides, the others and then ``loss`` break
        ties; the whole trade-off is :meth:`front`.
        """
        front = self.front()
        return front[0] if front else None


def as_json(trial: Trial) -> dict[str, Any]:
    """The trial as plain JSON values, as ``--json`` shows it."""
    return {
        "number": trial.number,
        "state": trial.state.value,
        "id": trial.architecture.id,
        "architecture": trial.architecture.to_json(),
        "fidelity": {"epochs": trial.fidelity.epochs, "share": trial.fidelity.share},
        "seed": trial.seed,
        "metrics": trial.metrics,
        "reason": trial.reason,
        "note": trial.note,
        "seconds": round(trial.seconds, 3),
        "attempts": trial.attempts,
    }
