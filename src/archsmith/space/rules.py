"""Which question follows which: one rule per question, a small decision tree over answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from .architecture import Answer
from .decision import Decision
from .numbering import Relative, prefixes

#: Distinct answers of a continuous or long range that must be seen before the rest is trusted.
_RANGE_SAMPLES = 4


class Surprise(Exception):
    """A walk reached something that no run has shown."""


@dataclass(slots=True)
class Rule:
    """Which node follows, as a small decision tree over earlier answers.

    At an end, ``seen`` holds the answers to the node's own question that runs have shown there, and
    ``pairs`` those answers together with the answers of other decisions that are likely to matter.
    """

    target: Node | None = None  # at an end: what follows
    known: bool = False
    seen: set[Answer] = field(default_factory=set)
    full: bool = False  # at an end: all answers were seen, or enough of a long range
    pairs: set[tuple[Answer, str, Answer]] = field(default_factory=set)  # own with others' answers
    #: At an end: some stored runs that passed, with the position in each, for splitting it.
    passed: list[tuple[int, int]] = field(default_factory=list)
    split: str | None = None  # inside: the decision to look at
    branches: dict[Answer, Rule] = field(default_factory=dict)
    absent: Rule | None = None  # inside: where that decision was not asked

    def end(self, answers: Mapping[str, Answer]) -> Rule:
        """The end of the rule for these answers, created if it is new."""
        rule = self
        while rule.split is not None:
            if rule.split in answers:
                answer = answers[rule.split]
                branch = rule.branches.get(answer)
                if branch is None:
                    branch = rule.branches[answer] = Rule()
                rule = branch
            else:
                rule.absent = rule.absent or Rule()
                rule = rule.absent
        return rule

    def names(self) -> Iterator[str]:
        """The decisions that the rule looks at."""
        if self.split is not None:
            yield self.split
            for rule in [*self.branches.values(), *([self.absent] if self.absent else [])]:
                yield from rule.names()

    def targets(self) -> Iterator[Node]:
        """The nodes that may follow."""
        if self.split is None:
            if self.target is not None:
                yield self.target
            return
        for rule in [*self.branches.values(), *([self.absent] if self.absent else [])]:
            yield from rule.targets()


class Node:
    """A question and the rule for what follows it.

    The start and the end of all runs have no decision.

    Attributes:
        decision: with its kept name.
        relative: the parts of that name, if it is relative to another question.
    """

    __slots__ = ("decision", "enclosing", "listed", "name", "relative", "rule")

    def __init__(self, decision: Decision | None, relative: Relative | None = None) -> None:
        self.decision, self.relative = decision, relative
        self.name = decision.name if decision else ""
        self.listed = decision is not None and decision.listed
        self.rule = Rule()
        self.enclosing = relative.enclosing if relative else prefixes(self.name)

    def saw(self, end: Rule, history: Mapping[str, Answer], remote: Mapping[str, None]) -> None:
        """Record that a run passed with these answers."""
        if self.decision is None:
            end.full = True
            return
        own = history[self.name]
        if not end.full:
            end.seen.add(own)
            needed = self.decision.cardinality if self.decision.listed else _RANGE_SAMPLES
            end.full = needed is not None and len(end.seen) >= needed
        own = own if self.decision.listed else None
        for name in (*self.enclosing, *remote):
            if name in history:
                end.pairs.add((own, name, history[name]))

    def shown(self, answers: Mapping[str, Answer], remote: Mapping[str, None]) -> Rule | None:
        """The end for these answers, if runs have shown what follows them.

        They have if they showed the node's own answer there, and showed it together with the answer
        of each decision around the question and of each distant one that any rule looks at.
        """
        # Every step of every walk calls this, hence the care for speed.
        end = self.rule
        if end.split is not None:
            end = end.end(answers)
        if not end.known:
            return None
        if self.decision is None:
            return end
        own = answers[self.name]
        if not end.full and own not in end.seen:
            return None
        if self.enclosing or remote:
            own, pairs = own if self.listed else None, end.pairs
            for names in (self.enclosing, remote):
                for name in names:
                    if name in answers and (own, name, answers[name]) not in pairs:
                        return None
        return end
