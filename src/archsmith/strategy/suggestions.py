"""Decisions as parameters of define-by-run optimisers: numbers and categories."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..space.architecture import Answer
from ..space.decision import Decision, Integer, Real, Subset


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter: one of ``choices`` (by index) if that is not 0, else a number from a range.

    Its name includes its domain: a decision's name may have several domains, but Optuna allows only
    one per name.
    """

    name: str
    choices: int = 0
    low: float = 0
    high: float = 0
    whole: bool = False
    step: int = 1
    log: bool = False

    def distribution(self, distributions: Any) -> Any:
        """The parameter's distribution, from ``optuna.distributions``."""
        if self.choices:
            return distributions.CategoricalDistribution(tuple(range(self.choices)))
        if self.whole:
            return distributions.IntDistribution(self.low, self.high, self.log, self.step)
        return distributions.FloatDistribution(self.low, self.high, self.log)

    def suggest(self, trial: Any) -> Any:
        """Ask an Optuna trial for a value."""
        if self.choices:
            return trial.suggest_categorical(self.name, tuple(range(self.choices)))
        if self.whole:
            return trial.suggest_int(self.name, self.low, self.high, step=self.step, log=self.log)
        return trial.suggest_float(self.name, self.low, self.high, log=self.log)


def parameters(decision: Decision) -> list[Parameter]:
    """The parameters of a decision: none if it has only one answer."""
    name, count = f"{decision.name}: {decision.describe()}", decision.cardinality
    if count == 1:
        return []
    if isinstance(decision, Integer):
        high = decision.low + decision.step * (decision.cardinality - 1)
        # Optuna has no steps on a logarithmic scale, so values are rounded to them afterwards.
        step = 1 if decision.log else decision.step
        return [Parameter(name, 0, decision.low, high, True, step, decision.log)]
    if isinstance(decision, Real):
        return [Parameter(name, 0, decision.low, decision.high, log=decision.log)]
    if isinstance(decision, Subset) and not decision.listed:
        return [Parameter(f"{name}, {label}", 2) for label in decision.labels]
    return [Parameter(name, choices=count or 0)]


def read(decision: Decision, values: Sequence[Any], rng: random.Random) -> Answer:
    """The answer for suggested values. Subsets of a forbidden size are repaired with ``rng``."""
    if not values:
        return next(decision.answers()) if decision.cardinality == 1 else decision.default
    if isinstance(decision, Integer):
        steps = round((int(values[0]) - decision.low) / decision.step)
        return decision.low + decision.step * min(max(steps, 0), decision.cardinality - 1)
    if isinstance(decision, Real):
        return min(max(float(values[0]), decision.low), decision.high)
    if isinstance(decision, Subset) and not decision.listed:
        return _repaired(decision, [i for i, included in enumerate(values) if included], rng)
    return list(decision.answers())[int(values[0])]


def write(decision: Decision, answer: Answer) -> list[Any]:
    """The values for an answer: the inverse of :func:`read`."""
    if decision.cardinality == 1:
        return []
    if isinstance(decision, Integer | Real):
        return [answer]
    if isinstance(decision, Subset) and not decision.listed:
        assert isinstance(answer, tuple)
        return [int(label in answer) for label in decision.labels]
    return [list(decision.answers()).index(answer)]


def _repaired(decision: Subset, inside: list[int], rng: random.Random) -> tuple[Answer, ...]:
    """The nearest subset of an allowed size: labels are dropped or added at random."""
    size = min(decision.sizes, key=lambda k: abs(k - len(inside)))
    outside = [i for i in range(len(decision.labels)) if i not in inside]
    kept = rng.sample(inside, min(size, len(inside)))
    kept += rng.sample(outside, size - len(kept))
    return tuple(decision.labels[i] for i in sorted(kept))
