"""How long a trial may take: by the user, by other trials, and by the time budget."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

#: A trial is given up when it has run this many times as long as the slowest finished one, and for
#: at least this many seconds; for twice as many each time that it is tried again, because it may be
#: slow rather than hanging.
TIMES, LEAST = 10.0, 60.0
#: A trial that is stopped for another reason (the time budget, Ctrl-C) also counts as given up if
#: it has run for this long. Otherwise a trial that hangs would come first again each time that the
#: user stops and resumes the search.
OVERDUE_TIMES, OVERDUE_LEAST = 5.0, 5.0
#: When the time budget is over, a running trial may continue until it has taken this many times as
#: long as the slowest finished one: most are about to end, and their work would be lost. While none
#: has finished, it may take the budget once more, or this many seconds, because even a short search
#: should give one result.
GRACE_TIMES, GRACE_FIRST = 2.0, 30.0

#: A trial fails when it was given up this often: its worker died, or it had to be stopped.
GIVEN_UP = 3
#: A trial fails when this many processes were killed while it ran and no trial ended in between.
#: One that crashes its own process (out of memory, a fault in native code) would come first after
#: each start, for ever. Kills at random moments hit other trials, or the same one once or twice,
#: and any trial that ends resets the count.
PROCESS_DEATHS = 5


class Since(NamedTuple):
    """A running trial: its start, by ``time.monotonic()``, its part of a full evaluation, and how
    often it was given up before."""

    began: float
    part: float
    given_up: int = 0


@dataclass
class Patience:
    """How long trials may take.

    Attributes:
        most: seconds after which a trial fails, if the user sets them; replaces the bound by other
            trials.
        budget: seconds of the study.
        deadline: the moment at which they are over.
        slowest: seconds of a full evaluation by the slowest finished trial; 0.0 before the first.
    """

    most: float | None = None
    budget: float = math.inf
    deadline: float = math.inf
    slowest: float = 0.0

    def saw(self, seconds: float, part: float) -> None:
        """Record that a trial has finished."""
        self.slowest = max(self.slowest, seconds / part)

    def due(self, trial: Since) -> float:
        """The moment at which a trial is stopped."""
        grace = max(self.budget, GRACE_FIRST)
        end = max(self.deadline, trial.began) + grace
        if self.slowest:
            end = max(self.deadline, trial.began + GRACE_TIMES * self.slowest * trial.part)
        return min(end, trial.began + self.allowed(trial))

    def allowed(self, trial: Since) -> float:
        """Seconds that a trial may take regardless of the budget."""
        if self.most is not None:
            return self.most
        usual = max(LEAST, TIMES * self.slowest * trial.part) if self.slowest else math.inf
        return usual * 2.0**trial.given_up

    def lateness(self, trial: Since, now: float) -> str:
        """The reason for stopping a trial that took too long."""
        if self.most is not None:
            return f"not finished after the {self.most:g} seconds that a trial may take"
        return (
            f"it had not finished after {now - trial.began:.0f} s, while no finished trial took "
            f"more than {self.slowest * trial.part:.2g} s; --trial-time sets another limit"
        )

    def overdue(self, trial: Since, now: float) -> bool:
        """Whether a trial has run for much longer than expected."""
        usual = OVERDUE_TIMES * self.slowest * trial.part
        return bool(self.slowest) and now - trial.began >= max(OVERDUE_LEAST, usual)


def never_ready(
    waiting: Sequence[int], given_up: Counter[int], deaths: Counter[int]
) -> Iterator[tuple[int, str]]:
    """The trials to fail before a session starts, with reasons: those that were given up too often,
    and at most one that seems to crash the processes that run it.

    Only one of several that were running, because its end resets the count of the others: none
    fails merely because it ran at the same time.
    """
    given_up_often = [number for number in waiting if given_up[number] >= GIVEN_UP]
    for number in given_up_often:
        yield number, f"{GIVEN_UP} times it ran much longer than others and was stopped"
    number, died = next(iter(deaths.most_common(1)), (0, 0))
    if died >= PROCESS_DEATHS and number in waiting and number not in given_up_often:
        yield number, f"{died} processes in a row were killed or crashed while it ran"
