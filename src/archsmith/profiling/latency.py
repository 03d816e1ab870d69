"""Measured latency of a few architectures."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from ..evaluate.base import Watch
from ..evaluate.latency import LatencyEvaluator
from ..hardware.options import LatencyOptions
from ..history.trial import Fidelity
from ..space import Architecture
from .facts import Example, Spread
from .sample import Sample, spread

if TYPE_CHECKING:
    from ..task.problem import Problem
    from .inspector import Inspector

#: Architectures of the sample that are measured if a limit or an objective is about latency.
_MEASURED = 12
#: Seconds per measurement.
_SECONDS = 0.15


def measure_latency(
    problem: Problem,
    inspector: Inspector,
    sample: Sample,
    costs: dict[str, Spread],
    wanted_metrics: Collection[str],
    tell: Callable[[str], None],
) -> dict[Architecture, dict[str, float]]:
    """Latency of the smallest, middle and largest architecture by FLOPs, and of more if asked for.

    Args:
        costs: spreads of the static costs; that of latency is added.
        wanted_metrics: metrics of the limits and objectives.

    Returns:
        The measured metrics: first of the sample, if latency is among ``wanted_metrics``, then of
        the other architectures.
    """
    flops = costs.get("flops")
    if flops is None:
        return {}
    drawn: list[Architecture] = []
    if any(name.startswith("latency") for name in wanted_metrics):
        drawn = [a for a in dict.fromkeys(sample.drawn) if a in inspector.costs][:_MEASURED]
    few = [example.architecture for example in (flops.smallest, flops.middle, flops.largest)]
    measured: dict[Architecture, dict[str, float]] = {}
    evaluator = LatencyEvaluator(
        problem.space,
        inspector.inputs,
        device=problem.device,
        options=LatencyOptions(seconds=_SECONDS),
    )
    chosen = list(dict.fromkeys([*drawn, *few]))
    for number, architecture in enumerate(chosen, start=1):
        tell(f"timing forward passes: {number} of {len(chosen)}")
        try:
            measured[architecture] = evaluator.evaluate(architecture, Fidelity(), 0, Watch())
        except Exception:
            continue  # a model that works only on meta has no latency
    values = {a: metrics["latency_ms"] for a, metrics in measured.items()}
    if values:
        ends = [
            Example(values[a], a)
            for a in (min(values, key=values.__getitem__), max(values, key=values.__getitem__))
        ]
        population = [a for a in drawn if a in values] or list(values)
        costs["latency_ms"] = spread("latency_ms", values, population, ends, False)
    return measured
