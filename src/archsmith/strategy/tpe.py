"""Tree-structured Parzen estimator (Bergstra et al. 2011, Algorithms for Hyper-Parameter
Optimization, NeurIPS), with several objectives as in MOTPE (Ozaki et al. 2020, GECCO) and limits
after c-TPE (Watanabe and Hutter 2022, arXiv:2211.14411)."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from .._support.errors import InputError, SpaceError
from ..history.trial import History, Proposal, Trial
from ..space.architecture import Architecture
from .base import HistoryCache, Strategy, sample_unseen
from .parzen import Parzen
from .ranking import Ranking

if TYPE_CHECKING:
    from ..space import Space

#: At most this many trials are good; with more their density would say little about the best.
_MOST_GOOD = 25
#: Only the newest bad trials are used: they were proposed as good more recently, and a proposal
#: then takes no longer late in a study.
_MOST_BAD = 500
#: Draws per requested candidate; some of them repeat earlier trials.
_DRAWS = 4


class TPE(Strategy):
    """Draws candidates from the density of the good trials that are rare among the bad ones.

    The best ``share`` of the trials are good: by the objective, or with several objectives by
    Pareto front and crowding distance. All others are bad, including trials that broke a limit or
    failed, and running ones, so that parallel workers explore different regions. If too few trials
    keep the limits, those nearest to the limits count as good.

    Args:
        start: proposals are random until this many trials have ended with metrics.
        share: share of the trials that are good, in (0, 1); at most 25 trials.
        candidates: number of new architectures drawn for each proposal, of which the one with the
            best ratio of the densities is proposed.
        multivariate: whether the answers of one observation stay together in the densities
            (:class:`~archsmith.strategy.parzen.Parzen`).

    Raises:
        InputError: an argument is out of range.
    """

    name = "tpe"

    def __init__(
        self,
        start: int = 20,
        share: float = 0.1,
        candidates: int = 24,
        multivariate: bool = False,
    ) -> None:
        for what, value in (("start", start), ("candidates", candidates)):
            if value < 1:
                raise InputError(f"tpe, {what}", "1 or more", str(value))
        if not 0.0 < share < 1.0:
            raise InputError("tpe, share", "a number between 0 and 1", f"{share:g}")
        self.start, self.share = start, share
        self.candidates, self.multivariate = candidates, multivariate
        self._memo = HistoryCache(Ranking)

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        ranking = self._memo.at(space, history)
        trials = ranking.known()
        if len(trials) < self.start:
            return self._random(space, history, rng)
        count = min(_MOST_GOOD, math.ceil(self.share * len(trials)))
        good = ranking.best(trials, count)
        chosen = {trial.number for trial in good}
        others = (*history.ended[-_MOST_BAD - count :], *history.running.values())
        bad = [t for t in others if t.number not in chosen][-_MOST_BAD:]
        density = Parzen(space, _architectures(good), _architectures(bad), self.multivariate)
        candidates = self._candidates(space, history, density, rng)
        if not candidates:
            return self._random(space, history, rng)
        best = int(np.argmax(density.scores(space, candidates)))
        return Proposal(
            candidates[best], note=f"best of {len(candidates)} like the best {len(good)} trials"
        )

    def _random(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        architecture = sample_unseen(space, history, lambda: space.sample(rng))
        return Proposal(architecture, note="random") if architecture else None

    def _candidates(
        self, space: Space, history: History, density: Parzen, rng: random.Random
    ) -> list[Architecture]:
        candidates: dict[object, Architecture] = {}
        for _ in range(_DRAWS * self.candidates):
            with suppress(SpaceError):  # the builder rejects the draw
                architecture = density.draw(space, rng)
                if history.new(architecture):
                    candidates.setdefault(history.key(architecture), architecture)
            if len(candidates) == self.candidates:
                break
        return list(candidates.values())


def _architectures(trials: Sequence[Trial]) -> list[Architecture]:
    return [trial.architecture for trial in trials]
