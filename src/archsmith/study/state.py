"""The interface through which other modules read a running study."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Protocol

from ..history.trial import History, State
from .incumbent import Incumbents
from .progress import Progress


class StudyState(Protocol):
    """A running study, as its budget and its listener see it."""

    history: History
    incumbents: Incumbents
    counts: Counter[State]
    counted: float
    trials: int | None
    budget: float | None
    expected: float
    prepared: bool
    last_error: str
    on_event: Callable[[Progress], None] | None

    @property
    def elapsed(self) -> float: ...

    @property
    def elapsed_now(self) -> float: ...

    @property
    def spent(self) -> float: ...

    @property
    def counted_now(self) -> float: ...

    @property
    def running(self) -> int: ...

    @property
    def running_parts(self) -> float: ...
