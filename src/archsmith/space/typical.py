"""A few answers that stand for all of a decision, where there are too many to look at each."""

from __future__ import annotations

import random

from .architecture import Answer
from .decision import Decision, Integer, Real

#: Answers of a long subset that are looked at, and of a number without looking closer.
_ANSWERS, _FEW = 9, 4


def typical_answers(decision: Decision) -> list[Answer]:
    """All answers; of many numbers both ends, the middle and the default."""
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
