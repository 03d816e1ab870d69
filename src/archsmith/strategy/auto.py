"""The default strategy: chooses another one for the study, and says which and why."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from ..history.trial import Fidelity, History, Proposal
from .base import Strategy
from .race import Race

if TYPE_CHECKING:
    from ..space import Space

#: The evidence for the choice; see docs/benchmarks.md.
_MEASURED = "measured on the tables of docs/benchmarks.md"
#: Number of trials up to which a surrogate is worth its proposals (tens of milliseconds each);
#: pruned trials do not count, as in a budget.
_SURROGATE_TRIALS = 1000
#: With fewer trials than this a surrogate learns nothing: they go to neighbours of the best one,
#: beginning with the default architecture, which is better than most random ones.
_FEW_TRIALS = 12


class Auto(Strategy):
    """Chooses a strategy by the number of trials done and the number of objectives.

    Where a limited time was divided into rungs, mutants of the best race against it. With a handful
    of trials, one objective and no limit, neighbours of the best trial are tried.
    Otherwise a Gaussian process proposes as long as its proposals, which take longer with more
    trials, are cheap compared with what they save, even if the budget covers the space: then the
    order still matters. After that an evolutionary strategy continues from the trials so far:
    ``genetic`` for one objective, ``nsga2`` for several. docs/benchmarks.md has the measurements.

    Args:
        rungs: whether trials are to rise on rungs, which a search does in a limited time.
    """

    name = "auto"

    def __init__(self, rungs: bool = False) -> None:
        self.promotes = rungs
        self._strategies: dict[str, Strategy] = {}

    def entry(self, history: History) -> Fidelity | None:
        return Race().entry(history) if self.promotes else None

    def describe(self, space: Space, history: History) -> str:
        name, why = pick(space, history, self.promotes)
        return f"auto: {name}, because {why}"

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        from . import strategies

        name, _ = pick(space, history, self.promotes)
        if name not in self._strategies:
            kind = strategies.get(name)
            # The first trial is the default architecture already.
            self._strategies[name] = kind(initial=1) if name == "local-search" else kind()
        return self._strategies[name].propose(space, history, rng)


def pick(space: Space, history: History, rungs: bool = False) -> tuple[str, str]:
    """The name of the strategy for the next proposal, and the reason: trials done, objectives,
    budget, size of the space, and the evidence behind the rule."""
    size, budget, count = space.size(), history.budget, len(history.objectives)
    goals = "one objective" if count == 1 else f"{count} objectives"
    planned = "no number of trials is set" if budget is None else f"{budget:,} trials are planned"
    parallel = f", {history.workers} at a time" if history.workers > 1 else ""
    facts = f"{planned}{parallel} among {size} architectures, {goals}"
    if rungs:
        return "race", f"trials of equal time rise on rungs; {facts}"
    if len(history) - len(history.pruned) >= _SURROGATE_TRIALS:
        reason = f"{_SURROGATE_TRIALS:,} trials are done, and a surrogate is slow beyond that"
        return "nsga2" if count > 1 else "genetic", f"{reason}; {facts} ({_MEASURED})"
    if budget is not None and budget < _FEW_TRIALS and count == 1 and not history.limits:
        return "local-search", f"{facts}, which are too few for a surrogate"
    return "bayesian", f"{facts}, and it needed the fewest trials ({_MEASURED})"
