"""What a surrogate need not learn: costs of candidates that are known before a trial."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..history.objective import Limit
from ..history.trial import History
from ..space.architecture import Architecture

Array = np.ndarray[Any, np.dtype[Any]]
#: For each known metric its value of some candidates, (n,); NaN where it cannot be told.
Values = Mapping[str, Array]

#: Candidates that are looked at before what they promise is held against the rest.
_AT_ONCE = 16
#: What promises less promises nothing.
_LEAST = float(np.finfo(float).tiny)


class Exact:
    """Known costs of the candidates of one proposal, of so many as it may look at.

    Where there are more candidates, those are looked at that a surrogate's belief puts first, until
    one is known to promise as much as is believed of the rest (after the lazy evaluation of upper
    bounds in Minoux 1978, Accelerated Greedy Algorithms). What was looked at in other proposals is
    not made use of: a resumed study does not have it.
    """

    def __init__(self, history: History) -> None:
        costs, wanted = history.costs, {o.metric for o in history.objectives}
        wanted |= {limit.metric for limit in history.limits}
        self._costs = costs
        #: The metrics of objectives and limits that are known.
        self.names = tuple(n for n in costs.names if n in wanted) if costs else ()
        self._left = costs.looks if costs and self.names else 0
        self._known: dict[Architecture, Mapping[str, float]] = {}

    def of(self, architectures: Sequence[Architecture]) -> Values:
        """What is known of these; they are looked at, however many there are."""
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
        """Places of the candidates, the most promising first.

        Those that are known to promise nothing come last, after those that were not looked at.

        Args:
            believed: what a surrogate alone promises of each, (m,).
            score: what candidates at some places promise, (n,), by what is known of them.
        """
        order = np.argsort(-believed, kind="stable")
        # A round of climbing goes on with the best of the one before, which cost no looks again.
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
    """The probability (n,) to keep a limit: 0 or 1 where the value is known, else what is believed
    of it."""
    keeps = values <= limit.bound if limit.sign == "<=" else values >= limit.bound
    probability: Array = np.where(np.isnan(values), believed, keeps)
    return probability
