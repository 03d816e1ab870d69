"""The decisions of a space as they were met: when they are asked, and which options come up."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .._support.errors import SpaceError
from ..space import Architecture
from ..space.architecture import Answer, answer_text
from ..space.decision import Decision, Integer
from .facts import DecisionFacts

if TYPE_CHECKING:
    from ..space import Space

#: Options that are told one by one.
_TOLD = 16


def decision_facts(
    space: Space,
    walks: Sequence[Architecture],
    met: Sequence[Decision],
    looked: Sequence[Architecture],
) -> tuple[DecisionFacts, ...]:
    """What there is to say of each decision, in the order in which they are asked.

    Args:
        walks: architectures as a search draws them, each decision evenly as it comes up.
        met: by the walk over all options.
        looked: architectures in which to look for what makes a decision come up.
    """
    known: dict[str, dict[Decision, None]] = {}
    for decision in met:
        known.setdefault(decision.name, {})[decision] = None
    for architecture in walks:
        if not known.keys() >= architecture.keys():
            for decision in space.decisions(architecture):
                known.setdefault(decision.name, {})[decision] = None
    found = []
    for name in _in_order([*looked, *walks]):
        variants = list(known.get(name, ()))
        if not variants:
            continue
        asked = [a for a in walks if name in a]
        share = len(asked) / len(walks) if walks else 0.0
        when = "" if share == 1.0 else _condition(name, [*looked, *walks])
        options = tuple(dict.fromkeys(o for d in variants for o in _options(d)))
        default = answer_text(variants[0].default)
        found.append(DecisionFacts(name, options, default, share, when, _unmet(variants, asked)))
    return tuple(found)


def walked(space: Space, count: int, seed: int, until: float) -> list[Architecture]:
    """Architectures as a search draws them; most cost a walk of the tree and no build."""
    rng = random.Random(f"{seed}/walks")
    found = []
    for _ in range(count):
        if time.monotonic() > until:
            break
        with contextlib.suppress(SpaceError):
            found.append(space.sample(rng))
    return found


def _in_order(architectures: Sequence[Architecture]) -> list[str]:
    """Names of decisions; each after the one that came before it where it was first met."""
    order: list[str] = []
    for architecture in architectures:
        place = 0
        for name in architecture:
            if name in order:
                place = order.index(name) + 1
            else:
                order.insert(place, name)
                place += 1
    return order


def _options(decision: Decision) -> list[str]:
    if (
        decision.listed
        and not isinstance(decision, Integer)
        and (decision.cardinality or 0) <= _TOLD
    ):
        return [answer_text(answer) for answer in decision.answers()]
    return [decision.describe()]


def _unmet(variants: Sequence[Decision], asked: Sequence[Architecture]) -> tuple[str, ...]:
    """Options that never came up."""
    listed = [d for d in variants if d.listed and not isinstance(d, Integer)]
    options = dict.fromkeys(answer for d in listed for answer in d.answers())
    taken = {a[variants[0].name] for a in asked}
    return tuple(answer_text(option) for option in options if option not in taken)


def _condition(name: str, looked: Sequence[Architecture]) -> str:
    """The answers of one other decision that tell whether this one is asked, in words."""
    with_it = [a for a in looked if name in a]
    without = [a for a in looked if name not in a]
    if not with_it or not without:
        return ""
    # What stands around the decision by name is the likeliest reason.
    parts = name.split(".")
    around = [".".join(parts[:i]) for i in range(1, len(parts))]
    others = dict.fromkeys([*around[::-1], *(n for a in with_it for n in a if n != name)])
    for other in others:
        yes = _taken(other, with_it)
        if yes is not None and not yes & (_taken(other, without, some=True) or set()):
            return f"{other} is {_either(yes)}"
    return ""


def _taken(
    name: str, architectures: Sequence[Architecture], some: bool = False
) -> set[Answer] | None:
    if not some and any(name not in a for a in architectures):
        return None
    return {a[name] for a in architectures if name in a}


def _either(answers: set[Answer]) -> str:
    texts = sorted(map(answer_text, answers), key=lambda text: (len(text), text))
    if len(texts) > 1 and all(type(a) is int for a in answers):
        numbers = sorted(a for a in answers if isinstance(a, int))
        texts = [str(number) for number in numbers]
    return " or ".join(texts)
