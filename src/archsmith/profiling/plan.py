"""How closely a space is to be looked at, as one frozen value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from .._support.plans import option
from ..workflow.plan import Plan

#: Architectures of the sample.
SAMPLES = 100
#: Seconds after which what is left is looked at less closely.
SECONDS = 30.0
#: Called with what is done now, and how far it is.
OnStep = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class ProfilePlan(Plan):
    """How closely a space is looked at.

    Attributes:
        samples: architectures drawn; each with the same chance where the space can be counted.
        time: seconds, or ``"2m"``, that it should take. What would take longer is looked at less
            closely, and :attr:`Profile.cut` says what; on a machine that is fast enough the same
            seed gives the same profile, times aside.
        on_step: told what is done now.
    """

    samples: int = field(default=SAMPLES, metadata=option("Random architectures looked at."))
    time: float | str = field(default=SECONDS, metadata=option("About how long it may take."))
    on_step: OnStep | None = field(default=None, compare=False)
