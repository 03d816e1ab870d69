"""Chooses what a study tries next."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from .._support.errors import SpaceError
from ..history.trial import History, Proposal
from ..strategy.base import Strategy
from .interrupts import Interrupted
from .seeds import seed_of

if TYPE_CHECKING:
    from ..space import Space

#: Attempts to propose an architecture before a builder that raises stops the study.
DRAWS = 20


def propose(
    strategy: Strategy, space: Space, history: History, seed: int, number: int
) -> Proposal | None:
    """The strategy's proposal for a trial, from random generators of its own.

    Raises:
        SpaceError: the builder raised at every attempt.
    """
    for attempt in range(DRAWS):
        rng = random.Random(seed_of(seed, number, f"proposal.{attempt}"))
        try:
            return strategy.propose(space, history, rng)
        except SpaceError as error:
            # Some architectures cannot be built; a proposal that leads to one is repeated.
            failure = error
        except KeyboardInterrupt as error:
            # Interrupts are held back here, so the builder raised this one itself.
            if isinstance(error, Interrupted):
                raise
            failure = SpaceError(space.name, "a builder that returns", repr(error))
    raise failure
