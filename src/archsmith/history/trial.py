"""Trials and their history, which strategies read, evaluators fill and stores keep."""

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
        epochs: passes over the part of the training data that is used; ``None`` uses the recipe.
        share: part of the training data that is used, in (0, 1].
    """

    epochs: int | None = None
    share: float = 1.0

    @property
    def order(self) -> tuple[float, float]:
        """Greater if more is spent."""
        return (math.inf if self.epochs is None else self.epochs, self.share)


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a strategy proposes next. ``note`` says why, in words (``"mutation of 12"``)."""

    architecture: Architecture
    fidelity: Fidelity | None = None
    note: str = ""


class State(StrEnum):
    """The state of a trial. The last three are final."""

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
        metrics: what was measured; for a pruned or failed trial, up to then.
        curve: per-epoch metrics, each with ``epoch`` (from 1).
        reason: why it failed or was pruned.
        attempts: how often it was started; more than one if a worker died while running it.
        started, ended: seconds since 1970, 0.0 before that.
        continues: number of the trial whose training it continues; ``None`` for a new training.
        trained: epochs that it trains itself; ``None`` for those of its fidelity.
        kept: epochs after which its training can be continued; 0.0 if it cannot.
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
    continues: int | None = None
    trained: float | None = None
    kept: float = 0.0

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of the last attempt, 0.0 before its end."""
        return max(0.0, self.ended - self.started)


@dataclass(frozen=True)
class KnownCosts:
    """Metrics of an architecture that are known exactly before a trial.

    Attributes:
        names: of the metrics.
        of: returns the metrics of an architecture; fewer, or none, if they cannot be determined.
        looks: number of architectures that a proposal may check.
    """

    names: tuple[str, ...]
    of: Callable[[Architecture], Mapping[str, float]]
    looks: int

    def __call__(self, architecture: Architecture) -> Mapping[str, float]:
        return self.of(architecture)


class History:
    """All trials of a study so far, with the objectives that order them.

    Strategies read it and never change it. ``ended`` and its parts ``finished`` and ``pruned`` are
    in order of ending, so that the last *n* are the newest for any number of workers.

    Args:
        objectives: that trials are ranked by.
        limits: that trials must meet.
        key: identifies architectures that count as equal, such as
            :meth:`~archsmith.space.Space.canonical`; by default their content.
        epochs: the fidelities in epochs, ascending, the last one being the full evaluation; empty
            if there is only one fidelity.
        budget: number of trials of the study, if known.
        workers: number of trials that run in parallel.
        costs: metrics that are known before a trial, if any.

    Attributes:
        full: finished trials at the highest fidelity of any finished trial, in order of ending:
            these are comparable, and the result is one of them.
        seen: keys of all trials.

    Raises:
        ValueError: no objectives.
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
        """Add a newly proposed trial."""
        self.trials.append(trial)
        self.running[trial.number] = trial
        self.seen.add(self.key(trial.architecture))

    def key(self, architecture: Architecture) -> Hashable:
        """A key that is the same for architectures that count as equal."""
        return architecture if self._key is None else self._key(architecture)

    def new(self, architecture: Architecture) -> bool:
        """Whether no trial has this architecture or an equivalent one with the same graph."""
        return self.key(architecture) not in self.seen

    def close(self, trial: Trial) -> None:
        """Record that a trial has ended (its state says how)."""
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
        """The trial's objectives, each with the sign that makes smaller better."""
        return tuple(objective.loss(trial.metrics) for objective in self.objectives)

    def rank(self, trial: Trial) -> tuple[float, ...]:
        """The losses, then the trial's metric ``loss``, which breaks ties."""
        loss = trial.metrics.get("loss", 0.0)
        return (*self.losses(trial), math.inf if math.isnan(loss) else loss)

    def violation(self, metrics: Mapping[str, float]) -> float:
        """Total relative violation of the limits, 0.0 if all are met."""
        return violation(metrics, self.limits)

    def ranked(self, trials: Sequence[Trial]) -> list[Trial]:
        """The trials from best to worst.

        Those that meet the limits come first. One objective orders them directly; several order
        them by Pareto front, then by crowding distance (Deb et al. 2002). With one objective,
        ties are broken by ``loss`` if present, since accuracy on a few hundred examples has coarse
        steps. Remaining ties keep their order.
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
        """Trials of :attr:`full` that meet the limits and that no other dominates, by rank."""
        kept = [t for t in self.full if self.violation(t.metrics) == 0.0]
        losses = [self.losses(t) for t in kept]
        finite = [i for i in range(len(kept)) if all(map(math.isfinite, losses[i]))]
        first = nondominated([losses[i] for i in finite])
        return sorted((kept[finite[i]] for i in first), key=self.rank)

    def best(self) -> Trial | None:
        """The trial of :attr:`full` that meets the limits and is best by the first objective.

        With several objectives the first one decides; the others and then ``loss`` break ties.
        :meth:`front` has the whole trade-off. ``None`` if no trial qualifies.
        """
        front = self.front()
        return front[0] if front else None


def as_json(trial: Trial) -> dict[str, Any]:
    """The trial as plain JSON values, as ``--json`` shows it."""
    values: dict[str, Any] = {
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
    if trial.continues is not None:
        values |= {"continues": trial.continues, "trained": trial.trained}
    return values
