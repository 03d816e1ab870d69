"""Random search: the baseline (Li and Talwalkar 2019, arXiv:1902.07638)."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from ..history.trial import History, Proposal
from .base import Strategy, sample_unseen

if TYPE_CHECKING:
    from ..space import Space


class RandomSearch(Strategy):
    """Draws each decision uniformly; proposes no architecture twice."""

    name = "random"

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        architecture = sample_unseen(space, history, lambda: space.sample(rng))
        return Proposal(architecture, note="random") if architecture else None
