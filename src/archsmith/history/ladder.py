"""How far the short trials of a study rank architectures as its longer ones do."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from ..space.architecture import Architecture
from .agreement import Coefficient, rank_agreement
from .trial import Fidelity, History, State, Trial

#: Fewest architectures with trials of both lengths that an agreement is told of.
LEAST = 3


@dataclass(frozen=True, slots=True)
class RungAgreement:
    """Agreement of the trials at two fidelities by the first objective.

    Attributes:
        low, high: the fidelities.
        count: architectures that were tried at both. Only the better ones rise, so that they differ
            less, and agree less, than all would.
        tau: Kendall's tau of their ranks.
    """

    low: Fidelity
    high: Fidelity
    count: int
    tau: Coefficient

    def __str__(self) -> str:
        """In words."""
        names = [
            f"{f.epochs} epoch{'' if f.epochs == 1 else 's'}" if f.epochs else "full trainings"
            for f in (self.low, self.high)
        ]
        ends = f" [{self.tau.low:.2f}, {self.tau.high:.2f}]" if self.tau.low is not None else ""
        value = f"{self.tau.value:.2f}" if self.tau.value is not None else "not defined"
        return (
            f"rank agreement of {names[0]} with {names[1]}, over the {self.count} architectures "
            f"that rose: Kendall's tau {value}{ends}"
        )


def rung_agreements(history: History) -> Sequence[RungAgreement]:
    """The agreement of each fidelity with the next higher one, where at least three architectures
    were tried at both."""
    by_order: dict[tuple[float, float], dict[Architecture, Trial]] = {}
    for trial in history.ended:
        if trial.state is State.FINISHED:
            by_order.setdefault(trial.fidelity.order, {})[trial.architecture] = trial
    goal, found = history.objectives[0], []
    for low, high in itertools.pairwise(sorted(by_order)):
        pairs = [(t, by_order[high][a]) for a, t in by_order[low].items() if a in by_order[high]]
        if len(pairs) >= LEAST:
            short, long = ([t.metrics[goal.metric] for t in side] for side in zip(*pairs))
            tau = rank_agreement(short, long, direction=goal.direction).tau
            found.append(RungAgreement(pairs[0][0].fidelity, pairs[0][1].fidelity, len(pairs), tau))
    return found
