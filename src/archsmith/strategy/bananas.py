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

#: Draws for each candidate that is wanted; the others repeat what was tried.
_DRAWS = 4
#: Mutations in a row until a candidate is new.
_STEPS = 3
#: The ensemble is fitted again when the trials have grown by one in so many.
_GROWTH = 50


class _Mutating(Strategy):
    """Mutates the best found, and takes the mutant that a random guess of an ensemble likes best.

    The ensemble predicts where a trial would stand in the ranking of them all, as a normal score:
    so objectives on any scale, several of them, and broken limits are one and the same to it. Each
    candidate's score is drawn by itself from the ensemble's mean and spread there (independent
    Thompson sampling), so parallel workers go apart.
    """

    start: int
    candidates: int
    parents: int

    def __init__(self, start: int, candidates: int, parents: int) -> None:
        wanted = (("start", start, 2), ("candidates", candidates, 1), ("parents", parents, 1))
        for what, value, least in wanted:
            if value < least:
                raise InputError(f"{self.name}, {what}", f"{least} or more", str(value))
        self.start, self.candidates, self.parents = start, candidates, parents
        self._memo = HistoryCache(lambda space, history: _Predictor(space, history, self.ensemble))

    @abstractmethod
    def ensemble(self, rows: Array, scores: Array) -> _Ensemble:
        """What is learned from rows (n, columns) and their normal scores (n,)."""

    #: How many new trials the ensemble waits for before it is fitted again.
    every = 1

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        predictor = self._memo.at(space, history)
        known = predictor.ranking.known()
        if len(known) < self.start:
            return _random(space, history, rng)
        parents = predictor.ranking.best(known, self.parents)
        mutants = self._mutants(space, history, parents, rng)
        if not mutants:
            return _random(space, history, rng)
        predictor.fit(known, self.start, self.every)
        mean, spread = predictor.predict([architecture for architecture, _ in mutants])
        guess = [m + s * rng.gauss(0.0, 1.0) for m, s in zip(mean, spread, strict=True)]
        architecture, parent = mutants[int(np.argmax(guess))]
        return Proposal(architecture, note=f"mutation of trial {parent.number}")

    def _mutants(
        self, space: Space, history: History, parents: Sequence[Trial], rng: random.Random
    ) -> list[tuple[Architecture, Trial]]:
        found: dict[object, tuple[Architecture, Trial]] = {}
        for position in range(_DRAWS * self.candidates):
            parent = parents[position % len(parents)]
            architecture = parent.architecture
            with suppress(SpaceError):  # the builder refuses the mutant
                for _ in range(_STEPS):
                    architecture = space.mutate(architecture, rng)
                    if history.new(architecture):
                        found.setdefault(history.key(architecture), (architecture, parent))
                        break
            if len(found) == self.candidates:
                break
        return list(found.values())


class Bananas(_Mutating):
    """An ensemble of feed-forward networks over path encodings judges mutants of the best.

    As in the paper: five networks of ten layers of 20 units, trained by Adam on the mean absolute
    error; ten random architectures first, and another fit after every ten; independent Thompson
    sampling over mutants. Paths are what the space's builder gives as graph features (the
    NAS-Bench-101 and -201 spaces do); other spaces are read by the encoding of their decisions.
    Beyond the paper: networks learn normal scores of the ranking instead of errors, and a graph
    that was tried in another spelling is not proposed.

    Args:
        start: draws are random until as many trials have ended with metrics to go by.
        candidates: mutants that are compared for each proposal.
        parents: how many of the best trials are mutated.
        steps: of Adam in each fit.
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
    """As BANANAS, with Bayesian linear regression, in closed form, in place of the networks.

    It costs about a hundredth and is fitted after every trial. docs/benchmarks.md has it as
    ``bananas`` in what was measured before 2026-11-28.

    Args:
        start, candidates, parents: as of :class:`Bananas`.
        noise: variance of the regression's error; more explores more.
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
        found = self.networks.predict(rows)
        return found.mean(axis=0), found.std(axis=0)


def _random(space: Space, history: History, rng: random.Random) -> Proposal | None:
    architecture = sample_unseen(space, history, lambda: space.sample(rng))
    return Proposal(architecture, note="random") if architecture else None


class _Predictor:
    """The ensemble for a history, fitted anew as it grows."""

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

    def fit(self, known: Sequence[Trial], start: int, every: int) -> None:
        """Fit to the known trials; to all but the last few where there are many.

        Which ones is a function of their number, so that a resumed study fits to the same.

        Args:
            start: trials of the first fit.
            every: trials from a fit to the next, at least.
        """
        every = max(every, len(known) // _GROWTH)
        known = known[: max(start, len(known) - (len(known) - start) % every)]
        numbers = [trial.number for trial in known]
        if numbers == self._fitted:
            return
        ranked = self.ranking.best(known, len(known))
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
