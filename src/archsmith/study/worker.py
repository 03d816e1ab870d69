"""The main function of a worker process."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path

from .._support.errors import ArchsmithError, StoreError
from ..space.guard import Streams
from .executor import evaluate, one_line


@dataclass(frozen=True, slots=True)
class Hello:
    """The worker has started and waits for the evaluator."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The worker has the evaluator and waits for trials."""


@dataclass(frozen=True, slots=True)
class CannotLoad:
    """The evaluator could not be unpickled in the worker."""

    reason: str


@dataclass(frozen=True, slots=True)
class CannotWrite:
    """The run folder could not be written."""

    error: ArchsmithError


def work(pipe: Connection, folder: Path | None, threads: int) -> None:
    """Serve trials that come through the pipe until it is closed or the parent is gone."""
    # Ctrl-C reaches every process of the terminal; the parent handles it for all.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    _limit_threads(threads)
    try:
        _serve(pipe, folder, threads)
    except (EOFError, ConnectionError):
        pass  # the parent has closed the pipe: nothing more to do
    except StoreError as error:
        pipe.send(CannotWrite(error))


def _serve(pipe: Connection, folder: Path | None, threads: int) -> None:
    pipe.send(Hello())
    payload = pipe.recv_bytes()
    try:
        evaluator = pickle.loads(payload)
    except BaseException as error:  # importing a user's module may call sys.exit
        pipe.send(CannotLoad(one_line(error)))
        return
    _limit_threads(threads)
    pipe.send(Ready())
    streams = Streams()
    while True:
        job = pipe.recv()
        ended = evaluate(evaluator, job, folder, pipe.send)
        streams.restore()
        pipe.send(ended)


def _die_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _limit_threads(threads: int) -> None:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)
    # The variables are read when torch is imported, which may have happened already.
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(threads)
