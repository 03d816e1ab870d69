"""Interleaved measurements of many architectures, so that other load on the machine affects all."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from .._support.trees import Spec, as_spec, example_of
from ..space import Space
from ..space.architecture import Architecture
from ..space.beside import model_part
from .cost import weight_bytes
from .latency import Probe
from .options import LatencyOptions

#: Rounds, each of which measures every architecture once.
ROUNDS = 4
_BYTES = 2e9  # of weights that are kept in memory at once


def distinct(space: Space, count: int, seed: int = 0) -> list[Architecture]:
    """The default and random architectures with distinct graphs; fewer than ``count`` if the space
    has no more.

    They are drawn decision by decision, as strategies draw them.
    """
    rng = random.Random(f"{seed} latency")
    default = space.default()
    architectures = {space.canonical(model_part(space, default)): default}
    for _ in range(50 * count):
        if len(architectures) >= count:
            break
        architecture = space.sample(rng)
        graph = space.canonical(model_part(space, architecture))
        architectures.setdefault(graph, architecture)
    return list(architectures.values())


def measure_all(
    space: Space,
    architectures: Sequence[Architecture],
    inputs: Spec | Sequence[int],
    dtype: str = "float32",
    *,
    device: str = "cpu",
    options: LatencyOptions | None = None,
    rounds: int = ROUNDS,
    seed: int = 0,
    on_done: Callable[[int, int], None] | None = None,
) -> list[float]:
    """Latencies in milliseconds per batch, one per architecture.

    Each architecture is prepared once and measured in several rounds, in another order in each
    round. The lowest of the rounds' 10 % quantiles counts, since other work on the machine can only
    make a run slower. To estimate medians, as for a trial's latency, all are multiplied by one
    factor: the ratio of median to 10 % quantile in the steadier half of the measurements.

    Args:
        inputs: inputs of a model: a spec, or the shape of one input with the batch first.
        options: runtime, batch, threads; ``seconds`` is for all rounds of an architecture.
        on_done: called with the number of finished measurements and their total number.

    Raises:
        InputError: a device that this machine does not have, or that the runtime does not support.
    """
    options = options or LatencyOptions()
    example = example_of(as_spec(inputs, dtype), batch=1, device=device)
    rng = random.Random(seed)
    best: dict[int, float] = {}
    ratios: list[float] = []
    waiting = list(enumerate(architectures))
    done, total = 0, rounds * len(waiting)
    while waiting:
        probes: dict[int, Probe] = {}
        weight_total = 0
        while waiting and (not probes or weight_total < _BYTES):
            place, architecture = waiting.pop(0)
            model = space.build(architecture, seed=0).to(device)
            weight_total += weight_bytes(model)
            probes[place] = Probe(
                model,
                example,
                device=device,
                runtime=options.runtime,
                batch=options.batch,
                threads=options.threads,
            )
        for _ in range(rounds):
            for place in rng.sample(sorted(probes), len(probes)):
                latency = probes[place].measure(seconds=options.seconds / rounds)
                best[place] = min(best.get(place, latency.p10), latency.p10)
                ratios.append(latency.median / latency.p10)
                done += 1
                if on_done is not None:
                    on_done(done, total)
    # The median of the lower half.
    factor = sorted(ratios)[len(ratios) // 4] if ratios else 1.0
    return [factor * best[place] for place in range(len(architectures))]
