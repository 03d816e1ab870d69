"""Different spellings of one network, and choices that change nothing."""

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
#: Samples in which answers that seem to be the same are compared again.
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
    """What is spelled twice in the sample, and what changes nothing.

    Args:
        visits: of the walk over all options: the architectures around one share all but one answer.

    Returns:
        What was found, and whether there was time for all of it.
    """
    distinct, of, examples = _doubles(inspector, sample)
    work = _Changes(inspector, until)
    by_decision, changes, without = work.sampled(sample, random.Random(f"{seed}/changes"))
    idle = work.idle(sample, visits)
    told = Likeness(_how(inspector), distinct, of, examples, changes, without, by_decision, idle)
    return told, not work.late


def _how(inspector: Inspector) -> str:
    traced = "equal traced graph, tensors and module settings"
    default = inspector.space.default()
    if inspector.space.canonical(default) != default.id:
        return f"the space's canonical form, or {traced}"
    return traced


def _doubles(
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
        """Change each decision once in some architectures of the sample that ask it.

        Returns:
            For each decision the share of changes that changed nothing; all, and these, counted.
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
                if self._over():
                    break
                answer = decision.change(architecture[decision.name], rng)
                same = self._compare(architecture, decision, answer)
                if same is not None:
                    tried[decision.name] += 1
                    nothing[decision.name] += same
        shares = {name: nothing[name] / count for name, count in tried.items()}
        return shares, sum(tried.values()), sum(nothing.values())

    def idle(self, sample: Sample, visits: Iterable[Visit]) -> tuple[Idle, ...]:
        """Answers that are the same in all that was compared, in some more of the sample too."""
        for visit in visits:
            if visit.changed is not None and visit.answer != visit.around[visit.decision.name]:
                self._note(visit.around, visit.changed, visit.decision)
        found = []
        for decision, compared in list(self._compared.items()):
            alike = [p for p in compared.same if p not in compared.different]
            if not alike:
                continue
            typical = typical_answers(decision)
            pairs = self._candidates(decision, typical, compared)
            self._again(sample, decision, pairs)
            found += _idle(decision, typical, compared, sample.how == "all")
        return tuple(found)

    def _candidates(
        self, decision: Decision, typical: Sequence[Answer], compared: _Compared
    ) -> list[frozenset[Answer]]:
        """Pairs to look at: neighbours in a group that may be the same, one with the next."""
        return [
            pair for group in _groups(typical, compared) for pair in map(frozenset, pairwise(group))
        ]

    def _again(
        self, sample: Sample, decision: Decision, pairs: Sequence[frozenset[Answer]]
    ) -> None:
        for pair in pairs:
            left = _AGAIN
            for architecture in sample.drawn:
                if left == 0 or self._over():
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
        """Whether the change leaves the network as it was; ``None`` where it does not work."""
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
            found = self.inspector.space.complete({**architecture, decision.name: answer})
        except SpaceError:
            return None
        # A listed space gives the nearest, in which more may differ.
        return found if found.get(decision.name) == answer else None

    def _works(self, architecture: Architecture) -> bool:
        return self.inspector.signature(architecture) is not None

    def _over(self) -> bool:
        self.late = self.late or time.monotonic() > self.until
        return self.late


def _groups(typical: Sequence[Answer], compared: _Compared) -> list[list[Answer]]:
    """Answers that were found the same and never different, two or more together."""
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
    found = []
    for group in _groups(typical, compared):
        pairs = map(frozenset, combinations(group, 2))
        count = sum(len(compared.same.get(pair, ())) for pair in pairs)
        # Once may be chance: the rest of that architecture may make the choice idle.
        if everything or count >= len(group):
            whole = len(group) == len(typical)
            found.append(Idle(decision.name, tuple(group), whole, count))
    return found
