"""BANANAS (White et al. 2021, BANANAS: Bayesian Optimization with Neural Architectures for Neural
Architecture Search, arXiv:1910.11858), and the same search by linear regression."""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

import numpy as np

from .._support.errors import InputError, SpaceError
from ..history.trial import History, Proposal, Trial
from ..predictor.ensemble import Array, Ensemble
from ..predictor.features import Features, features_of
from ..predictor.feedforward import FeedForward
from ..space.architecture import Architecture
from .base import HistoryCache, Strategy, sample_unseen
from .ranking import Ranking, normal_scores

if TYPE_CHECKING:
    from ..space import Space

#: Draws per requested candidate; some of them repeat earlier trials.
_DRAWS = 4
#: Successive mutations at most, until a candidate is new.
_STEPS = 3
#: The ensemble is fitted again when the trials have grown by one part in this many.
_GROWTH = 50


class _Mutating(Strategy):
    """Mutates the best trials, and proposes the mutant with the best random draw of an ensemble.

    The ensemble predicts the rank of a trial among all trials, as a normal score, so it treats
    objectives on any scale, several objectives and broken limits alike. Each candidate's score is
    drawn independently from the ensemble's mean and spread (independent Thompson sampling), so
    that parallel workers explore different mutants.
    """

    start: int
    candidates: int
    parents: int

    def __init__(self, start: int, candidates: int, parents: int) -> None:
        bounds = (("start", start, 2), ("candidates", candidates, 1), ("parents", parents, 1))
        for what, value, least in bounds:
            if value < least:
                raise InputError(f"{self.name}, {what}", f"{least} or more", str(value))
        self.start, self.candidates, self.parents = start, candidates, parents
        self._memo = HistoryCache(lambda space, history: _Predictor(space, history, self.ensemble))

    @abstractmethod
    def ensemble(self, rows: Array, scores: Array) -> _Ensemble:
        """Fit an ensemble to rows (n, columns) and their normal scores (n,)."""

    #: How many new trials the ensemble waits for before it is fitted again.
    every = 1

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        predictor = self._memo.at(space, history)
        trials = predictor.ranking.known()
        if len(trials) < self.start:
            return _random(space, history, rng)
        parents = predictor.ranking.best(trials, self.parents)
        mutants = self._mutants(space, history, parents, rng)
        if not mutants:
            return _random(space, history, rng)
        predictor.fit(trials, self.start, self.every)
        mean, spread = predictor.predict([architecture for architecture, _ in mutants])
        guess = [m + s * rng.gauss(0.0, 1.0) for m, s in zip(mean, spread, strict=True)]
        architecture, parent = mutants[int(np.argmax(guess))]
        return Proposal(architecture, note=f"mutation of trial {parent.number}")

    def _mutants(
        self, space: Space, history: History, parents: Sequence[Trial], rng: random.Random
    ) -> list[tuple[Architecture, Trial]]:
        mutants: dict[object, tuple[Architecture, Trial]] = {}
        for position in range(_DRAWS * self.candidates):
            parent = parents[position % len(parents)]
            architecture = parent.architecture
            with suppress(SpaceError):  # the builder rejects the mutant
                for _ in range(_STEPS):
                    architecture = space.mutate(architecture, rng)
                    if history.new(architecture):
                        mutants.setdefault(history.key(architecture), (architecture, parent))
                        break
            if len(mutants) == self.candidates:
                break
        return list(mutants.values())


