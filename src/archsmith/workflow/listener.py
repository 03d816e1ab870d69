"""Callbacks that follow a search."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..study import Progress, Study
from ..task.problem import Problem
from .advice import OnScored
from .baselines import OnBaseline
from .finalists import OnFinal
from .latency import OnMeasured
from .times import TimePlan

#: Called with each row of the supernet's curve and the planned number of epochs.
OnShared = Callable[[Mapping[str, float], int], None]


@dataclass
class Listener:
    """Callbacks that a search calls while it works; any of them may be left out.

    Attributes:
        ready: called once, when everything is checked and the search begins.
        event: called at each step of the study.
        shared: called after each epoch of a supernet.
        scored: called after each architecture that a proxy has scored, with the number done and
            the total.
        final: called after each epoch of a training to the end.
        measured: called after each measurement for a latency predictor, with the number done and
            the total.
        baseline: called after each epoch of a reference model, with its name, the metrics and the
            number of epochs.
        doubt: called before the search begins with the reason why limits may be out of reach;
            warns by default.
        planned: called with how a time budget is divided, before the search begins.
    """

    ready: Callable[[Problem, Study], None] | None = None
    event: Callable[[Progress], None] | None = None
    shared: OnShared | None = None
    final: OnFinal | None = None
    scored: OnScored | None = None
    measured: OnMeasured | None = None
    doubt: Callable[[str], None] = warnings.warn
    planned: Callable[[TimePlan], None] | None = None
    baseline: OnBaseline | None = None
