"""Events of a study, and the state derived from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .._support.errors import MISFITS, DamagedError
from ..history.objective import Limit, Objective
from ..history.trial import Fidelity, History, State, Trial
from ..space.architecture import Architecture

#: Reason of a return without any other: the process was killed, or ran out of memory.
GONE = "the process that ran it is gone"
#: Reason of a session's close if trials failed and none has ever finished.
ALL_FAILED = "every trial failed"
#: Notes that hold only for the trials so far; a later trial makes them stale.
DECIDED = ("winner", "default", "comparison", "baselines")


class Event(NamedTuple):
    """One thing that happened.

    ``kind`` is one of opened, proposed, started, epoch, ended, returned, note and closed. ``trial``
    is the number of the trial concerned, -1 for none. ``time`` is seconds since 1970, ``data``
    holds JSON values.
    """

    kind: str
    trial: int
    time: float
    data: Mapping[str, Any]


@dataclass(slots=True)
class SessionRecord:
    """One process's time with a study.

    Attributes:
        opened, last: seconds since 1970 of its first and its last event.
        closed: why it ended; empty while it runs, and if it was killed.
    """

    number: int
    pid: int
    host: str
    opened: float
    last: float
    closed: str = ""


@dataclass
class Record:
    """The state of a study, derived from its events.

    Attributes:
        trials: by number.
        ended: finished, failed and pruned trials in order of ending.
        notes: the last value under each name; those of :data:`DECIDED` are dropped when a trial
            starts.
        deaths: for each trial, how many processes died while it ran since any trial last ended.
        given_up: for each trial, how often it crashed its worker or had to be stopped.
        forgiven: number of trials that had failed when a session closed with nothing but failures.
            They and the seconds worked by then do not count against the budget, so that the same
            command continues once the cause is fixed.
    """

    trials: list[Trial] = field(default_factory=list)
    ended: list[Trial] = field(default_factory=list)
    sessions: list[SessionRecord] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)
    deaths: Counter[int] = field(default_factory=Counter)
    given_up: Counter[int] = field(default_factory=Counter)
    forgiven: int = 0
    forgiven_seconds: float = 0.0

    @property
    def seconds(self) -> float:
        """Time that all sessions worked, from the first to the last event of each."""
        return sum(max(0.0, s.last - s.opened) for s in self.sessions)


def replay(events: Iterable[Event]) -> Record:
    """Derive the state of a study from its events.

    Raises:
        DamagedError: an event that cannot follow those before it.
    """
    record = Record()
    for event in events:
        try:
            _apply(record, event)
        except MISFITS as error:
            raise DamagedError(
                f"event {event.kind!r} of trial {event.trial}",
                "an event that follows from those before it",
                f"{type(error).__name__}: {error}",
                "the record is damaged; restore it from a copy, or start in a new folder",
            ) from error
    return record


def _apply(record: Record, event: Event) -> None:
    kind, number, when, data = event
    if kind == "note":
        record.notes[data["name"]] = data["value"]
        return
    if kind == "opened":
        record.sessions.append(
            SessionRecord(len(record.sessions), data["pid"], data["host"], when, when)
        )
        return
    if record.sessions:
        record.sessions[-1].last = when
    if kind == "closed":
        record.sessions[-1].closed = data["reason"]
        if data["reason"] == ALL_FAILED:
            record.forgiven = sum(trial.state is State.FAILED for trial in record.ended)
            record.forgiven_seconds = record.seconds
    elif kind == "proposed":
        if number != len(record.trials):
            raise ValueError(f"trial {number} comes after {len(record.trials) - 1}")
        record.trials.append(_proposed(number, data))
    else:
        _change(record, record.trials[number], event)


def _proposed(number: int, data: Mapping[str, Any]) -> Trial:
    return Trial(
        number,
        Architecture.from_json(data["architecture"]),
        Fidelity(data["epochs"], data["share"]),
        data["seed"],
        data["note"],
        continues=data.get("continues"),
        trained=data.get("trained"),
    )


def _change(record: Record, trial: Trial, event: Event) -> None:
    data = event.data
    if event.kind == "started":
        trial.state, trial.started = State.RUNNING, event.time
        trial.worker = data["worker"]
        trial.attempts += 1
        trial.curve = []
        for name in DECIDED:
            record.notes.pop(name, None)
    elif event.kind == "epoch":
        trial.curve.append(_numbers(data))
    elif event.kind == "ended":
        trial.state, trial.ended = State(data["state"]), event.time
        trial.metrics, trial.reason = _numbers(data["metrics"]), str(data["reason"])
        trial.kept = float(data.get("kept", 0.0))
        trial.trained = data.get("trained", trial.trained)
        record.ended.append(trial)
        record.deaths.clear()
    elif event.kind == "returned":
        record.deaths[trial.number] += data["reason"] == GONE
        record.given_up[trial.number] += bool(data.get("given_up"))
        trial.state, trial.worker, trial.curve = State.PROPOSED, "", []
    else:
        raise ValueError("unknown kind of event")


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    for name, value in values.items():
        if not isinstance(value, int | float):
            raise TypeError(f"{name} is {value!r:.40}, which is not a number")
        float(value)  # refuses an integer of a thousand digits, too
    return dict(values)


def as_history(
    record: Record,
    objectives: Sequence[Objective],
    limits: Sequence[Limit] = (),
    *,
    empty: History | None = None,
) -> History:
    """The history of a study as of the last event of its record.

    ``empty``, if given, is filled and returned: a history that knows more about the study.
    """
    history = History(objectives, limits) if empty is None else empty
    for trial in record.trials:
        history.add(trial)
    for trial in record.ended:
        history.close(trial)
    return history
