"""How the time of a search is divided, as a value."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ..history.numbers import duration
from ..space.architecture import Architecture

#: Rounds of the last training where trials are not trained in rounds.
LAST_ROUNDS = 32


@dataclass(frozen=True)
class TimePlan:
    """How so many seconds are spent.

    Trials train for equal time instead of an equal number of epochs: what counts in the end is how
    good an architecture is after the time that is left for its last training, in which a slower one
    takes fewer steps.

    Attributes:
        total: seconds that the user gives.
        looked: that data, space and checks took, before the plan was made.
        search: for trials (and shared weights).
        last: for the last training.
        reserve: for the test part and the report.
        round: of one round of a training; 0.0 if none is trained in rounds.
        rounds: of a trial; 0 if trials are not trained in rounds.
        rises: how often a trial can rise, to three times the rounds: then it begins with one, and
            ``rounds`` are those of the highest rung.
        side: factor of the side of the images of a trial.
        last_rounds: of the last training.
        start: the architecture that the search begins with, if that is not the default.
        step: seconds of a step of that architecture, or of the default, in a trial.
        work: seconds of processor time in a second on a CPU, by which rounds are measured; else 1.
        fixed: whether the user chose the length of the last training.
        bounded: whether the last training takes no more than planned, whatever the search leaves.
        began: ``time.monotonic()`` at the beginning of the session.
    """

    total: float
    looked: float
    search: float
    last: float
    reserve: float
    round: float = 0.0
    rounds: int = 0
    rises: int = 0
    side: float = 1.0
    last_rounds: int = 0
    start: Architecture | None = None
    step: float = 0.0
    work: float = 1.0
    fixed: bool = False
    bounded: bool = False
    began: float = field(default=0.0, compare=False)

    @property
    def trial(self) -> float:
        """Seconds of a trial before it rises, 0.0 if unknown."""
        return self.round * (1 if self.rises else self.rounds)

    def until(self, earlier: float) -> float | None:
        """The moment at which the last training ends, by ``time.monotonic()``; ``None`` if its
        length is fixed.

        Args:
            earlier: seconds of the study in earlier sessions.
        """
        if self.fixed:
            return None
        now = time.monotonic()
        spent = earlier + (now - self.began)
        # After many interruptions little may be left, but a winner is worth a part of its training.
        left = max(self.total - self.reserve - spent, self.last / 4)
        return now + (min(left, self.last) if self.bounded else left)

    def to_json(self) -> dict[str, Any]:
        """All but the moment of its beginning, as JSON values."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "began"}
        return values | {"start": self.start.to_json() if self.start is not None else None}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> TimePlan:
        """The inverse of :meth:`to_json`."""
        start = values.get("start")
        return cls(**{**values, "start": Architecture.from_json(start) if start else None})

    def describe(self) -> str:
        """The plan in one line."""
        parts = [f"{duration(self.looked)} for data and checks"] if self.looked >= 1 else []
        trials = ""
        if self.trial:
            # Each rung takes about two thirds of the time of the lowest one.
            count = max(1, round(self.search / self.trial / (1 + 2 / 3 * self.rises)))
            steps = round(self.trial / self.step) if self.step else 0
            first = (
                "default architecture"
                if self.start is None
                else "network that the search begins with"
            )
            trials = (
                f"about {count} trials of {duration(self.trial)}, {steps:,} steps of the {first}"
            )
            if self.side != 1:
                trials += f" on images of {self.side:g} times the side"
            if self.rises:
                longest = duration(self.round * self.rounds)
                trials += f"; the best of them are continued for up to {longest}"
            if count == 1:
                trials = f"{steps:,} steps of the {first} alone: too little time to compare others"
            trials = f" ({trials})"
        parts.append(f"{duration(self.search)} search{trials}")
        if self.last:
            parts.append(f"{duration(self.last)} last training")
        parts.append(f"{duration(self.reserve)} test and report")
        return f"plan for {duration(self.total)}: " + ", ".join(parts)
