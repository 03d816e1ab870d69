"""Inspects each architecture once: whether it works, what it costs, what it computes."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from .._support.trees import example_of, spec_of
from ..evaluate.base import Evaluator, Price, TrialFailed, Watch
from ..evaluate.trace import Trace, alike
from ..hardware.cost import STATIC, cost
from ..history.trial import Fidelity
from ..space import Architecture
from ..study.faults import FaultFinder

if TYPE_CHECKING:
    from torch import nn

    from ..task.problem import Problem

#: Batch size of a second pass that must run too: some models work only for a batch of one.
_BATCH = 2


class Inspector(Evaluator):
    """Builds and runs each architecture once, on ``meta`` where it can.

    As an evaluator it gives the static costs of :func:`~archsmith.hardware.cost.cost`.

    Raises:
        BuilderError: the builder rejects its own defaults.
    """

    name = "inspector"
    price = Price.STATIC

    def __init__(self, problem: Problem, seed: int) -> None:
        self.space, self._seed = problem.space, seed
        self.inputs = spec_of(problem.example())
        self.costs: dict[Architecture, dict[str, float]] = {}
        self._signatures: dict[Architecture, str] = {}
        self._alike: dict[frozenset[Architecture], bool] = {}
        #: Whether a pass of more than one example is tried too, which doubles the time.
        self.batched = True
        self.faults = FaultFinder(problem.space, self._check, random.Random(f"{seed}/start"))

    @property
    def provides(self) -> tuple[str, ...]:
        return STATIC

    def evaluate(
        self, architecture: Architecture, fidelity: Fidelity, seed: int, watch: Watch
    ) -> dict[str, float]:
        if not self.faults.works(architecture):
            raise TrialFailed("it does not build or run")
        return self.costs[architecture]

    def same(self, one: Architecture, two: Architecture) -> bool:
        """Whether two architectures build the same network.

        They do if the space's own canonical form says so, or if the graphs of their forward
        passes are equal and so is what a graph cannot show (constants, spread of weights) in
        two models built with the same seed.
        """
        if self.space.canonical(one) == self.space.canonical(two):
            return True
        if not (self.faults.works(one) and self.faults.works(two)):
            return False
        if self._signatures[one] != self._signatures[two]:
            return False
        pair = frozenset((one, two))
        if pair not in self._alike:
            models = [self.space.build(a, device="cpu", seed=0) for a in (one, two)]
            self._alike[pair] = alike(*models)
        return self._alike[pair]

    def signature(self, architecture: Architecture) -> str | None:
        """Equal for architectures that may build the same network; ``None`` for a broken one."""
        works = self.faults.works(architecture)
        return self._signatures[architecture] if works else None

    def _check(self, model: nn.Module, architecture: Architecture) -> None:
        device = next((t.device.type for t in model.parameters()), "cpu")
        if self.batched:
            cost(model, example_of(self.inputs, _BATCH, device))
        trace = Trace()
        example = example_of(self.inputs, 1, device)
        self.costs[architecture] = cost(model, example, trace.listen)
        self._signatures[architecture] = trace.signature(model)


__all__ = ["Inspector"]
