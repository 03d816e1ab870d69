"""A reference as large, or as slow, as another network: the widths that make it so."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..task.references import NetworkReference

if TYPE_CHECKING:
    from ..task.problem import Problem

#: The widest and the narrowest that are tried, as powers of two of the published widths.
_NARROWEST, _WIDEST = -7, 4
#: How often the range is halved: parameters are counted, and latencies only measured.
_COUNTED, _MEASURED = 12, 5


def nearest_scale(
    reference: NetworkReference, problem: Problem, metric: str, value: float, seed: int
) -> float | None:
    """The largest factor of its widths with which a network is at most at ``value``.

    Args:
        metric: ``"params"``, or ``"latency_ms"``, which is measured as the problem says.

    Returns:
        ``None`` if even the narrowest network is above the value.
    """
    arguments = problem.task.arguments(problem.data.facts)

    def params(scale: float) -> float:
        outline = reference.build(arguments, seed, scale, "meta")
        return float(sum(parameter.numel() for parameter in outline.parameters()))

    def latency(scale: float) -> float:
        from ..hardware.clock import steadied
        from ..hardware.latency import Probe

        options, model = problem.latency, reference.build(arguments, seed, scale)
        probe = Probe(
            model,
            problem.example(),
            device=problem.device,
            runtime=options.runtime,
            batch=options.batch,
            threads=options.threads,
        )
        return steadied(lambda: probe.measure(seconds=options.seconds)).median

    if metric == "params":
        return largest(params, value, _COUNTED)
    return largest(latency, value, _MEASURED)


def largest(measure: Callable[[float], float], value: float, halvings: int) -> float | None:
    """The largest scale found at which a growing function is at most ``value``.

    The search begins at 1, which is where most networks are near, and doubles or halves until it
    has the value between two scales; then it halves their ratio a number of times.

    Returns:
        ``None`` if the function is above the value even at 1/128.
    """
    low = high = 0
    if measure(1.0) <= value:
        while high == low or (high < _WIDEST and measure(2.0**high) <= value):
            low, high = high, high + 1
    else:
        while low == high or measure(2.0**low) > value:
            low, high = low - 1, low
            if low < _NARROWEST:
                return None
    below, above = float(low), float(high)
    for _ in range(halvings):
        middle = (below + above) / 2
        if measure(2.0**middle) <= value:
            below = middle
        else:
            above = middle
    return math.pow(2.0, below)
