"""How thoroughly to profile a space, as one frozen value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from .._support.plans import option
from ..workflow.plan import Plan

#: Default number of sampled architectures.
SAMPLES = 100
#: Default time in seconds, after which the rest is checked less thoroughly.
SECONDS = 30.0
#: Called with a message about the current step and its progress.
OnStep = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class ProfilePlan(Plan):
    """How thoroughly to profile a space.

    Attributes:
        samples: number of sampled architectures, equally likely if the space can be counted.
        time: seconds, or a text like ``"2m"``, that it should take. What would take longer is
            checked less thoroughly, and :attr:`Profile.cut` lists it; if nothing was cut short,
            the same seed gives the same profile except for times.
        on_step: called with a message about the current step.
    """

    samples: int = field(default=SAMPLES, metadata=option("Random architectures to check."))
    time: float | str = field(default=SECONDS, metadata=option("About how long it may take."))
    on_step: OnStep | None = field(default=None, compare=False)
