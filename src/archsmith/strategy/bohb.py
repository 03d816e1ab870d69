"""BOHB (Falkner et al. 2018, BOHB: Robust and Efficient Hyperparameter Optimization at Scale,
arXiv:1807.01774)."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from .._support.errors import InputError, SpaceError
from ..history.trial import History, Proposal, State, Trial
from ..space.architecture import Architecture
from .base import HistoryCache
from .hyperband import Hyperband
from .parzen import Parzen
from .rungs import Rung, finished, rung_of

if TYPE_CHECKING:
    from ..space import Space


#: The paper's factor on all widths while entrants are drawn, which keeps them diverse, and the
#: smallest width.
_WIDENING = 3.0
_NARROWEST = 1e-3


class BOHB(Hyperband):
    """Hyperband whose entrants are chosen by a density model.

    The model separates good from other architectures at the highest fidelity with enough results.
    Of ``candidates`` draws from the density of the good ones, with widths three times as large, the
    best enters. Architectures that were pruned for a broken limit count as bad.

    Args:
        eta, min_epochs: as of Hyperband.
        random_share: share of the entrants that are drawn uniformly, which preserves the guarantee
            of Hyperband (1/3 in the paper).
        good: share of the results at a fidelity that count as good (0.15 in the paper).
        candidates: number of draws of which the best enters (64 in the paper).

    Raises:
        InputError: an argument is out of range.
    """

    name = "bohb"

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


class Density:
    """Draws entrants from a density model of good architectures.

    Args:
        name: of the strategy, for errors.
        rungs: gives the epochs of the rungs.
        random_share, good, candidates: see :class:`BOHB`.
    """

    def __init__(
        self,
        name: str,
        rungs: Callable[[History], Sequence[int]],
        random_share: float,
        good: float,
        candidates: int,
    ) -> None:
        if not 0 <= random_share <= 1:
            raise InputError(f"{name}: random_share", "a share in [0, 1]", f"{random_share:g}")
        if not 0 < good < 1:
            raise InputError(f"{name}: good", "a share in (0, 1)", f"{good:g}")
        if candidates < 1:
            raise InputError(f"{name}: candidates", "1 or more", str(candidates))
        self._rungs, self._random, self._good, self._candidates = (
            rungs,
            random_share,
            good,
            candidates,
        )
        self._results = HistoryCache(self._observe)

    def entrant(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        """The most promising new draw; ``None`` if the entrant is to be drawn uniformly."""
        if rng.random() < self._random:
            return None
        model = self._results.at(space, history).model(space, self._good)
        if model is None:
            return None
        drawn: dict[Architecture, None] = {}
        for _ in range(self._candidates):
            with suppress(SpaceError):  # the builder rejects the draw
                drawn[model.draw(space, rng)] = None
        new = [a for a in drawn if history.new(a)]
        if not new:
            return None
        scores = [float(score) for score in model.scores(space, new)]
        return Proposal(new[scores.index(max(scores))], note="of the density model")

    def _observe(self, space: Space, history: History) -> _Observations:
        return _Observations(self._rungs(history), len(space.decisions(space.default())), history)


class _Observations:
    """Results by rung, and the model of the highest rung with enough of them."""

    def __init__(self, epochs: Sequence[int], decisions: int, history: History) -> None:
        self.epochs, self.least = tuple(epochs), decisions + 1
        self._judge = History(history.objectives, history.limits)
        self._rungs = [Rung(history) for _ in epochs]
        self._broken: list[Architecture] = []
        self._model: Parzen | None = None

    def take(self, trial: Trial) -> None:
        place = rung_of(trial, self.epochs)
        if place is not None and finished(trial):
            self._rungs[place].add(trial)
            self._model = None
        elif trial.state is State.PRUNED and self._judge.violation(trial.metrics) > 0:
            self._broken.append(trial.architecture)
            self._model = None

    def model(self, space: Space, share: float) -> Parzen | None:
        """The density model; ``None`` while no rung has the paper's minimal number of results."""
        if self._model is None:
            for rung in reversed(self._rungs):
                if len(rung) >= self.least + 2:
                    ranked = [t.architecture for t in rung.ranked()]
                    good = max(self.least, int(share * len(ranked)))
                    bad = max(self.least, len(ranked) - good)
                    worse = ranked[len(ranked) - bad :] + self._broken
                    self._model = Parzen(
                        space, ranked[:good], worse, widening=_WIDENING, narrowest=_NARROWEST
                    )
                    break
        return self._model
