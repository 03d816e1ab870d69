"""How long a trial may take: what the user says, what others took, and the budget of time."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

#: A trial is given up when it has run so many times as long as the slowest that finished, and for
#: so many seconds at least.
TIMES, LEAST = 10.0, 60.0
#: One that is stopped for another reason (the budget of time, Ctrl-C) counts as given up, too, when
#: it has run for so long. Whoever stops a search three times in one trial that should have been
#: over long ago would find it first again and again.
OVERDUE_TIMES, OVERDUE_LEAST = 5.0, 5.0
#: When the budget of time is over a running trial may go on until it has taken so many times as
#: long as the slowest that finished: most of them are about to end, and their work would be lost.
#: While none has finished it may take the budget once more, or so many seconds, for a search that
#: is short should give one result.
GRACE_TIMES, GRACE_FIRST = 2.0, 30.0

#: A trial fails when it was given up so often: its worker died, or it had to be stopped.
GIVEN_UP = 3
#: A trial fails when so many processes were killed while it ran and no trial ended in
#: between. One that brings its own process down (out of memory, a crash in native code) would come
#: first after each start, for ever. Kills at random moments hit other trials, or the same one once
#: or twice, and any trial that ends sets the count back to nothing.
PROCESS_DEATHS = 5


class Since(NamedTuple):
    """A trial that runs: when it began, by ``time.monotonic()``, and its part of a full one."""

    began: float
    part: float


@dataclass
class Patience:
    """How long trials may take.

    Attributes:
        most: seconds that any trial may take, where the user says so; it fails then. In place of
            what others took.
        budget: seconds of the study.
        deadline: the moment at which they are over.
        slowest: seconds of a full evaluation by the slowest trial that finished, 0.0 before one.
    """

    most: float | None = None
    budget: float = math.inf
    deadline: float = math.inf
    slowest: float = 0.0

    def saw(self, seconds: float, part: float) -> None:
        """A trial has finished."""
        self.slowest = max(self.slowest, seconds / part)

    def due(self, trial: Since) -> float:
        """The moment at which a trial is stopped."""
        grace = max(self.budget, GRACE_FIRST)
        end = max(self.deadline, trial.began) + grace
        if self.slowest:
            end = max(self.deadline, trial.began + GRACE_TIMES * self.slowest * trial.part)
        return min(end, trial.began + self.allowed(trial))

    def allowed(self, trial: Since) -> float:
        """Seconds that it may take whatever the budget is."""
        if self.most is not None:
            return self.most
        return max(LEAST, TIMES * self.slowest * trial.part) if self.slowest else math.inf

    def lateness(self, trial: Since, now: float) -> str:
        """Why a trial is stopped that took longer than it may."""
        if self.most is not None:
            return f"not over after the {self.most:g} seconds that a trial may take"
        return (
            f"it was not over after {now - trial.began:.0f} s, where none that finished took more "
            f"than {self.slowest * trial.part:.2g} s; --trial-time gives another limit"
        )

    def overdue(self, trial: Since, now: float) -> bool:
        """Whether it has run for much longer than it should have."""
        usual = OVERDUE_TIMES * self.slowest * trial.part
        return bool(self.slowest) and now - trial.began >= max(OVERDUE_LEAST, usual)


def never_ready(
    waiting: Sequence[int], given_up: Counter[int], deaths: Counter[int]
) -> Iterator[tuple[int, str]]:
    """The trials to fail before a session starts, with why: those that were given up too often, and
    the one that seems to bring down the processes it runs in, if there is one.

    Of several that were running, one: its end sets the count of the others back, so none fails for
    having run beside it.
    """
    often = [number for number in waiting if given_up[number] >= GIVEN_UP]
    for number in often:
        yield number, f"{GIVEN_UP} times it ran much longer than others and was stopped"
    number, died = next(iter(deaths.most_common(1)), (0, 0))
    if died >= PROCESS_DEATHS and number in waiting and number not in often:
        yield number, f"{died} processes in a row were killed or crashed while it ran"
