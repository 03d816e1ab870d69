"""Data read a second time, in a worker: it must be what the search itself has read."""

from __future__ import annotations

from ..task.base import Data, ReadOptions, Task
from .base import TrialFailed


def carried(data: Data | None, source: str) -> Data | None:
    """What of the data travels to a worker: nothing that can be read there again."""
    return None if source else data


def digest_of(data: Data | None, known: str) -> str:
    """The digest that travels to a worker in place of the data; empty where nothing was read."""
    return data.digest() if data is not None else known


def read_again(task: Task, source: str, options: ReadOptions, digest: str) -> Data:
    """The data, held against the digest where there is one.

    Raises:
        TrialFailed: it has changed since.
    """
    data = task.read(source, options)
    if digest and data.digest() != digest:
        raise TrialFailed(f"the data at {source} has changed since the search read it")
    return data
