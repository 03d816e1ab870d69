"""Options of how latency is measured or predicted in a search. Does not import torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .._support.errors import InputError, unknown
from .._support.options import parse

#: Runtimes by name.
NAMES = ("eager", "exported", "onnx")
#: Spread, (p90 - p10) / median, above which latency is measured a second time.
WIDE = 0.5
#: Lowest number of architectures that a predictor is fitted to.
FEWEST_SAMPLES = 8


@dataclass(frozen=True, slots=True)
class LatencyOptions:
    """How the latency of architectures is measured or predicted in a search.

    Attributes:
        runtime: ``eager`` (plain torch), ``exported`` (the program of
            :func:`torch.export.export`) or ``onnx`` (ONNX Runtime).
        batch: examples per pass.
        threads: CPU threads.
        samples: number of architectures that are measured before the search to fit a predictor,
            which then predicts the latency of trials without running them; finalists are still
            measured. 0 measures every trial. ``None`` chooses 60 for one-shot methods, which
            consider many architectures, and 0 otherwise.
        seconds: about how long one measurement takes.

    Raises:
        InputError: a number outside its range.
        UnknownNameError: an unknown runtime.
    """

    runtime: str = "eager"
    batch: int = 1
    threads: int = 1
    samples: int | None = None
    seconds: float = 0.3

    def __post_init__(self) -> None:
        if self.runtime not in NAMES:
            raise unknown("runtime", self.runtime, NAMES)
        for name in ("batch", "threads"):
            if getattr(self, name) < 1:
                raise InputError(f"latency, {name}", "1 or more", str(getattr(self, name)))
        if not 0 < self.seconds < math.inf:
            raise InputError("latency, seconds", "more than 0", f"{self.seconds:g}")
        if self.samples is not None and self.samples != 0 and self.samples < FEWEST_SAMPLES:
            raise InputError(
                "latency, samples",
                f"{FEWEST_SAMPLES} or more, or 0 to measure every trial",
                str(self.samples),
            )

    @classmethod
    def parse(cls, text: str) -> LatencyOptions:
        """Options from text such as ``runtime=onnx,batch=8,threads=2,samples=60``.

        Raises:
            UnknownNameError: an unknown option.
            InputError: a value that cannot be read.
        """
        return parse(cls, text, "latency")


def described(measured: Mapping[str, Any]) -> str:
    """A readable line on how a latency was measured, from its fields."""
    threads = f"{measured['threads']} thread" + ("s" if measured["threads"] > 1 else "")
    runtime = measured.get("runtime", "eager")
    how = "" if runtime == "eager" else f", {runtime}"
    return (
        f"median of {measured['runs']} runs, batch {measured['batch']}, {threads}{how}, "
        f"{measured['device']}"
    )


def noisy(metrics: Mapping[str, float]) -> bool:
    """Whether a trial's latency was noisy even in a second measurement."""
    return metrics.get("latency_spread", 0.0) > WIDE
