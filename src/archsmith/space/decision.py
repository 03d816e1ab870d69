"""Decisions: named questions with a domain of answers."""

from __future__ import annotations

import math
import random
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from .._support.errors import SpaceError
from .architecture import Answer
from .plain import as_json

_SMALL = 32  # numeric domains up to this size are treated as a list of values
_STEP = 0.2  # standard deviation of a numeric mutation, relative to the range


_NAME = re.compile(r"^[^\s.=]+$")


def check_name(name: Any) -> None:
    """Raise :class:`SpaceError` unless it can name a decision, an option or a scope."""
    if not isinstance(name, str) or not _NAME.match(name):
        raise SpaceError(
            f"name {name!r}",
            "a string without spaces, dots and equals signs",
            None,
            "scopes add the dots: with nas.scope('stage1'): ...",
        )


@dataclass(frozen=True, slots=True)
class Decision(ABC):
    """A named question. Subclasses define its domain of answers.

    Attributes:
        name: full name with scopes, such as ``stage1.depth``.
        default: the answer of the default architecture.
    """

    name: str
    default: Answer

    @property
    @abstractmethod
    def cardinality(self) -> int | None:
        """Number of answers; ``None`` for a continuous range."""

    @property
    def listed(self) -> bool:
        """Whether each answer is treated separately (not in a continuous or very long range)."""
        return self.cardinality is not None

    @abstractmethod
    def answers(self) -> Iterator[Answer]:
        """All answers in a fixed order. Raises :class:`SpaceError` for a continuous range."""

    @abstractmethod
    def accepts(self, answer: Answer) -> bool:
        """Whether this is one of the answers."""

    @abstractmethod
    def draw(self, rng: random.Random) -> Answer:
        """A random answer, uniform on the decision's scale."""

    def draw_likely(self, rng: random.Random) -> Answer:
        """A random answer from the prior; uniform where there is none."""
        return self.draw(rng)

    def log_prior(self, answer: Answer) -> float:
        """Logarithm of how much likelier than under uniform draws the prior makes an answer."""
        return 0.0

    @abstractmethod
    def change(self, answer: Answer, rng: random.Random) -> Answer:
        """A random answer other than this one; only called if there is another."""

    @abstractmethod
    def near(self, answer: Answer) -> Iterator[Answer]:
        """Answers one small step away, in a fixed order."""

    @abstractmethod
    def describe(self) -> str:
        """The domain in words, for error messages: ``one of (3, 5, 7)``."""

    @abstractmethod
    def columns(self) -> list[str]:
        """Names of the numbers that :meth:`encode` returns."""

    @abstractmethod
    def encode(self, answer: Answer) -> list[float]:
        """The answer as numbers in [0, 1], as many as :meth:`columns`."""

    def check(self, answer: Answer) -> None:
        """Raise :class:`SpaceError` unless the answer is accepted."""
        if not self.accepts(answer):
            raise SpaceError(self.name, self.describe(), repr(answer))

    def domain(self) -> dict[str, Any]:
        """Everything that distinguishes this decision, as JSON values, for fingerprints."""
        values = {f.name: as_json(getattr(self, f.name)) for f in fields(self) if f.compare}
        return {"kind": type(self).__name__, **values}


