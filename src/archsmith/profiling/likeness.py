"""Architectures that build the same network, and choices that change nothing."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from typing import TYPE_CHECKING

from .._support.errors import SpaceError
from ..space import Architecture
from ..space.architecture import Answer
from ..space.decision import Decision
from ..space.typical import typical_answers
from ..study.faults import Visit
from .facts import Idle, Likeness

if TYPE_CHECKING:
    from .inspector import Inspector
    from .sample import Sample

#: Samples in which each decision is changed once.
_CHANGED = 6
#: Samples in which answers that seem equivalent are compared again.
_AGAIN = 4
_EXAMPLES = 3


@dataclass
class _Compared:
    """Pairs of answers of one decision, all other answers being equal."""

    same: dict[frozenset[Answer], set[frozenset[Architecture]]] = field(default_factory=dict)
    different: set[frozenset[Answer]] = field(default_factory=set)


def likeness(
    inspector: Inspector,
    sample: Sample,
    visits: Sequence[Visit],
    seed: int,
    until: float,
) -> tuple[Likeness, bool]:
    """Which architectures of the sample build the same network, and which choices change nothing.

    Args:
        visits: from trying all options: two visits around the same architecture differ in one
            answer.

    Returns:
        The result, and whether there was time to complete it.
    """
    distinct, of, examples = _duplicates(inspector, sample)
    comparisons = _Changes(inspector, until)
    by_decision, changes, without = comparisons.sampled(sample, random.Random(f"{seed}/changes"))
    idle = comparisons.idle(sample, visits)
    result = Likeness(_how(inspector), distinct, of, examples, changes, without, by_decision, idle)
    return result, not comparisons.late


def _how(inspector: Inspector) -> str:
    traced = "equal traced graph, tensors and module settings"
    default = inspector.space.default()
    if inspector.space.canonical(default) != default.id:
        return f"the space's canonical form, or {traced}"
    return traced


def _duplicates(
    inspector: Inspector, sample: Sample
) -> tuple[int, int, tuple[tuple[Architecture, Architecture], ...]]:
    space = inspector.space
    working = [a for a in dict.fromkeys(sample.drawn) if inspector.signature(a) is not None]
    groups: dict[str, list[Architecture]] = {}
    by_form: dict[str, Architecture] = {}
    examples = []
    distinct = 0
    for architecture in working:
        form = space.canonical(architecture)
        twin = by_form.get(form)
        near = groups.setdefault(inspector.signature(architecture) or "", [])
        if twin is None:
            twin = next((other for other in near if inspector.same(other, architecture)), None)
        if twin is None:
            distinct += 1
            near.append(architecture)
        else:
            examples.append((twin, architecture))
        by_form.setdefault(form, architecture)
    return distinct, len(working), tuple(examples[:_EXAMPLES])


class _Changes:
    """Compares architectures that differ in one decision."""

    def __init__(self, inspector: Inspector, until: float) -> None:
        self.inspector, self.until, self.late = inspector, until, False
        self._compared: dict[Decision, _Compared] = {}

    def sampled(self, sample: Sample, rng: random.Random) -> tuple[dict[str, float], int, int]:
        """Change each decision once in each of a few sampled architectures that ask it.

        Returns:
            For each decision the share of changes that changed nothing; the number of changes; and
            the number that changed nothing.
        """
        tried: Counter[str] = Counter()
        nothing: Counter[str] = Counter()
        order = list(dict.fromkeys(sample.drawn))
        rng.shuffle(order)
        for architecture in order:
            if not self._works(architecture):
                continue
            for decision in self.inspector.space.decisions(architecture):
                if tried[decision.name] >= _CHANGED or decision.cardinality == 1:
                    continue
                if self._out_of_time():
                    break
                answer = decision.change(architecture[decision.name], rng)
                same = self._compare(architecture, decision, answer)
                if same is not None:
                    tried[decision.name] += 1
                    nothing[decision.name] += same
        shares = {name: nothing[name] / count for name, count in tried.items()}
        return shares, sum(tried.values()), sum(nothing.values())

    def idle(self, sample: Sample, visits: Iterable[Visit]) -> tuple[Idle, ...]:
        """Answers that gave the same network in every comparison, confirmed on more samples."""
        for visit in visits:
            if visit.changed is not None and visit.answer != visit.around[visit.decision.name]:
                self._note(visit.around, visit.changed, visit.decision)
        idle = []
        for decision, compared in list(self._compared.items()):
            alike = [p for p in compared.same if p not in compared.different]
            if not alike:
                continue
            typical = typical_answers(decision)
            pairs = self._candidates(decision, typical, compared)
            self._recheck(sample, decision, pairs)
            idle += _idle(decision, typical, compared, sample.how == "all")
        return tuple(idle)

    def _candidates(
        self, decision: Decision, typical: Sequence[Answer], compared: _Compared
    ) -> list[frozenset[Answer]]:
        """Pairs to compare: consecutive answers in each group that may be equivalent."""
        return [
            pair for group in _groups(typical, compared) for pair in map(frozenset, pairwise(group))
        ]

    def _recheck(
        self, sample: Sample, decision: Decision, pairs: Sequence[frozenset[Answer]]
    ) -> None:
        for pair in pairs:
            left = _AGAIN
            for architecture in sample.drawn:
                if left == 0 or self._out_of_time():
                    break
                if decision not in self.inspector.space.decisions(architecture):
                    continue
                one, two = sorted(pair, key=repr)
                around = self._complete(architecture, decision, one)
                if around is not None and self._works(around):
                    left -= 1
                    self._compare(around, decision, two)
                    if pair in self._compared[decision].different:
                        break

    def _compare(
        self, architecture: Architecture, decision: Decision, answer: Answer
    ) -> bool | None:
        """Whether the change leaves the network unchanged; ``None`` if one of them fails."""
        changed = self._complete(architecture, decision, answer)
        return None if changed is None else self._note(architecture, changed, decision)

    def _note(self, one: Architecture, two: Architecture, decision: Decision) -> bool | None:
        if not (self._works(one) and self._works(two)):
            return None
        compared = self._compared.setdefault(decision, _Compared())
        pair = frozenset((one[decision.name], two[decision.name]))
        same = self.inspector.same(one, two)
        if same:
            compared.same.setdefault(pair, set()).add(frozenset((one, two)))
        else:
            compared.different.add(pair)
        return same

    def _complete(
        self, architecture: Architecture, decision: Decision, answer: Answer
    ) -> Architecture | None:
        try:
            completed = self.inspector.space.complete({**architecture, decision.name: answer})
        except SpaceError:
            return None
        # A listed space returns its nearest member, which may differ in more than this.
        return completed if completed.get(decision.name) == answer else None

    def _works(self, architecture: Architecture) -> bool:
        return self.inspector.signature(architecture) is not None

    def _out_of_time(self) -> bool:
        self.late = self.late or time.monotonic() > self.until
        return self.late


def _groups(typical: Sequence[Answer], compared: _Compared) -> list[list[Answer]]:
    """Groups of two or more answers that were found the same and never different."""
    groups: list[list[Answer]] = []
    for answer in typical:
        home = next(
            (
                group
                for group in groups
                if any(frozenset((answer, other)) in compared.same for other in group)
                and not any(frozenset((answer, other)) in compared.different for other in group)
            ),
            None,
        )
        if home is None:
            groups.append([answer])
        else:
            home.append(answer)
    return [group for group in groups if len(group) > 1]


def _idle(
    decision: Decision, typical: Sequence[Answer], compared: _Compared, everything: bool
) -> list[Idle]:
    idle = []
    for group in _groups(typical, compared):
        pairs = map(frozenset, combinations(group, 2))
        count = sum(len(compared.same.get(pair, ())) for pair in pairs)
        # One pair may be chance: the rest of that architecture may make the choice idle.
        if everything or count >= len(group):
            whole = len(group) == len(typical)
            idle.append(Idle(decision.name, tuple(group), whole, count))
    return idle
