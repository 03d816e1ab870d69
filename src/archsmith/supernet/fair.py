"""Strict fairness: each update trains each answer of each decision equally often."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from .._support.errors import InputError
from ..space.architecture import Answer, Architecture
from ..space.decision import Decision
from .method import Moment, SampledMethod, SampledPath, Sampler


class Fair(Sampler):
    """Draws without replacement: each decision has a shuffled deck of its answers.

    An update has as many paths as the decision with the most listed answers has answers, so that
    this one's deck is used up exactly. Decks of decisions with fewer answers are reshuffled when
    they are empty; what is left of them is used in the next update, as is what is left of decisions
    that not all paths ask. Hence no answer is ever two draws ahead of another. Ranges too long to
    list are drawn at random.

    Args:
        paths: the number of paths in an update, instead; fewer spread the same fairness over
            several updates.
    """

    #: Each option gets the gradient of its own paths, as if it were trained alone.
    averaged = False

    def __init__(self, paths: int | None = None) -> None:
        if paths is not None and paths < 1:
            raise InputError("fairnas, paths", "1 or more", str(paths))
        self._count = paths
        self._decks: dict[str, list[int]] = {}

    def begin(self) -> None:
        self._decks = {}

    def paths(self, now: Moment) -> list[SampledPath]:
        drawn: list[SampledPath] = []
        most = 1
        # Decisions with more answers may only come up on the way.
        while len(drawn) < (self._count or most):
            architecture, widest = self._draw(now)
            drawn.append(SampledPath(architecture))
            most = max(most, widest)
        return drawn

    def state(self) -> dict[str, Any]:
        return {"decks": self._decks}

    def load_state(self, state: dict[str, Any]) -> None:
        self._decks = state["decks"]

    def _draw(self, now: Moment) -> tuple[Architecture, int]:
        widest = 1

        def policy(decision: Decision, _: Mapping[str, Answer]) -> Answer:
            nonlocal widest
            if not decision.listed:
                return decision.draw(now.rng)
            answers = list(decision.answers())
            widest = max(widest, len(answers))
            return answers[self._next(decision, len(answers), now.rng)]

        return now.draw(policy), widest

    def _next(self, decision: Decision, count: int, rng: random.Random) -> int:
        # One name may stand for several domains, in a space with conditions.
        deck = self._decks.setdefault(f"{decision.name} {decision.describe()}", [])
        if not deck:
            deck.extend(range(count))
            rng.shuffle(deck)
        return deck.pop()


class FairNAS(SampledMethod):
    """FairNAS (Chu et al. 2019, arXiv:1907.01845): strict fairness, gradients summed.

    Args:
        paths: see :class:`Fair`.
    """

    name = "fairnas"

    def __init__(self, paths: int | None = None) -> None:
        super().__init__(Fair(paths))
