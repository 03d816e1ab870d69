"""What a decision changes, seen from two architectures that differ in it alone."""

from __future__ import annotations

from .shifting import refuse_shift
from .survey_records import Seen, Survey

_WEIGHT = {"value": 0, "kernel": 1, "width": 2, "depth": 3, "operation": 4}


def note_effects(survey: Survey, start: Seen, seen: Seen) -> None:
    """Note the effect of the one decision in which two architectures differ, if there is one.

    Raises:
        SpaceError: it shifts the numbering of blocks.
    """
    changed = [
        name
        for name, answer in seen.architecture.items()
        if name in start.architecture and start.architecture[name] != answer
    ]
    if len(changed) != 1:
        return
    name = changed[0]
    answers = start.architecture[name], seen.architecture[name]
    refuse_shift(start.rows, seen.rows, name, answers)
    effect = _effect(name, start, seen)
    if _WEIGHT[effect] > _WEIGHT.get(survey.effects.get(name, ""), -1):
        survey.effects[name] = effect


def _effect(name: str, start: Seen, seen: Seen) -> str:
    if name in start.options:
        return "operation"
    one, two = start.shapes, seen.shapes
    differing = [(one[key], two[key]) for key in one if one[key] != two.get(key, one[key])]
    if any(a[:2] != b[:2] for a, b in differing):
        return "width"
    if one.keys() != two.keys():
        nested = one.keys() <= two.keys() or two.keys() <= one.keys()
        return "depth" if nested else "operation"
    return "kernel" if differing else "value"
