"""Asynchronous successive halving whose entrants are mutants of the best."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from .._support.errors import InputError, SpaceError
from ..history.trial import Fidelity, History, Proposal, Trial
from ..space.architecture import Architecture
from .alike import mutate_alike
from .asha import ASHA
from .base import check_whole, sample_unseen
from .rungs import finished

if TYPE_CHECKING:
    from ..space import Space


#: Share of the mutants in which all decisions of one kind change alike.
_ALIKE = 0.5
#: Factor by which the FLOPs of a mutant may differ from those of the first trial, and how many are
#: drawn until one does not.
_BAND, _TRIES = 1.3, 48


class Race(ASHA):
    """Races mutants of the best trials against them, on rising numbers of epochs.

    The best trial of each rung, of the highest one half of the time, is mutated: half of the time
    all decisions of one kind alike (see :mod:`archsmith.strategy.alike`), else one to ``most``
    decisions, at about the FLOPs of the first trial. Mutants enter below and rise
    as in ASHA. With a time for dozens of short trainings and a sound default this finds more than
    random entrants: most of those are worse than what it begins with, and there are too few trials
    for a model.

    Args:
        eta, min_epochs: as of :class:`~archsmith.strategy.asha.ASHA`.
        most: largest number of decisions that a mutant changes.

    Raises:
        InputError: an argument is out of range.
    """

    name = "race"

    def __init__(self, eta: float = 3, min_epochs: int = 1, most: int = 3) -> None:
        super().__init__(eta, min_epochs)
        check_whole(self.name, most=most)
        if most < 1:
            raise InputError(f"{self.name}: most", "1 or more", str(most))
        self.most = most

    def entry(self, history: History) -> Fidelity | None:
        return Fidelity(epochs=self.rungs(history)[0])

    def entrant(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        leaders = leading(history)
        if not leaders:
            return super().entrant(space, history, rng)
        parent = leaders[0] if rng.random() < 0.5 else rng.choice(leaders)

        def mutant() -> Architecture:
            architecture = parent.architecture
            if rng.random() < _ALIKE:
                architecture = mutate_alike(space, architecture, rng)
                if architecture != parent.architecture:
                    return architecture
            for _ in range(rng.randint(1, self.most)):
                architecture = space.mutate(architecture, rng)
            return architecture

        try:
            drawn = _of_its_size(history, mutant) or sample_unseen(space, history, mutant)
        except SpaceError:
            return super().entrant(space, history, rng)
        return Proposal(drawn, note=f"mutant of trial {parent.number}") if drawn else None


def _of_its_size(history: History, mutant: Callable[[], Architecture]) -> Architecture | None:
    """A new mutant whose FLOPs are near those of what the race began with; ``None`` if none was
    found, or if size is an objective, or not known.

    In a short training small networks are ahead of larger ones that overtake them in a long one, so
    a race among all sizes would end with the smallest.
    """
    costs, kept = history.costs, [t for t in history.finished if not history.violation(t.metrics)]
    if costs is None or "flops" not in costs.names or len(history.objectives) > 1 or not kept:
        return None
    first = costs(min(kept, key=lambda t: t.number).architecture).get("flops", 0.0)
    if not first > 0 or history.objectives[0].metric in costs.names:
        return None
    for _ in range(_TRIES):
        drawn = mutant()
        if history.new(drawn) and 1 / _BAND <= costs(drawn).get("flops", 0.0) / first <= _BAND:
            return drawn
    return None


def leading(history: History) -> Sequence[Trial]:
    """The best finished trial of each fidelity, the highest first."""
    by_order: dict[tuple[float, ...], list[Trial]] = {}
    for trial in history.ended:
        if finished(trial):
            by_order.setdefault(trial.fidelity.order, []).append(trial)
    return [history.ranked(by_order[order])[0] for order in sorted(by_order, reverse=True)]
