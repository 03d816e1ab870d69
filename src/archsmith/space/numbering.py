"""Shifting numbers in names, as when layers are numbered consecutively across stages.

A builder that names its questions ``block0.kernel, block1.kernel, ...`` across stages of chosen
depths may ask ``block7.kernel`` in the second stage or in the fourth, and then the next block or
the next depth: what follows depends on all earlier depths. Named relative to the last question with
a fixed name (``depth2``, and the first block after it), the same space is a loop in each stage that
depends on one depth. The tree of decisions therefore keeps such names relative to the questions
before them.

Runs of the builder show which numbers shift: of all naming plans, the best one gives the fewest
different steps from one question to the next.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

_NUMBER = re.compile(r"\d+")
_GROUPS = 5  # groups of names whose combinations are tried
_RUNS = 32  # runs on which naming plans are compared
_GAIN = 0.85  # largest remaining share of steps for which relative names are worthwhile


@lru_cache(maxsize=65536)
def _groups(name: str) -> tuple[tuple[str, int, int, int], ...]:
    """Each number in a name: its prefix (with other numbers replaced), value and position."""
    return tuple(
        (_NUMBER.sub("#", name[: m.start()]) + "#", int(m.group()), m.start(), m.end())
        for m in _NUMBER.finditer(name)
        if m.group() == str(int(m.group()))
    )


def prefixes(name: str) -> tuple[str, ...]:
    """The scopes around a name: ``a`` and ``a.b`` of ``a.b.c``."""
    parts = name.split(".")
    return tuple(".".join(parts[:i]) for i in range(1, len(parts)))


def shared_scopes(name: str, inner: str) -> int:
    """The number of scopes around a name if they are around the other one too, else 0."""
    scopes = name.split(".")[:-1]
    return len(scopes) if inner.split(".")[: len(scopes)] == scopes else 0


@dataclass(frozen=True, slots=True)
class Plan:
    """Which numbers are relative: maps a group of names to the group whose count it follows."""

    follows: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.follows)


@dataclass(frozen=True, slots=True)
class Relative:
    """A name relative to the last question with a fixed name."""

    anchor: str
    group: str  # its last number before the anchor is the origin
    number: int
    parts: tuple[str, ...]  # of the name, around the number, which may occur twice

    def __str__(self) -> str:
        # Names given by users contain no spaces.
        return f"{self.anchor} {f'{self.number:+d}'.join(self.parts)}"

    @property
    def enclosing(self) -> tuple[str, ...]:
        """Names under which a block or an option around the question may have been chosen."""
        before = f"{self.anchor} "
        return (self.anchor, *(before + name for name in prefixes(str(self)[len(before) :])))


class Cursor:
    """The position in a run: translates its names, in the order asked."""

    __slots__ = ("anchor", "base", "last", "plan", "taken")

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.taken = 0
        self.anchor = ""
        self.base: dict[str, int] = {}
        self.last: dict[str, int] = {}

    def enter(self, name: str) -> str | Relative:
        """The kept name of the next question."""
        self.taken += 1
        parts: list[str] = []
        follows, number, done = "", 0, 0
        for group, value, start, end in _groups(name):
            if group in self.plan.follows and (not parts or value == number):
                follows, number = follows or self.plan.follows[group], value
                self.last[group] = value
                parts.append(name[done:start])
                done = end
        if parts:
            shift = number - self.base.get(follows, 0)
            return Relative(self.anchor, follows, shift, (*parts, name[done:]))
        self.anchor, self.base = name, dict(self.last)
        return name

    def real(self, name: Relative) -> str:
        """The name that the builder uses."""
        return str(self.base.get(name.group, 0) + name.number).join(name.parts)

    def catch_up(self, asked: Iterable[str]) -> None:
        """Enter the names that were asked since the last call."""
        for name in itertools.islice(asked, self.taken, None):
            self.enter(name)


def find_plan(runs: Sequence[Sequence[str]]) -> Plan:
    """The naming plan that makes these runs, as names in the order asked, simplest."""
    runs = runs[-_RUNS:]
    numbers: dict[str, set[int]] = {}
    for name in dict.fromkeys(itertools.chain.from_iterable(runs)):
        for group, number, _, _ in _groups(name):
            numbers.setdefault(group, set()).add(number)
    candidates = sorted(
        (g for g, values in numbers.items() if len(values) > 1), key=lambda g: (-len(numbers[g]), g)
    )[:_GROUPS]
    best, fewest = Plan(), _steps(Plan(), runs)
    enough = _GAIN * fewest
    for count in range(1, len(candidates) + 1):
        for chosen in itertools.combinations(candidates, count):
            # Each group has its own count, or all follow the one that has counted farthest.
            plans = [Plan({g: g for g in chosen})]
            if count > 1:
                plans.append(Plan(dict.fromkeys(chosen, chosen[0])))
            for plan in plans:
                steps = _steps(plan, runs)
                if steps < fewest and steps <= enough:
                    best, fewest = plan, steps
    return best


def _steps(plan: Plan, runs: Sequence[Sequence[str]]) -> int:
    """How many different steps from one question to the next these runs contain."""
    steps: set[tuple[str | Relative, str | Relative]] = set()
    for run in runs:
        cursor = Cursor(plan)
        names = ["", *map(cursor.enter, run), ""]
        steps.update(itertools.pairwise(names))
    return len(steps)
