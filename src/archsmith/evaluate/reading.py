"""Reading data again in a worker: it must be the same data that the search has read."""

from __future__ import annotations

from ..task.base import Data, ReadOptions, Task
from .base import TrialFailed


def carried(data: Data | None, source: str) -> Data | None:
    """The data to send to a worker: ``None`` if the worker can read it from its source."""
    return None if source else data


def digest_of(data: Data | None, known: str) -> str:
    """The digest to send to a worker in place of the data; empty if nothing has been read."""
    return data.digest() if data is not None else known


def read_again(task: Task, source: str, options: ReadOptions, digest: str) -> Data:
    """The data from its source, checked against the digest if there is one.

    Raises:
        TrialFailed: the data has changed since the search read it.
    """
    data = task.read(source, options)
    if digest and data.digest() != digest:
        raise TrialFailed(f"the data at {source} has changed since the search read it")
    return data
