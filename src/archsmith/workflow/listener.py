"""Who is told what a search does."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..study import Progress, Study
from ..task.problem import Problem
from .advice import OnScored
from .finalists import OnFinal
from .latency import OnMeasured

#: Called with each row of the supernet's curve and the planned number of epochs.
OnShared = Callable[[Mapping[str, float], int], None]


@dataclass
class Listener:
    """What a search tells while it works; any part may be left out.

    Attributes:
        ready: once, when everything is checked and the search begins.
        event: at each step of the study.
        shared: after each epoch of a supernet.
        scored: after each architecture that a proxy has scored, with how many of how many.
        final: after each epoch of a training to the end.
        measured: how many measurements of a latency predictor are done, and of how many.
        doubt: why limits may be out of reach, before the search begins; a warning by default.
    """

    ready: Callable[[Problem, Study], None] | None = None
    event: Callable[[Progress], None] | None = None
    shared: OnShared | None = None
    final: OnFinal | None = None
    scored: OnScored | None = None
    measured: OnMeasured | None = None
    doubt: Callable[[str], None] = warnings.warn