class Bananas(_Mutating):
    """Ranks mutants of the best trials by an ensemble of networks over path encodings.

    As in the paper: five networks of ten layers of 20 units, trained by Adam on the mean absolute
    error; ten random architectures first, and another fit after every ten; independent Thompson
    sampling over mutants. Paths are what the space's builder gives as graph features (the
    NAS-Bench-101 and -201 spaces do); for other spaces the decisions are encoded.
    Unlike in the paper, networks learn normal scores of the ranking instead of errors, and a graph
    that was already tried in another encoding is not proposed.

    Args:
        start: proposals are random until this many trials have ended with metrics.
        candidates: number of mutants compared for each proposal.
        parents: how many of the best trials are mutated.
        steps: steps of Adam in each fit.

    Raises:
        InputError: an argument is out of range.
    """

    name = "bananas"
    every = 10

    def __init__(
        self, start: int = 10, candidates: int = 100, parents: int = 10, steps: int = 400
    ) -> None:
        super().__init__(start, candidates, parents)
        if steps < 1:
            raise InputError(f"{self.name}, steps", "1 or more", str(steps))
        self.steps = steps

    def ensemble(self, rows: Array, scores: Array) -> _Ensemble:
        return _Networks(FeedForward(rows, scores, seed=len(scores), steps=self.steps))


class LinearThompson(_Mutating):
    """BANANAS with Bayesian linear regression in closed form instead of networks.

    It costs about a hundredth as much and is fitted after every trial. In docs/benchmarks.md it is
    called ``bananas`` in measurements before 2026-11-28.

    Args:
        start, candidates, parents: as of :class:`Bananas`.
        noise: variance of the regression's error; larger values explore more.

    Raises:
        InputError: an argument is out of range.
    """

    name = "linear-thompson"

    def __init__(
        self, start: int = 10, candidates: int = 100, parents: int = 10, noise: float = 0.5
    ) -> None:
        super().__init__(start, candidates, parents)
        if not noise > 0.0:
            raise InputError(f"{self.name}, noise", "a number above 0", f"{noise:g}")
        self.noise = noise

    def ensemble(self, rows: Array, scores: Array) -> _Ensemble:
        return Ensemble(rows, scores, self.noise)


class _Ensemble(Protocol):
    def predict(self, rows: Array) -> tuple[Array, Array]:
        """Mean and spread for each row, each of shape (n,)."""


class _Networks:
    def __init__(self, networks: FeedForward) -> None:
        self.networks = networks

    def predict(self, rows: Array) -> tuple[Array, Array]:
        outputs = self.networks.predict(rows)
        return outputs.mean(axis=0), outputs.std(axis=0)


def _random(space: Space, history: History, rng: random.Random) -> Proposal | None:
    architecture = sample_unseen(space, history, lambda: space.sample(rng))
    return Proposal(architecture, note="random") if architecture else None


class _Predictor:
    """The ensemble for a history, fitted again as it grows."""

    def __init__(
        self, space: Space, history: History, learn: Callable[[Array, Array], _Ensemble]
    ) -> None:
        self._learn = learn
        self.ranking = Ranking(space, history)
        self._features: Features = features_of(space)
        self._fitted: list[int] = []
        self._names: list[str] = []
        self._ensemble: _Ensemble | None = None

    def take(self, trial: Trial) -> None:
        self.ranking.take(trial)

    def fit(self, trials: Sequence[Trial], start: int, every: int) -> None:
        """Fit to these trials, or to all but the last few if there are many.

        The selection depends only on their number, so that a resumed study fits to the same.

        Args:
            start: number of trials of the first fit.
            every: least number of trials between fits.
        """
        every = max(every, len(trials) // _GROWTH)
        trials = trials[: max(start, len(trials) - (len(trials) - start) % every)]
        numbers = [trial.number for trial in trials]
        if numbers == self._fitted:
            return
        ranked = self.ranking.best(trials, len(trials))
        architectures = [trial.architecture for trial in ranked]
        rows = self._features.matrix(architectures).astype(float)
        self._names = self._features.columns(architectures)
        self._ensemble = self._learn(rows, normal_scores(len(ranked)))
        self._fitted = numbers

    def predict(self, architectures: Sequence[Architecture]) -> tuple[Array, Array]:
        """Mean and spread of the normal score, each of shape (n,)."""
        assert self._ensemble is not None
        return self._ensemble.predict(
            self._features.aligned(architectures, self._names).astype(float)
        )
