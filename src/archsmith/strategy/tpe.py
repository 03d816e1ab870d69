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

#: The good are never more than so many, else their density says little about the best.
_MOST_GOOD = 25
#: Of the bad the newest are looked at: they are what was thought good since, and a proposal takes
#: the same time late in a study.
_MOST_BAD = 500
#: Draws for each candidate that is wanted; the others repeat what was tried.
_DRAWS = 4


class TPE(Strategy):
    """Draws from the density of the good trials what is rare among the bad ones.

    The best ``share`` of the trials are the good: by the objective, with several by Pareto front
    and crowding distance. All others are bad, trials that broke a limit or failed among them, and
    so are running ones, that parallel workers move apart. While fewer trials keep the limits than
    are wanted, those nearest to the limits count as good.

    Args:
        start: draws are random until as many trials have ended with metrics to go by.
        share: of the trials that are good, in (0, 1); 25 at most.
        candidates: new architectures drawn for each proposal, of which the best one by the ratio
            of the densities is taken.
        multivariate: whether the answers of one observation stay together in the densities
            (:class:`~archsmith.strategy.parzen.Parzen`).
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
        known = ranking.known()
        if len(known) < self.start:
            return self._random(space, history, rng)
        wanted = min(_MOST_GOOD, math.ceil(self.share * len(known)))
        good = ranking.best(known, wanted)
        chosen = {trial.number for trial in good}
        others = (*history.ended[-_MOST_BAD - wanted :], *history.running.values())
        bad = [t for t in others if t.number not in chosen][-_MOST_BAD:]
        density = Parzen(space, _architectures(good), _architectures(bad), self.multivariate)
        drawn = self._candidates(space, history, density, rng)
        if not drawn:
            return self._random(space, history, rng)
        best = int(np.argmax(density.scores(space, drawn)))
        return Proposal(drawn[best], note=f"best of {len(drawn)} like the best {len(good)} trials")

    def _random(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        architecture = sample_unseen(space, history, lambda: space.sample(rng))
        return Proposal(architecture, note="random") if architecture else None

    def _candidates(
        self, space: Space, history: History, density: Parzen, rng: random.Random
    ) -> list[Architecture]:
        found: dict[object, Architecture] = {}
        for _ in range(_DRAWS * self.candidates):
            with suppress(SpaceError):  # the builder refuses the draw
                architecture = density.draw(space, rng)
                if history.new(architecture):
                    found.setdefault(history.key(architecture), architecture)
            if len(found) == self.candidates:
                break
        return list(found.values())


def _architectures(trials: Sequence[Trial]) -> list[Architecture]:
    return [trial.architecture for trial in trials]
