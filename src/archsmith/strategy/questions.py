"""Decomposes decisions into draws from short lists, which are all that a policy has to learn."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import NamedTuple

from ..space.architecture import Answer
from ..space.decision import Decision, Integer, Real, Subset

#: Number of bins of a range that is too long to be handled value by value.
BINS = 8


class Question(NamedTuple):
    """One draw.

    Attributes:
        key: the decision's name, with the label if it is about one label of a subset.
        arms: the possible draws.
        prior: unnormalised log-probabilities of the arms under an untrained policy.
    """

    key: str
    arms: tuple[Answer, ...]
    prior: tuple[float, ...]


#: The earlier draws: keys and arms.
Draws = tuple[tuple[str, Answer], ...]

#: Returns the index of an arm.
Choose = Callable[[Question], int]


def ask(decision: Decision, choose: Choose, rng: random.Random) -> Answer:
    """The answer that ``choose`` leads to; ``rng`` draws within the bins of a range."""
    if decision.listed:
        question = _listed(decision)
        return question.arms[choose(question)] if len(question.arms) > 1 else question.arms[0]
    if isinstance(decision, Subset):
        return _subset(decision, lambda question, _: bool(choose(question)))
    return _within(decision, (choose(_bins(decision)) + rng.random()) / BINS, rng)


def told(decision: Decision, answer: Answer) -> list[tuple[Question, int]]:
    """The draws that lead to an answer: the inverse of :func:`ask`."""
    if decision.listed:
        question = _listed(decision)
        return [(question, question.arms.index(answer))] if len(question.arms) > 1 else []
    if isinstance(decision, Subset):
        draws: list[tuple[Question, int]] = []

        def note(question: Question, label: Answer) -> bool:
            assert isinstance(answer, tuple)
            draws.append((question, int(label in answer)))
            return label in answer

        _subset(decision, note)
        return draws
    if not isinstance(decision, Integer | Real):
        return []
    # An integer that was rounded across the edge of its bin counts in the bin it ended up in.
    return [(_bins(decision), min(int(decision.encode(answer)[0] * BINS), BINS - 1))]


def _listed(decision: Decision) -> Question:
    arms = tuple(decision.answers())
    return Question(decision.name, arms, (0.0,) * len(arms))


def _bins(decision: Decision) -> Question:
    domain = decision.describe()  # one name may have several ranges
    return Question(decision.name, tuple((domain, i) for i in range(BINS)), (0.0,) * BINS)


def _within(decision: Decision, share: float, rng: random.Random) -> Answer:
    """The answer at a fraction ``share`` of a range, on the range's own scale."""
    if not isinstance(decision, Integer | Real):
        return decision.draw(rng)
    low, high = decision.low, decision.high
    value = low * (high / low) ** share if decision.log else low + (high - low) * share
    if isinstance(decision, Integer):
        steps = round((value - low) / decision.step)
        return low + decision.step * min(steps, decision.cardinality - 1)
    return min(max(value, low), high)


def _subset(decision: Subset, take: Callable[[Question, Answer], bool]) -> tuple[Answer, ...]:
    """Include or exclude one label after another.

    The prior probability of including a label is its share among the subsets that are still
    possible, so that an untrained policy draws all subsets uniformly and none of a forbidden size.
    """
    chosen: list[Answer] = []
    for place, label in enumerate(decision.labels):
        rest = len(decision.labels) - place - 1
        inside = sum(
            math.comb(rest, k - len(chosen) - 1) for k in decision.sizes if k > len(chosen)
        )
        outside = sum(math.comb(rest, k - len(chosen)) for k in decision.sizes if k >= len(chosen))
        if inside and outside:
            prior = (math.log(outside), math.log(inside))
            question = Question(f"{decision.name}~{label}", (False, True), prior)
            included = take(question, label)
        else:
            included = inside > 0
        if included:
            chosen.append(label)
    return tuple(chosen)
