"""BANANAS (White et al. 2021, BANANAS: Bayesian Optimization with Neural Architectures for Neural
Architecture Search, arXiv:1910.11858)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError, SpaceError
from ..predictor.ensemble import Array, Ensemble
from ..predictor.features import Features, features_of
from ..space.architecture import Architecture
from ..trial import History, Proposal, Trial
from .base import Memo, Strategy, fresh
from .ranking import Ranking, normal_scores

if TYPE_CHECKING:
    from ..space import Space

#: Draws for each candidate that is wanted; the others repeat what was tried.
_DRAWS = 4
#: Mutations in a row until a candidate is new.
_STEPS = 3
#: The ensemble is fitted again when the trials have grown by one in so many.
_GROWTH = 50


class Bananas(Strategy):
    """Mutates the best found, and takes the mutant that a random guess of an ensemble likes best.

    The ensemble (:class:`~archsmith.predictor.ensemble.Ensemble`) reads the encoding of the
    decisions and, where the space's builder gives them, graph features such as the paper's paths.
    It predicts where a trial would stand in the ranking of them all, as a normal score: so
    objectives on any scale, several of them, and broken limits are one and the same to it. Each
    candidate's score is drawn from the ensemble's mean and spread there by itself (independent
    Thompson sampling), so parallel workers go apart.

    Args:
        start: draws are random until as many trials have ended with metrics to go by.
        candidates: mutants that are compared for each proposal.
        parents: how many of the best trials are mutated.
        noise: variance of the ensemble's error; more explores more.
    """

    name = "bananas"

    def __init__(
        self, start: int = 10, candidates: int = 100, parents: int = 10, noise: float = 0.5
    ) -> None:
        wanted = (("start", start, 2), ("candidates", candidates, 1), ("parents", parents, 1))
        for what, value, least in wanted:
            if value < least:
                raise InputError(f"bananas, {what}", f"{least} or more", str(value))
        if not noise > 0.0:
            raise InputError("bananas, noise", "a number above 0", f"{noise:g}")
        self.start, self.candidates, self.parents, self.noise = start, candidates, parents, noise
        self._memo = Memo(_Predictor)

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        predictor = self._memo.at(space, history)
        known = predictor.ranking.known()
        if len(known) < self.start:
            return _random(space, history, rng)
        parents = predictor.ranking.best(known, self.parents)
        mutants = self._mutants(space, history, parents, rng)
        if not mutants:
            return _random(space, history, rng)
        predictor.fit(known, self.noise)
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


def _random(space: Space, history: History, rng: random.Random) -> Proposal | None:
    architecture = fresh(space, history, lambda: space.sample(rng))
    return Proposal(architecture, note="random") if architecture else None


class _Predictor:
    """The ensemble for a history, fitted anew as it grows."""

    def __init__(self, space: Space, history: History) -> None:
        self.ranking = Ranking(space, history)
        self._features: Features = features_of(space)
        self._fitted: list[int] = []
        self._names: list[str] = []
        self._ensemble: Ensemble | None = None

    def take(self, trial: Trial) -> None:
        self.ranking.take(trial)

    def fit(self, known: Sequence[Trial], noise: float) -> None:
        """Fit to the known trials; to all but the last few where there are many.

        Which ones is a function of their number, so that a resumed study fits to the same.
        """
        known = known[: len(known) - len(known) % max(1, len(known) // _GROWTH)]
        numbers = [trial.number for trial in known]
        if numbers == self._fitted:
            return
        ranked = self.ranking.best(known, len(known))
        architectures = [trial.architecture for trial in ranked]
        rows = self._features.matrix(architectures).astype(float)
        self._names = self._features.columns(architectures)
        self._ensemble = Ensemble(rows, normal_scores(len(ranked)), noise)
        self._fitted = numbers

    def predict(self, architectures: Sequence[Architecture]) -> tuple[Array, Array]:
        """Mean and spread of the normal score, each of shape (n,)."""
        assert self._ensemble is not None
        return self._ensemble.predict(
            self._features.aligned(architectures, self._names).astype(float)
        )
