"""The expected cost of a mixture, as a function of its weights: for budgets in the loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ...space.architecture import Answer, Architecture
from ...space.decision import Categorical
from .reading import Relaxed

if TYPE_CHECKING:
    from ...space import Space


class ExpectedCost:
    """The expected cost of a random architecture, if each option were drawn by its mixing weight.

    The cost of an option is found by changing one decision at a time from the default
    architecture: a base and the sum of the differences. That is exact for costs that add up, as
    parameters and FLOPs do where no choice changes the sizes that another one uses.

    Args:
        space: of the architectures.
        relaxed: the decisions that are mixed.
        inside: for each, the decisions and labels inside which it is asked, from the outside in.
        cost: of an architecture; called once for each option.
        limit: the cost not to be exceeded.

    Raises:
        SpaceError: an option that the builder refuses with the defaults of the others.
    """

    def __init__(
        self,
        space: Space,
        relaxed: Mapping[str, Relaxed],
        inside: Mapping[str, tuple[tuple[str, str], ...]],
        cost: Callable[[Architecture], float],
        limit: float,
    ) -> None:
        self.space, self.limit = space, limit
        self.relaxed, self._inside = dict(relaxed), dict(inside)
        cached: dict[Architecture, float] = {}

        def cached_cost(architecture: Architecture) -> float:
            if architecture not in cached:
                cached[architecture] = cost(architecture)
            return cached[architecture]

        self.base = cached_cost(space.default())
        #: Differences by decision: a constant, and one for each option.
        self.costs: dict[str, tuple[float, tuple[float, ...]]] = {}
        for name, decision in self.relaxed.items():
            self.costs[name] = self._differences(decision, cached_cost)

    def __call__(self, weights: Mapping[str, Tensor]) -> Tensor:
        """The expected cost, ().

        Args:
            weights: (options,) by decision; of one choice they sum to 1, of a subset to its size.
        """
        first = next(iter(weights.values()))
        total = first.new_tensor(self.base)
        for name, (constant, costs) in self.costs.items():
            part = (weights[name] * weights[name].new_tensor(costs)).sum() + constant
            for outer, label in self._inside[name]:
                part = part * weights[outer][_labels(self.relaxed[outer]).index(label)]
            total = total + part
        return total

    def penalty(self, weights: Mapping[str, Tensor]) -> Tensor:
        """The excess of the expected cost over the limit, relative to it; 0 within, ()."""
        return torch.relu(self(weights) / self.limit - 1.0)

    def _differences(
        self, decision: Relaxed, cost: Callable[[Architecture], float]
    ) -> tuple[float, tuple[float, ...]]:
        """Costs relative to the default answer's, where the options around it are taken."""
        around: dict[str, Answer] = {}
        for outer, label in self._inside[decision.name]:
            around[outer] = _answer_with(self.relaxed[outer], label)

        def of(answer: Answer) -> float:
            return cost(self.space.complete({**around, decision.name: answer}))

        start = of(decision.default)
        if isinstance(decision, Categorical):
            return 0.0, tuple(of(option) - start for option in decision.options)
        assert isinstance(decision.default, tuple)
        answers = [decision.default, *decision.near(decision.default)]
        rows = [[1.0, *(float(label in a) for label in decision.labels)] for a in answers]  # type: ignore[operator]
        # With a single size, costs are known up to a constant; the smallest solution will do.
        solved = np.linalg.lstsq(np.array(rows), np.array([of(a) - start for a in answers]))[0]
        return float(solved[0]), tuple(map(float, solved[1:]))


def _labels(decision: Relaxed) -> tuple[Answer, ...]:
    return decision.options if isinstance(decision, Categorical) else decision.labels


def _answer_with(decision: Relaxed, label: str) -> Answer:
    """An answer that includes the label: the default if it does."""
    if isinstance(decision, Categorical):
        return label
    default = decision.default
    assert isinstance(default, tuple)
    if label in default:
        return default
    size = len(default) or next(size for size in decision.sizes if size)
    chosen = {label, *default[: size - 1]}
    return tuple(item for item in decision.labels if item in chosen)
