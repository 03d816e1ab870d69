"""A few representative answers of a decision that has too many to try them all."""

from __future__ import annotations

import random

from .architecture import Answer
from .decision import Decision, Integer, Real

#: Sampled answers of a long subset; numbers of options up to which all are taken.
_ANSWERS, _FEW = 9, 4


def typical_answers(decision: Decision) -> list[Answer]:
    """All answers; for many numbers, both ends, the middle and the default."""
    if isinstance(decision, Real):
        return [decision.low, decision.high]
    if not decision.listed and not isinstance(decision, Integer):
        rng = random.Random(0)
        return [decision.default, *(decision.draw(rng) for _ in range(_ANSWERS))]
    answers = list(decision.answers())
    if len(answers) <= _FEW or not all(type(a) in (int, float) for a in answers):
        return answers
    ordered = sorted(answers)  # type: ignore[type-var]
    few = [ordered[0], ordered[len(ordered) // 2], ordered[-1], decision.default]
    return list(dict.fromkeys(few))
