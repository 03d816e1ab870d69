"""The default: picks a strategy by the study and says which and why."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from ..trial import History, Proposal
from .base import Strategy

if TYPE_CHECKING:
    from ..space import Space

#: Trials up to which a surrogate earns what its proposals cost (tens of milliseconds each);
#: pruned ones do not count, as they do not count in a budget.
_SURROGATE_TRIALS = 1000


class Auto(Strategy):
    """Picks by space size, budget, number of objectives and trials done.

    A Gaussian process proposes as long as its proposals, which grow dearer with the trials, are
    cheap beside what they save, also where the budget covers the space: then the order matters.
    After that many trials evolution goes on from what was found: the genetic one for one objective,
    NSGA-II for several. docs/benchmarks.md has the measurements behind the choice.
    """

    name = "auto"

    def __init__(self) -> None:
        self._made: dict[str, Strategy] = {}

    def describe(self, space: Space, history: History) -> str:
        name, why = pick(space, history)
        return f"auto: {name}, because {why}"

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        from . import strategies

        name, _ = pick(space, history)
        if name not in self._made:
            self._made[name] = strategies.get(name)()
        return self._made[name].propose(space, history, rng)


def pick(space: Space, history: History) -> tuple[str, str]:
    """The strategy's name for the next proposal, and why it is that."""
    size, budget = space.size(), history.budget
    several = len(history.objectives) > 1
    surrogate = "bayesian"
    after = "nsga2" if several else "genetic"
    if len(history) - len(history.pruned) >= _SURROGATE_TRIALS:
        return after, f"{_SURROGATE_TRIALS:,} trials are done, and a surrogate is slow beyond that"
    planned = "no number of trials is set" if budget is None else f"{budget:,} trials are planned"
    beside = f", {history.workers} at a time" if history.workers > 1 else ""
    return surrogate, f"{planned}{beside} among {size} architectures, and it needs the fewest"
