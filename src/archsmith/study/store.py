"""The contract of a store: events are appended, and state is derived from them by replay."""

from __future__ import annotations

import os
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .._support.errors import RunFolderError
from ..history.trial import History, State, Trial
from .meta import check_same, objectives_in, renewed
from .record import GONE, Event, Record, as_history, replay


class Store(ABC):
    """The durable record of a study.

    A subclass stores events and metadata; everything else is implemented here. When a writing
    method returns, what it wrote survives ``kill -9`` of this process. One session writes at a
    time; the trials that an earlier session left running are returned at :meth:`begin`.

    Attributes:
        folder: run folder for checkpoints and reports; ``None`` if there is none.
    """

    folder: Path | None = None

    @abstractmethod
    def append(self, *events: Event) -> None:
        """Write all of these events or none.

        Raises:
            StoreError: they could not be written; what was written before is safe.
        """

    @abstractmethod
    def events(self) -> Iterator[Event]:
        """All events, in the order in which they were written.

        Raises:
            StoreError: the record cannot be read.
        """

    @abstractmethod
    def meta(self) -> dict[str, Any]:
        """The description of the study (:func:`archsmith.study.meta.describe`), empty if new."""

    @abstractmethod
    def write_meta(self, values: Mapping[str, Any]) -> None:
        """Store the description of a study, replacing an earlier one."""

    @abstractmethod
    def close(self) -> None:
        """Release files and locks. Running trials are returned when the store is opened again."""

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def begin(self, meta: Mapping[str, Any]) -> Record:
        """Open a session: store or compare the description, and return trials left running.

        What is not part of the study's identity (budget, command, versions) is updated.

        Raises:
            RunFolderError: the store holds another study.
        """
        recorded = self.meta()
        if recorded:
            check_same(str(self.folder or "store"), recorded, meta)
        current = renewed(recorded, meta) if recorded else meta
        if current != recorded:
            self.write_meta(current)
        now = time.time()
        opened = Event("opened", -1, now, {"pid": os.getpid(), "host": socket.gethostname()})
        left = [t.number for t in self.record().trials if t.state is State.RUNNING]
        self.append(opened, *(Event("returned", n, now, {"reason": GONE}) for n in left))
        return self.record()

    def end(self, reason: str) -> None:
        """Close the session, saying why."""
        self.append(Event("closed", -1, time.time(), {"reason": reason}))

    def propose(self, trial: Trial, worker: str | None = None) -> None:
        """Write a new trial; with a worker, also its start, in the same transaction."""
        fidelity = trial.fidelity
        proposed = Event(
            "proposed",
            trial.number,
            time.time(),
            {
                "architecture": trial.architecture.to_json(),
                "epochs": fidelity.epochs,
                "share": fidelity.share,
                "seed": trial.seed,
                "note": trial.note,
                **_continuing(trial),
            },
        )
        if worker is None:
            self.append(proposed)
        else:
            now = time.time()
            self.append(proposed, Event("started", trial.number, now, {"worker": worker}))
            _lease(trial, worker, now)

    def start(self, trial: Trial, worker: str) -> None:
        """Lease a trial to a worker of this session."""
        now = time.time()
        self.append(Event("started", trial.number, now, {"worker": worker}))
        _lease(trial, worker, now)

    def epoch(self, trial: Trial, metrics: Mapping[str, float]) -> None:
        """Add a point to the trial's curve."""
        self.append(Event("epoch", trial.number, time.time(), dict(metrics)))
        trial.curve.append(dict(metrics))

    def finish(
        self, trial: Trial, state: State, metrics: Mapping[str, float], reason: str = ""
    ) -> None:
        """End a trial as finished, failed or pruned; ``kept`` and ``trained`` are the trial's."""
        now = time.time()
        data: dict[str, Any] = {"state": state.value, "metrics": dict(metrics), "reason": reason}
        if trial.kept:
            data["kept"] = trial.kept
        if trial.continues is not None:
            data["trained"] = trial.trained
        self.append(Event("ended", trial.number, now, data))
        trial.state, trial.metrics, trial.reason, trial.ended = state, dict(metrics), reason, now

    def give_back(
        self, trials: Sequence[Trial], reason: str, given_up: Collection[int] = ()
    ) -> None:
        """Return running trials: the same architectures and seeds will be started again.

        Args:
            given_up: numbers of the trials that caused this themselves.
        """
        now = time.time()
        self.append(
            *(
                Event(
                    "returned",
                    t.number,
                    now,
                    {
                        "reason": reason,
                        **({"given_up": True} if t.number in given_up else {}),
                    },
                )
                for t in trials
            )
        )
        for trial in trials:
            trial.state, trial.worker, trial.curve = State.PROPOSED, "", []

    def note(self, name: str, value: Any) -> None:
        """Store a JSON value under a name; does not count as time worked by a session."""
        self.append(Event("note", -1, time.time(), {"name": name, "value": value}))

    def record(self) -> Record:
        """The state of the study now."""
        return replay(self.events())

    def history(self) -> History:
        """The state as strategies and reports read it, with the study's objectives and limits.

        Raises:
            RunFolderError: no study was started in this store.
        """
        meta = self.meta()
        if not meta:
            raise RunFolderError(
                str(self.folder or "store"), "a study", "a store in which none was started"
            )
        objectives, limits = objectives_in(meta)
        return as_history(self.record(), objectives, limits)


def _continuing(trial: Trial) -> dict[str, Any]:
    """What is recorded of a trial that continues another."""
    if trial.continues is None:
        return {}
    return {"continues": trial.continues, "trained": trial.trained}


def _lease(trial: Trial, worker: str, now: float) -> None:
    trial.state, trial.worker, trial.started = State.RUNNING, worker, now
    trial.attempts += 1
    trial.curve = []


class MemoryStore(Store):
    """A record in memory: for tests, benchmarks and quick experiments."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self._events: list[Event] = []
        self._meta: dict[str, Any] = {}

    def append(self, *events: Event) -> None:
        self._events += events

    def events(self) -> Iterator[Event]:
        return iter(tuple(self._events))

    def meta(self) -> dict[str, Any]:
        return dict(self._meta)

    def write_meta(self, values: Mapping[str, Any]) -> None:
        self._meta = dict(values)

    def close(self) -> None:
        """There is nothing to release."""
