"""Mutations that change a whole network in one respect: all widths, all depths, all kernels."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..space.architecture import Answer, Architecture
from ..space.decision import Decision

if TYPE_CHECKING:
    from ..space import Space

#: Most places by which numbers move along their answers.
_FAR = 2


def mutate_alike(space: Space, architecture: Architecture, rng: random.Random) -> Architecture:
    """The architecture with all decisions of one kind changed alike.

    Of one kind are those with the same last name, such as ``width`` in ``stage1.width`` and
    ``stage2.width``. Numbers all move by one or two places along their answers; other decisions all
    get the same new answer. What is asked only because of the change has its default answer. Widths
    and depths that are out of proportion are rarely good, so that networks of another size are
    seldom reached by single changes (Tan and Le 2019, arXiv:1905.11946).

    Returns:
        The same architecture if no two decisions are of one kind.
    """
    kinds: dict[str, list[Decision]] = {}
    for decision in space.decisions(architecture):
        if decision.listed and decision.cardinality != 1:
            kinds.setdefault(decision.name.rpartition(".")[2], []).append(decision)
    several = [decisions for decisions in kinds.values() if len(decisions) > 1]
    if not several:
        return architecture
    decisions = rng.choice(several)
    moved = _moved(decisions, architecture, rng)
    return space.complete({**architecture, **(moved or _equal(decisions, architecture, rng))})


def _moved(
    decisions: Sequence[Decision], architecture: Architecture, rng: random.Random
) -> dict[str, Answer]:
    """Numbers, all moved up or all moved down; empty if not all are numbers."""
    steps = rng.choice([-1, 1]) * rng.randint(1, _FAR)
    moved: dict[str, Answer] = {}
    for decision in decisions:
        answers = list(decision.answers())
        if not all(isinstance(a, int | float) and not isinstance(a, bool) for a in answers):
            return {}
        answers.sort()
        place = answers.index(architecture[decision.name]) + steps
        moved[decision.name] = answers[min(max(place, 0), len(answers) - 1)]
    return moved


def _equal(
    decisions: Sequence[Decision], architecture: Architecture, rng: random.Random
) -> dict[str, Answer]:
    """One answer for all that accept it."""
    asked = rng.choice(decisions)
    answer = rng.choice([a for a in asked.answers() if a != architecture[asked.name]])
    return {d.name: answer for d in decisions if d.accepts(answer)}
