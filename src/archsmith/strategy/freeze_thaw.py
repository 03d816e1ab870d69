"""Freeze-thaw search: the next second is spent where it promises the largest improvement.

After freeze-thaw Bayesian optimisation (Swersky et al. 2014, arXiv:1406.3896) and its successors
DyHPO (Wistuba et al. 2022, arXiv:2202.09774) and ifBO (Rakotoarison et al. 2024,
arXiv:2404.16795), with processes in closed form in place of their networks, and short trainings
valued as options on long ones.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .._support.errors import InputError
from ..history.trial import Fidelity, History, Proposal
from .base import HistoryCache, Strategy, sample_unseen
from .candidates import around
from .moment import Moment
from .rungs import check_ladder, ladder, leftover, promotion
from .standing import MODELLED, Standing

if TYPE_CHECKING:
    from ..space import Space

#: Rounds of hill climbing in a space that is not listed, and starting points.
_ROUNDS, _CLIMBERS = 2, 3


class FreezeThaw(Strategy):
    """Starts new architectures with few epochs, or continues one with more, whichever promises the
    larger improvement a second.

    A Gaussian process for each number of epochs has the one below as its trend, so that it learns
    how much short trainings tell of long ones. A full training is worth its expected improvement
    for each second that it takes. A short one is worth what it may show: an option on the full
    training, taken up only where the result is good enough to pay for it
    (:func:`~archsmith.strategy.acquisition.option_rate`). Seconds are learned from those recorded
    in the history, and whether a training goes on from kept weights or starts again is told by what
    continued ones took. Without recorded seconds, epochs are the cost.

    Limits are treated as by :class:`~archsmith.strategy.bayesian.BayesianOptimization`.

    Args:
        eta: ratio of the epochs of neighbouring levels.
        min_epochs: epochs of the lowest level.
        start: random architectures at the lowest level before the first model.

    Raises:
        InputError: an argument is out of range.
    """

    name = "freeze-thaw"
    promotes = True
    several_objectives = False

    def __init__(self, eta: float = 10, min_epochs: int = 1, start: int = 20) -> None:
        check_ladder(self.name, eta, min_epochs)
        if start < 2:
            raise InputError(f"{self.name}: start", "2 or more", str(start))
        self.eta, self.min_epochs, self.start = eta, min_epochs, start
        self._memo = HistoryCache(self._make)

    def check(self, space: Space, history: History) -> None:
        super().check(space, history)
        self._rungs(history)

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        state = self._memo.at(space, history)
        rungs = state.rungs
        if len(state.results[0]) < self.start:
            return _entrant(space, history, rungs, rng)
        if (riser := state.riser(history)) is not None:
            return promotion(riser[0], rungs[riser[1]])
        if min(map(len, state.results)) < MODELLED:  # results of running trials are waited for
            return _entrant(space, history, rungs, rng)
        pool, places = state.pool(space, history, rng)
        moment = Moment(space, history, state, pool, places)
        order = moment.order()
        if places is None:
            for _ in range(_ROUNDS):
                top = [moment.pool[i] for i, _ in order[:_CLIMBERS]]
                near = around(space, history, top, rng)
                wider = [*state.tried.values(), *(a for a in [*top, *near] if history.new(a))]
                moment = Moment(space, history, state, list(dict.fromkeys(wider)), None)
                order = moment.order()
        if not order:
            return leftover(history, rungs[-1])
        index, place = order[0]
        trial = state.newest.get(history.key(moment.pool[index]))
        if trial is not None:
            return promotion(trial, rungs[place])
        note = f"most improvement a second, by {rungs[place]} epochs"
        return Proposal(moment.pool[index], Fidelity(epochs=rungs[place]), note)

    def _rungs(self, history: History) -> tuple[int, ...]:
        return ladder(self.name, history.epochs, self.eta, self.min_epochs)

    def _make(self, space: Space, history: History) -> Standing:
        return Standing(space, history, self._rungs(history))


def _entrant(
    space: Space, history: History, rungs: Sequence[int], rng: random.Random
) -> Proposal | None:
    drawn = sample_unseen(space, history, lambda: space.sample(rng))
    if drawn is None:
        return leftover(history, rungs[-1])
    return Proposal(drawn, Fidelity(epochs=rungs[0]), "random")
