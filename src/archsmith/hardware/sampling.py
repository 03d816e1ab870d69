"""Many architectures measured side by side, so that what the machine does meanwhile hits all."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from .._support.trees import Spec, as_spec, example_of
from ..space import Space
from ..space.architecture import Architecture
from .cost import weight_bytes
from .latency import Probe
from .options import LatencyOptions

#: Rounds, each of which measures every architecture once.
ROUNDS = 4
_BYTES = 2e9  # of weights that are held ready at once


def distinct(space: Space, count: int, seed: int = 0) -> list[Architecture]:
    """The default and random architectures, none twice as a graph; fewer where there are no more.

    They are drawn decision by decision, as strategies draw.
    """
    rng = random.Random(f"{seed} latency")
    found = {space.canonical(space.default()): space.default()}
    for _ in range(50 * count):
        if len(found) >= count:
            break
        architecture = space.sample(rng)
        found.setdefault(space.canonical(architecture), architecture)
    return list(found.values())


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
    """Latencies in milliseconds a batch, one an architecture.

    Each is made ready once and measured in several rounds, each round in another order. The least
    of the rounds' 10 % quantiles counts, since other work on the machine can only make a run
    slower. To be medians, as a trial's latency is, all are multiplied by one factor: how much a
    median is above that quantile in the steadier half of the measurements.

    Args:
        options: runtime, batch, threads; ``seconds`` is for all rounds of an architecture.
        on_done: called with how many of the measurements are done, and of how many.
    """
    options = options or LatencyOptions()
    example = example_of(as_spec(inputs, dtype), batch=1, device=device)
    rng = random.Random(seed)
    best: dict[int, float] = {}
    above: list[float] = []
    waiting = list(enumerate(architectures))
    done, total = 0, rounds * len(waiting)
    while waiting:
        probes: dict[int, Probe] = {}
        held = 0
        while waiting and (not probes or held < _BYTES):
            place, architecture = waiting.pop(0)
            model = space.build(architecture, seed=0).to(device)
            held += weight_bytes(model)
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
                above.append(latency.median / latency.p10)
                done += 1
                if on_done is not None:
                    on_done(done, total)
    # The median of the lower half.
    factor = sorted(above)[len(above) // 4] if above else 1.0
    return [factor * best[place] for place in range(len(architectures))]
