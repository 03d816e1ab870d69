"""Costs of candidates that are known before a trial, so that no surrogate has to learn them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..history.objective import Limit
from ..history.trial import History
from ..space.architecture import Architecture

Array = np.ndarray[Any, np.dtype[Any]]
#: For each known metric its values for some candidates, (n,); NaN where it cannot be computed.
Values = Mapping[str, Array]

#: Candidates that are evaluated at once, before their scores are compared with the rest.
_AT_ONCE = 16
#: Scores below this count as zero.
_LEAST = float(np.finfo(float).tiny)


class Exact:
    """Known costs of the candidates of one proposal, up to a maximal number of evaluations.

    If there are more candidates, they are evaluated in the order of the surrogate's scores, until
    one has an exact score as high as the surrogate's score of the rest (after the lazy evaluation
    of upper bounds in Minoux 1978, Accelerated Greedy Algorithms). Costs from other proposals are
    not reused, because a resumed study does not have them.
    """

    def __init__(self, history: History) -> None:
        costs, metrics = history.costs, {o.metric for o in history.objectives}
        metrics |= {limit.metric for limit in history.limits}
        self._costs = costs
        #: The metrics of objectives and limits that are known.
        self.names = tuple(n for n in costs.names if n in metrics) if costs else ()
        self._left = costs.looks if costs and self.names else 0
        self._known: dict[Architecture, Mapping[str, float]] = {}

    def of(self, architectures: Sequence[Architecture]) -> Values:
        """The known metrics of these architectures; all are evaluated, however many there are."""
        if not self.names or self._costs is None:
            return {}
        for architecture in architectures:
            if architecture not in self._known:
                self._known[architecture] = self._costs(architecture)
                self._left -= 1
        rows = [self._known[architecture] for architecture in architectures]
        return {name: np.array([row.get(name, np.nan) for row in rows]) for name in self.names}

    def order(
        self,
        candidates: Sequence[Architecture],
        believed: Array,
        score: Callable[[Array, Values], Array],
    ) -> list[int]:
        """Indices of the candidates, the most promising first.

        Those with an exact score of zero come last, after those that were not evaluated.

        Args:
            believed: scores by the surrogate alone, (m,).
            score: scores, (n,), of the candidates at some indices, given their known metrics.
        """
        order = np.argsort(-believed, kind="stable")
        # A climbing round starts from the best of the one before, whose costs are already known.
        known = np.array([candidates[place] in self._known for place in order], dtype=bool)
        order = np.concatenate([order[known], order[~known]])
        count = len(order) if len(order) <= self._left else int(known.sum())
        looked, promised = 0, np.zeros(0)
        while self.names:
            some = order[looked : looked + count]
            values = self.of([candidates[place] for place in some])
            promised = np.concatenate([promised, score(some, values)])
            looked += len(some)
            count = min(_AT_ONCE, self._left, len(order) - looked)
            if count <= 0 or promised.max(initial=0.0) >= max(believed[order[looked]], _LEAST):
                break
        best = np.argsort(-promised, kind="stable")
        good = int((promised > 0).sum())
        ranked = [order[:looked][best[:good]], order[looked:], order[:looked][best[good:]]]
        return [int(place) for part in ranked for place in part]


def kept(limit: Limit, values: Array, believed: Array) -> Array:
    """The probability (n,) of keeping a limit: 0 or 1 where the value is known, elsewhere
    ``believed``, (n,)."""
    keeps = values <= limit.bound if limit.sign == "<=" else values >= limit.bound
    probability: Array = np.where(np.isnan(values), believed, keeps)
    return probability
