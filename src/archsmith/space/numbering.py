"""Numbers in names that shift, as where layers of all stages are numbered through.

A builder that names its questions ``block0.kernel, block1.kernel, ...`` through stages of chosen
depths asks ``block7.kernel`` in the second stage or in the fourth, and after it the next block or
the next depth: what follows hangs on all depths before. Told from the last question whose name
stays (``depth2``, and the first block after it) the same space is a loop in each stage, which hangs
on one depth. So the tree of decisions keeps such names relative to what was asked before them.

Which numbers shift is found from runs of the builder: of all ways to tell names, the one under
which runs show the fewest different steps from one question to the next.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

_NUMBER = re.compile(r"\d+")
_GROUPS = 5  # groups of names whose sets are tried
_RUNS = 32  # runs that the ways to tell names are compared by
_GAIN = 0.85  # steps that must be left, as a share, for relative names to pay


@lru_cache(maxsize=65536)
def _groups(name: str) -> tuple[tuple[str, int, int, int], ...]:
    """Each number in a name: what stands before it (other numbers left out), value and place."""
    return tuple(
        (_NUMBER.sub("#", name[: m.start()]) + "#", int(m.group()), m.start(), m.end())
        for m in _NUMBER.finditer(name)
        if m.group() == str(int(m.group()))
    )


def prefixes(name: str) -> tuple[str, ...]:
    """The scopes around a name: ``a`` and ``a.b`` of ``a.b.c``."""
    parts = name.split(".")
    return tuple(".".join(parts[:i]) for i in range(1, len(parts)))


@dataclass(frozen=True, slots=True)
class Plan:
    """Which numbers are told relatively: a group of names to the group whose count it follows."""

    follows: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.follows)


@dataclass(frozen=True, slots=True)
class Relative:
    """A name told from the last question whose name stays."""

    anchor: str
    group: str  # whose last number before the anchor is counted from
    number: int
    parts: tuple[str, ...]  # of the name, around the number, which may stand there twice

    def __str__(self) -> str:
        # No name of a user's holds a space.
        return f"{self.anchor} {f'{self.number:+d}'.join(self.parts)}"

    @property
    def enclosing(self) -> tuple[str, ...]:
        """Names that a block or an option around the question may have been chosen under."""
        before = f"{self.anchor} "
        return (self.anchor, *(before + name for name in prefixes(str(self)[len(before) :])))


class Cursor:
    """Where a run stands: translates the names of a run, in the order asked."""

    __slots__ = ("anchor", "base", "last", "plan", "taken")

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.taken = 0
        self.anchor = ""
        self.base: dict[str, int] = {}
        self.last: dict[str, int] = {}

    def enter(self, name: str) -> str | Relative:
        """The next question's name as the tree keeps it."""
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
        """The name that the builder will ask."""
        return str(self.base.get(name.group, 0) + name.number).join(name.parts)

    def catch_up(self, asked: Iterable[str]) -> None:
        """Enter the names that were asked since."""
        for name in itertools.islice(asked, self.taken, None):
            self.enter(name)


def find_plan(runs: Sequence[Sequence[str]]) -> Plan:
    """The way to tell names under which these runs, as names in the order asked, are simplest."""
    runs = runs[-_RUNS:]
    numbers: dict[str, set[int]] = {}
    for name in dict.fromkeys(itertools.chain.from_iterable(runs)):
        for group, number, _, _ in _groups(name):
            numbers.setdefault(group, set()).add(number)
    candidates = sorted(
        (g for g, seen in numbers.items() if len(seen) > 1), key=lambda g: (-len(numbers[g]), g)
    )[:_GROUPS]
    best, fewest = Plan(), _steps(Plan(), runs)
    enough = _GAIN * fewest
    for count in range(1, len(candidates) + 1):
        for chosen in itertools.combinations(candidates, count):
            # Each group counts for itself, or all follow the one that has counted farthest.
            plans = [Plan({g: g for g in chosen})]
            if count > 1:
                plans.append(Plan(dict.fromkeys(chosen, chosen[0])))
            for plan in plans:
                steps = _steps(plan, runs)
                if steps < fewest and steps <= enough:
                    best, fewest = plan, steps
    return best


def _steps(plan: Plan, runs: Sequence[Sequence[str]]) -> int:
    """How many different steps from one question to the next these runs show."""
    found: set[tuple[str | Relative, str | Relative]] = set()
    for run in runs:
        cursor = Cursor(plan)
        names = ["", *map(cursor.enter, run), ""]
        found.update(itertools.pairwise(names))
    return len(found)
