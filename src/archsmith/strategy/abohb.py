"""Asynchronous BOHB: ASHA with the density model of BOHB (after Klein et al. 2020, Model-based
Asynchronous Hyperparameter and Neural Architecture Search, arXiv:2003.10865, whose own model is a
Gaussian process)."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from ..history.trial import History, Proposal
from .asha import ASHA
from .bohb import Density

if TYPE_CHECKING:
    from ..space import Space


class AsyncBOHB(ASHA):
    """Promotes the best of a rung as in ASHA; a density model chooses the new entrants.

    A bracket of BOHB drops the trials that do not rise. Here they stay on their rung: as a rung
    grows, more of its best rise, so that a trial that was outranked early can rise later.

    Args:
        eta, min_epochs: as of :class:`~archsmith.strategy.asha.ASHA`.
        random_share, good, candidates: as of :class:`~archsmith.strategy.bohb.BOHB`.
    """

    name = "abohb"

    def __init__(
        self,
        eta: float = 3,
        min_epochs: int = 1,
        random_share: float = 1 / 3,
        good: float = 0.15,
        candidates: int = 64,
    ) -> None:
        super().__init__(eta, min_epochs)
        self.random_share, self.good, self.candidates = random_share, good, candidates
        self._density = Density(self.name, self.rungs, random_share, good, candidates)

    def entrant(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        drawn = self._density.entrant(space, history, rng)
        return super().entrant(space, history, rng) if drawn is None else drawn
