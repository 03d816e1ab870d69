"""The decisions of a space: when they are asked, and which options come up."""

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

#: Up to this many options are listed one by one.
_LISTED = 16


def decision_facts(
    space: Space,
    walks: Sequence[Architecture],
    visited: Sequence[Decision],
    architectures: Sequence[Architecture],
) -> tuple[DecisionFacts, ...]:
    """Facts about each decision, in the order in which the builder asks them.

    Args:
        walks: architectures as a search samples them, each decision drawn uniformly when asked.
        visited: decisions met while trying all options.
        architectures: more of them, to find the answers that lead to a decision.
    """
    variants_of: dict[str, dict[Decision, None]] = {}
    for decision in visited:
        variants_of.setdefault(decision.name, {})[decision] = None
    for architecture in walks:
        if not variants_of.keys() >= architecture.keys():
            for decision in space.decisions(architecture):
                variants_of.setdefault(decision.name, {})[decision] = None
    facts = []
    for name in _in_order([*architectures, *walks]):
        variants = list(variants_of.get(name, ()))
        if not variants:
            continue
        asked = [a for a in walks if name in a]
        share = len(asked) / len(walks) if walks else 0.0
        when = "" if share == 1.0 else _condition(name, [*architectures, *walks])
        options = tuple(dict.fromkeys(o for d in variants for o in _options(d)))
        default = answer_text(variants[0].default)
        facts.append(DecisionFacts(name, options, default, share, when, _unchosen(variants, asked)))
    return tuple(facts)


def walked(space: Space, count: int, seed: int, until: float) -> list[Architecture]:
    """Architectures as a search samples them; most need no build, only a walk of the tree."""
    rng = random.Random(f"{seed}/walks")
    architectures = []
    for _ in range(count):
        if time.monotonic() > until:
            break
        with contextlib.suppress(SpaceError):
            architectures.append(space.sample(rng))
    return architectures


def _in_order(architectures: Sequence[Architecture]) -> list[str]:
    """Names of decisions, each after the one that preceded it where it first appeared."""
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
        and (decision.cardinality or 0) <= _LISTED
    ):
        return [answer_text(answer) for answer in decision.answers()]
    return [decision.describe()]


def _unchosen(variants: Sequence[Decision], asked: Sequence[Architecture]) -> tuple[str, ...]:
    """Options that no sample chose."""
    listed = [d for d in variants if d.listed and not isinstance(d, Integer)]
    options = dict.fromkeys(answer for d in listed for answer in d.answers())
    chosen = {a[variants[0].name] for a in asked}
    return tuple(answer_text(option) for option in options if option not in chosen)


def _condition(name: str, architectures: Sequence[Architecture]) -> str:
    """The answers to one other decision that determine whether this one is asked, in words."""
    with_it = [a for a in architectures if name in a]
    without = [a for a in architectures if name not in a]
    if not with_it or not without:
        return ""
    # The scopes in the decision's own name are the likeliest reason.
    parts = name.split(".")
    around = [".".join(parts[:i]) for i in range(1, len(parts))]
    others = dict.fromkeys([*around[::-1], *(n for a in with_it for n in a if n != name)])
    for other in others:
        answers = _answers(other, with_it)
        if answers is not None and not answers & (_answers(other, without, some=True) or set()):
            return f"{other} is {_alternatives(answers)}"
    return ""


def _answers(
    name: str, architectures: Sequence[Architecture], some: bool = False
) -> set[Answer] | None:
    if not some and any(name not in a for a in architectures):
        return None
    return {a[name] for a in architectures if name in a}


def _alternatives(answers: set[Answer]) -> str:
    texts = sorted(map(answer_text, answers), key=lambda text: (len(text), text))
    if len(texts) > 1 and all(type(a) is int for a in answers):
        numbers = sorted(a for a in answers if isinstance(a, int))
        texts = [str(number) for number in numbers]
    return " or ".join(texts)
