"""The default: picks a strategy by the study and says which and why."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from ..history.trial import History, Proposal
from .base import Strategy

if TYPE_CHECKING:
    from ..space import Space

#: What the choice was measured on, as docs/benchmarks.md has it.
_MEASURED = "measured on the tables of docs/benchmarks.md"
#: Trials up to which a surrogate earns what its proposals cost (tens of milliseconds each);
#: pruned ones do not count, as they do not count in a budget.
_SURROGATE_TRIALS = 1000


class Auto(Strategy):
    """Picks by the number of trials done and of objectives; says size and budget beside that.

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
    """The strategy's name for the next proposal, and what that goes by: trials done, objectives,
    budget, size of the space, and the measurement behind the rule."""
    size, budget, count = space.size(), history.budget, len(history.objectives)
    goals = "one objective" if count == 1 else f"{count} objectives"
    planned = "no number of trials is set" if budget is None else f"{budget:,} trials are planned"
    beside = f", {history.workers} at a time" if history.workers > 1 else ""
    facts = f"{planned}{beside} among {size} architectures, {goals}"
    if len(history) - len(history.pruned) >= _SURROGATE_TRIALS:
        dear = f"{_SURROGATE_TRIALS:,} trials are done, and a surrogate is slow beyond that"
        return "nsga2" if count > 1 else "genetic", f"{dear}; {facts} ({_MEASURED})"
    return "bayesian", f"{facts}, and it needed the fewest trials ({_MEASURED})"