@dataclass(frozen=True, slots=True)
class Categorical(Decision):
    """One of a tuple of options. Used by ``choose``, ``one_of`` and ``repeat``.

    Attributes:
        prior: a probability for each option; ``None`` if all are alike.
    """

    options: tuple[Answer, ...]
    prior: tuple[float, ...] | None = None
    _index: Mapping[Answer, int] = field(init=False, repr=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_index", {o: i for i, o in enumerate(self.options)})

    @property
    def cardinality(self) -> int:
        return len(self.options)

    def answers(self) -> Iterator[Answer]:
        return iter(self.options)

    def accepts(self, answer: Answer) -> bool:
        place = self._index.get(answer)
        # 1 == True == 1.0 in Python, but an architecture file must not confuse them.
        return place is not None and type(self.options[place]) is type(answer)

    def draw(self, rng: random.Random) -> Answer:
        return self.options[int(rng.random() * len(self.options))]

    def draw_likely(self, rng: random.Random) -> Answer:
        if self.prior is None:
            return self.draw(rng)
        return rng.choices(self.options, self.prior)[0]

    def log_prior(self, answer: Answer) -> float:
        if self.prior is None:
            return 0.0
        return math.log(self.prior[self._index[answer]] * len(self.options))

    def domain(self) -> dict[str, Any]:
        domain = Decision.domain(self)  # super() needs the class before slots were made
        if self.prior is None:
            del domain["prior"]  # fingerprints of spaces without priors stay as they were
        return domain

    def change(self, answer: Answer, rng: random.Random) -> Answer:
        place = int(rng.random() * (len(self.options) - 1))
        return self.options[place + (place >= self._index[answer])]

    def near(self, answer: Answer) -> Iterator[Answer]:
        return (o for o in self.options if o != answer)

    def describe(self) -> str:
        inside = ", ".join(map(repr, self.options))
        return f"one of ({inside})"

    def columns(self) -> list[str]:
        return [f"{self.name}={option}" for option in self.options]

    def encode(self, answer: Answer) -> list[float]:
        row = [0.0] * len(self.options)
        row[self._index[answer]] = 1.0
        return row


@dataclass(frozen=True, slots=True)
class Integer(Decision):
    """An integer ``low, low + step, ...`` up to ``high``, on a linear or logarithmic scale."""

    low: int
    high: int
    step: int = 1
    log: bool = False

    @property
    def cardinality(self) -> int:
        return (self.high - self.low) // self.step + 1

    @property
    def listed(self) -> bool:
        return self.cardinality <= _SMALL

    def answers(self) -> Iterator[Answer]:
        return iter(range(self.low, self.high + 1, self.step))

    def accepts(self, answer: Answer) -> bool:
        if not isinstance(answer, int) or isinstance(answer, bool):
            return False
        return self.low <= answer <= self.high and (answer - self.low) % self.step == 0

    def draw(self, rng: random.Random) -> Answer:
        if self.log:
            return self._round(math.exp(rng.uniform(math.log(self.low), math.log(self.high))))
        return self.low + self.step * int(rng.random() * self.cardinality)

    def change(self, answer: Answer, rng: random.Random) -> Answer:
        assert isinstance(answer, int)
        width = max(1.0, _STEP * self.cardinality)
        for _ in range(32):
            if self.log:
                moved = self._round(
                    answer * math.exp(rng.gauss(0, _STEP) * math.log(self.high / self.low))
                )
            else:
                moved = self._round(answer + self.step * rng.gauss(0, width))
            if moved != answer:
                return moved
        return answer + self.step if answer + self.step <= self.high else answer - self.step

    def near(self, answer: Answer) -> Iterator[Answer]:
        assert isinstance(answer, int)
        return (a for a in (answer - self.step, answer + self.step) if self.accepts(a))

    def _round(self, value: float) -> int:
        steps = round((value - self.low) / self.step)
        return self.low + self.step * min(max(steps, 0), self.cardinality - 1)

    def describe(self) -> str:
        step = f" in steps of {self.step}" if self.step != 1 else ""
        return f"a whole number from {self.low} to {self.high}{step}"

    def columns(self) -> list[str]:
        return [self.name]

    def encode(self, answer: Answer) -> list[float]:
        assert isinstance(answer, int)
        return [_unit(answer, self.low, self.high, self.log)]


@dataclass(frozen=True, slots=True)
class Real(Decision):
    """A number in ``[low, high]``, on a linear or logarithmic scale."""

    low: float
    high: float
    log: bool = False

    @property
    def cardinality(self) -> None:
        return None

    def answers(self) -> Iterator[Answer]:
        raise SpaceError(
            self.name,
            "a decision that can be listed",
            "a continuous range",
            "enumerate needs a space without nas.real; sample works on all spaces",
        )

    def accepts(self, answer: Answer) -> bool:
        if not isinstance(answer, int | float) or isinstance(answer, bool):
            return False
        return self.low <= answer <= self.high

    def draw(self, rng: random.Random) -> Answer:
        if self.log:
            return self._clip(math.exp(rng.uniform(math.log(self.low), math.log(self.high))))
        return rng.uniform(self.low, self.high)

    def change(self, answer: Answer, rng: random.Random) -> Answer:
        assert isinstance(answer, int | float)
        if self.log:
            factor = math.exp(rng.gauss(0, _STEP) * math.log(self.high / self.low))
            moved = self._clip(answer * factor)
        else:
            moved = self._clip(answer + rng.gauss(0, _STEP) * (self.high - self.low))
        return moved if moved != answer else self.draw(rng)

    def near(self, answer: Answer) -> Iterator[Answer]:
        place = self.encode(answer)[0]
        for moved in (place - _STEP / 2, place + _STEP / 2):
            if 0.0 <= moved <= 1.0:
                if self.log:
                    yield self._clip(self.low * (self.high / self.low) ** moved)
                else:
                    yield self._clip(self.low + (self.high - self.low) * moved)

    def _clip(self, value: float) -> float:
        return min(max(value, self.low), self.high)

    def describe(self) -> str:
        return f"a number from {self.low:g} to {self.high:g}"

    def columns(self) -> list[str]:
        return [self.name]

    def encode(self, answer: Answer) -> list[float]:
        assert isinstance(answer, int | float)
        return [_unit(answer, self.low, self.high, self.log)]


@dataclass(frozen=True, slots=True)
class Subset(Decision):
    """k of n labels, for connectivity. An answer is a tuple of labels, ordered as ``labels``."""

    labels: tuple[Answer, ...]
    sizes: tuple[int, ...]

    @property
    def cardinality(self) -> int:
        return sum(math.comb(len(self.labels), k) for k in self.sizes)

    @property
    def listed(self) -> bool:
        return self.cardinality <= _SMALL

    def answers(self) -> Iterator[Answer]:
        import itertools

        for k in self.sizes:
            yield from itertools.combinations(self.labels, k)

    def accepts(self, answer: Answer) -> bool:
        if not isinstance(answer, tuple) or len(answer) not in self.sizes:
            return False
        return answer == tuple(label for label in self.labels if label in answer)

    def draw(self, rng: random.Random) -> Answer:
        return self._draw(self.sizes, rng)

    def change(self, answer: Answer, rng: random.Random) -> Answer:
        near = list(self.near(answer))
        if near:
            return near[int(rng.random() * len(near))]
        # No label can be added, removed or swapped: it is the only answer of its size.
        assert isinstance(answer, tuple)
        return self._draw([size for size in self.sizes if size != len(answer)], rng)

    def _draw(self, sizes: Sequence[int], rng: random.Random) -> Answer:
        weights = [math.comb(len(self.labels), k) for k in sizes]
        size = rng.choices(sizes, weights)[0]
        return self._ordered(set(rng.sample(range(len(self.labels)), size)))

    def near(self, answer: Answer) -> Iterator[Answer]:
        assert isinstance(answer, tuple)
        inside = {i for i, label in enumerate(self.labels) if label in answer}
        outside = [i for i in range(len(self.labels)) if i not in inside]
        if len(inside) - 1 in self.sizes:
            yield from (self._ordered(inside - {i}) for i in sorted(inside))
        if len(inside) + 1 in self.sizes:
            yield from (self._ordered(inside | {i}) for i in outside)
        for i in sorted(inside):
            yield from (self._ordered((inside - {i}) | {j}) for j in outside)

    def _ordered(self, places: set[int]) -> tuple[Answer, ...]:
        return tuple(self.labels[i] for i in sorted(places))

    def describe(self) -> str:
        inside = ", ".join(map(repr, self.labels))
        sizes = " or ".join(map(str, self.sizes))
        return f"{sizes} of ({inside}) in this order"

    def columns(self) -> list[str]:
        return [f"{self.name}={label}" for label in self.labels]

    def encode(self, answer: Answer) -> list[float]:
        assert isinstance(answer, tuple)
        return [float(label in answer) for label in self.labels]


def _unit(value: float, low: float, high: float, log: bool) -> float:
    if high == low:
        return 0.0
    if log:
        return math.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)
