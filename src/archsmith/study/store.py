"""The contract of a store: events are appended, state is derived from them by replay."""

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

    A subclass keeps events and meta data; everything else is written here once. When a writing
    method returns, what it wrote survives ``kill -9`` of this process. One session writes at a
    time; the trials that an earlier session left running come back at :meth:`begin`.

    Attributes:
        folder: run folder for checkpoints and reports, ``None`` where there is none.
    """

    folder: Path | None = None

    @abstractmethod
    def append(self, *events: Event) -> None:
        """Write events, all or none.

        Raises:
            StoreError: they could not be written; what was written before is safe.
        """

    @abstractmethod
    def events(self) -> Iterator[Event]:
        """All events in the order in which they were written."""

    @abstractmethod
    def meta(self) -> dict[str, Any]:
        """The description of the study (:func:`archsmith.study.meta.describe`), empty if new."""

    @abstractmethod
    def write_meta(self, values: Mapping[str, Any]) -> None:
        """Keep the description of a study in place of the one before, if any."""

    @abstractmethod
    def close(self) -> None:
        """Let go of files and locks. Running trials come back when the store is opened again."""

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def begin(self, meta: Mapping[str, Any]) -> Record:
        """Open a session: keep or compare the description, take back what was left running.

        What is no part of the study's identity (budget, command, versions) is kept as it is now.

        Raises:
            RunFolderError: the store holds another study.
        """
        known = self.meta()
        if known:
            check_same(str(self.folder or "store"), known, meta)
        current = renewed(known, meta) if known else meta
        if current != known:
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
        """Write a new trial, and with a worker its start too, in one go."""
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
        """End a trial as finished, failed or pruned."""
        now = time.time()
        data = {"state": state.value, "metrics": dict(metrics), "reason": reason}
        self.append(Event("ended", trial.number, now, data))
        trial.state, trial.metrics, trial.reason, trial.ended = state, dict(metrics), reason, now

    def give_back(
        self, trials: Sequence[Trial], reason: str, given_up: Collection[int] = ()
    ) -> None:
        """Put running trials back: the same architectures and seeds will be started again.

        Args:
            given_up: numbers of those that are themselves the reason.
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
        """Keep a JSON value under a name, outside the time that sessions are charged for."""
        self.append(Event("note", -1, time.time(), {"name": name, "value": value}))

    def record(self) -> Record:
        """The state of the study now."""
        return replay(self.events())

    def history(self) -> History:
        """The state as strategies and reports read it, with the study's objectives and limits.

        Raises:
            RunFolderError: no study was begun in this store.
        """
        meta = self.meta()
        if not meta:
            raise RunFolderError(
                str(self.folder or "store"), "a study", "a store in which none was begun"
            )
        objectives, limits = objectives_in(meta)
        return as_history(self.record(), objectives, limits)


def _lease(trial: Trial, worker: str, now: float) -> None:
    trial.state, trial.worker, trial.started = State.RUNNING, worker, now
    trial.attempts += 1
    trial.curve = []


class MemoryStore(Store):
    """A record that lives as long as its process: for tests, benchmarks and quick looks."""

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
        """Nothing to let go of."""
