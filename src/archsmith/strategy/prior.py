"""How priors of choices lead a strategy, and less so as trials end."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..history.trial import History, Proposal
from ..space.architecture import Architecture
from ..space.priors import log_prior
from .base import sample_unseen

if TYPE_CHECKING:
    from ..space import Space

Array = np.ndarray[Any, np.dtype[np.float64]]

#: Trials after which an acquisition is weighted by the prior itself: before, by a power above 1,
#: later by a root of it. After as many, half of the entrants of Hyperband come from the prior.
BETA = 10.0


class PriorFactors:
    """The factor by which priors multiply an acquisition: ``prior ** (BETA / trials)``.

    It is the factor of piBO (Hvarfner et al. 2022, arXiv:2204.11051): a good prior leads the first
    proposals, and a bad one is overruled by enough trials. Priors of whole architectures of a space
    are cached.
    """

    def __init__(self) -> None:
        self._known: dict[Architecture, float] = {}

    def factors(
        self, space: Space, candidates: Sequence[Architecture], trials: int
    ) -> Array | None:
        """The factor of each candidate (n,), after so many trials; ``None`` without a prior."""
        if not space.informed:
            return None
        logs = np.array([self._log(space, architecture) for architecture in candidates])
        factors: Array = np.exp(BETA / max(trials, 1) * (logs - logs.max(initial=0.0)))
        return factors

    def _log(self, space: Space, architecture: Architecture) -> float:
        known = self._known.get(architecture)
        if known is None:
            known = self._known[architecture] = log_prior(space, architecture)
        return known


def draw_entrant(space: Space, history: History, rng: random.Random) -> Proposal | None:
    """A new architecture for a bracket, from the prior with a probability that falls with trials.

    As in PriorBand (Mallik et al. 2023, arXiv:2306.12370) some entrants come from the prior and
    others are uniform, so that a bad prior does not cost the guarantee of Hyperband. Here the share
    of the prior is ``BETA / (BETA + trials)`` on all rungs; there it depends on the rung, and part
    of it goes to the neighbourhood of the best.
    """
    trials = len(history.ended)
    uniform = space.informed and rng.random() >= BETA / (BETA + trials)
    way = "decisions" if uniform else None
    architecture = sample_unseen(space, history, lambda: space.sample(rng, way))
    note = "from the prior" if space.informed and not uniform else "random"
    return Proposal(architecture, note=note) if architecture else None
