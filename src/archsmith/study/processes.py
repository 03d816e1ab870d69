"""Evaluations in worker processes on this machine."""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
import pickle
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from .._support.errors import InputError, WorkError
from ..evaluate.base import Evaluator
from .executor import NEVER, Ended, EpochDone, Executor, Job, Late, Lost, Report
from .worker import CannotLoad, CannotWrite, Hello, Ready, work

#: How many workers in a row may die before they are ready.
_BOOTS = 3
#: Seconds within which a worker has to become ready.
_BOOT = 300.0
#: Seconds between checks for stopped workers.
_CHECK_SECONDS = 2.0
#: A worker that is stopped in this many checks in a row is replaced. When a whole terminal is
#: stopped and continued (Ctrl-Z, ``fg``), one check may still find its workers stopped.
_STOPPED = 3


@dataclass(slots=True)
class _Worker:
    name: str
    process: SpawnProcess
    pipe: Connection
    born: float
    ready: bool = False
    job: int | None = None
    stopped: int = 0


class Processes(Executor):
    """Evaluates in several worker processes.

    Each is started afresh (``spawn``) and gets its share of the cores. One that dies, stays stopped
    or works on a trial whose time is over is replaced. Workers exit when this process is gone.

    Args:
        workers: number of worker processes.
        threads: torch threads of each; by default the cores divided by the workers.
        devices: assigned to the workers in turn; by default the evaluator's own device.

    Raises:
        InputError: ``workers`` is below 1.
    """

    def __init__(
        self, workers: int, threads: int | None = None, devices: Sequence[str] = ()
    ) -> None:
        if workers < 1:
            raise InputError("workers", "1 or more", str(workers))
        self.workers, self.devices = workers, tuple(devices)
        self.threads = threads or max(1, cores() // workers)
        self._context = multiprocessing.get_context("spawn")
        self._pool: dict[str, _Worker] = {}
        self._failed_boots = 0
        self._checked_at = time.monotonic()

    def open(
        self, evaluator: Evaluator, folder: Path | None, report: Callable[[Report], None]
    ) -> None:
        try:
            placed = [evaluator.on(device) for device in self.devices] or [evaluator]
            self._payloads = [pickle.dumps(one) for one in placed]
        except Exception as error:
            raise _cannot_send(f"{type(error).__name__}: {error}") from error
        self._folder, self._report, self._failed_boots = folder, report, 0
        for slot in range(self.workers):
            self._spawn(f"worker-{slot}")

    def free(self) -> list[str]:
        return [w.name for w in self._pool.values() if w.ready and w.job is None]

    def submit(self, worker: str, job: Job) -> None:
        chosen = self._pool[worker]
        chosen.job = job.number
        # If it has just died, wait() notices and reports the trial as lost.
        with contextlib.suppress(OSError):
            chosen.pipe.send(job)

    def wait(self, until: Mapping[int, float] = NEVER, wake: float = math.inf) -> None:
        while not self._handle_events(until) and time.monotonic() < wake:
            handles: list[Any] = []
            for worker in self._pool.values():
                handles += worker.pipe, worker.process.sentinel
            due = min([wake, self._checked_at + _CHECK_SECONDS, *until.values()])
            wait(handles, max(0.0, due - time.monotonic()))
            if time.monotonic() >= self._checked_at + _CHECK_SECONDS:
                self._kill_stopped()

    def _handle_events(self, until: Mapping[int, float]) -> bool:
        """Report messages of workers and replace dead ones; whether anything happened."""
        happened = False
        for worker in list(self._pool.values()):
            # Check before reading: messages sent before a worker died are still in the pipe.
            dead = not worker.process.is_alive()
            job, ready = worker.job, worker.ready
            pipe_open = self._receive(worker)
            if not pipe_open or dead:
                self._replace(worker)
            elif worker.job is not None and time.monotonic() >= until.get(worker.job, math.inf):
                self._replace(worker, late=True)
            elif not worker.ready and time.monotonic() >= worker.born + _BOOT:
                self._replace(worker)
            elif (job, ready) == (worker.job, worker.ready):
                continue
            happened = True
        return happened

    def _kill_stopped(self) -> None:
        """Kill workers that stay stopped; their death is then noticed like any other."""
        import psutil

        self._checked_at = time.monotonic()
        for worker in self._pool.values():
            if worker.stopped >= _STOPPED:  # already killed, but not dead yet
                continue
            with contextlib.suppress(psutil.Error):
                standing = psutil.Process(worker.process.pid).status() == psutil.STATUS_STOPPED
                worker.stopped = worker.stopped + 1 if standing else 0
                if worker.stopped >= _STOPPED:
                    worker.process.kill()

    def close(self) -> None:
        pool, self._pool = list(self._pool.values()), {}
        for worker in pool:
            worker.pipe.close()
            worker.process.terminate()
        for worker in pool:
            worker.process.join(5)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.process.close()

    def _spawn(self, name: str) -> None:
        here, there = self._context.Pipe()
        process = self._context.Process(
            target=work, args=(there, self._folder, self.threads), name=f"archsmith-{name}"
        )
        process.start()
        there.close()  # or the pipe would not end when the worker does
        self._pool[name] = _Worker(name, process, here, time.monotonic())

    def _receive(self, worker: _Worker) -> bool:
        """Handle all messages of a worker; whether its pipe is still open."""
        while True:
            # Only the pipe in here: an OSError of the listener or the store is not a dead worker.
            try:
                if not worker.pipe.poll():
                    return True
                message = worker.pipe.recv()
                if isinstance(message, Hello):
                    slot = int(worker.name.rpartition("-")[2])
                    worker.pipe.send_bytes(self._payloads[slot % len(self._payloads)])
            except (EOFError, OSError):
                return False
            self._handle(worker, message)

    def _handle(self, worker: _Worker, message: Any) -> None:
        match message:
            case EpochDone():
                self._report(message)
            case Ended():
                worker.job = None
                self._report(message)
            case Ready():
                worker.ready = True
                self._failed_boots = 0
            case CannotLoad():
                raise _cannot_send(message.reason)
            case CannotWrite():
                raise message.error

    def _replace(self, worker: _Worker, late: bool = False) -> None:
        if late:
            _kill_all(worker.process.pid)
        worker.process.join(5)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        cause = "stood stopped" if worker.stopped >= _STOPPED else _ending(worker.process.exitcode)
        worker.pipe.close()
        worker.process.close()
        del self._pool[worker.name]
        if not worker.ready:
            self._failed_boots += 1
            if self._failed_boots >= _BOOTS:
                raise WorkError(
                    "workers",
                    "to start",
                    f"{_BOOTS} in a row that {cause} before they were ready",
                    "their output above says why; a script that starts a search with workers "
                    "needs `if __name__ == '__main__':` around it",
                )
        self._spawn(worker.name)
        if worker.job is not None:
            gone = Late(worker.job) if late else Lost(worker.job, f"{worker.name} {cause}")
            self._report(gone)


def cores() -> int:
    """Number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _kill_all(pid: int | None) -> None:
    """Kill a process and its children, such as data loaders or commands that hang."""
    import psutil

    with contextlib.suppress(psutil.Error):
        worker = psutil.Process(pid)
        for process in [*worker.children(recursive=True), worker]:
            with contextlib.suppress(psutil.Error):
                process.kill()


def _ending(status: int | None) -> str:
    if status is None:
        return "hung"
    if status >= 0:
        return f"exited with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"


def _cannot_send(reason: str) -> InputError:
    return InputError(
        "evaluator",
        "one that can be pickled and sent to a worker process",
        reason,
        "put the builder and what it uses into a module that can be imported (no lambda, nothing "
        "defined at a prompt), or use workers=1",
    )
