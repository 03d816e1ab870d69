"""The time of each distinct operation, measured alone: a lookup table for sums."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .clock import Clock, quantiles, timed
from .place import as_deployed, device_here, wait
from .regress import Array, Linear
from .work import Operation, features

#: Rounds over the operations; the lowest of their medians counts.
_ROUNDS = 3


def measure_blocks(
    operations: Sequence[Operation],
    *,
    device: str = "cpu",
    threads: int = 1,
    seconds: float = 0.02,
    clock: Clock | None = None,
    on_done: Callable[[int, int], None] | None = None,
) -> dict[str, float]:
    """Milliseconds of each distinct operation by its key.

    Each is called alone with tensors of the shapes that it had in its model, as in latency lookup
    tables (Cai et al. 2019, arXiv:1812.00332; kernels in nn-Meter, Zhang et al. 2021). The time
    that torch spends between operations is not included, and an operation that cannot be called
    alone is left out.

    Args:
        operations: those of one or many models.
        seconds: about how long an operation is measured, over all rounds.
        clock: returns seconds; for tests.
        on_done: called with the number of finished measurements and their total number.

    Raises:
        InputError: a device that this machine does not have.
    """
    place = device_here(device)
    unique = {operation.key: operation for operation in operations}
    best: dict[str, float] = {}
    timing: dict[str, Any] = {"clock": clock} if clock is not None else {}
    done, total = 0, _ROUNDS * len(unique)
    with as_deployed(threads), torch.inference_mode():
        for _ in range(_ROUNDS):
            for key, operation in unique.items():
                try:
                    run = _callable(operation, place)
                    run()
                except Exception:  # it fails on zeros and ones
                    continue
                finally:
                    done += 1
                    if on_done is not None:
                        on_done(done, total)
                times = timed(run, runs=50, seconds=seconds / _ROUNDS, **timing)
                median = quantiles(times)[0]
                best[key] = min(best.get(key, median), median)
    return best


@dataclass(frozen=True)
class BlockSum:
    """Sums the times of operations, and adds a price for the time between them.

    The time of an operation that is not in the table is estimated from its kind, FLOPs and bytes by
    a regression on the known operations.

    Attributes:
        table: milliseconds by key.
        unknown: estimates the time of an operation that is not in the table.
        total: estimates the time of a pass from the sum and the number of its operations.
    """

    table: Mapping[str, float]
    unknown: Linear
    total: Linear

    @classmethod
    def fit(
        cls, passes: Sequence[Sequence[Operation]], times: Array, blocks: Mapping[str, float]
    ) -> BlockSum:
        """Fit to passes with their times.

        Only blocks that occur in these passes are used, so that a held-out pass is predicted from
        blocks that it shares with others, as any later architecture is.
        """
        unique = {one.key: one for operations in passes for one in operations if one.key in blocks}
        table = {key: blocks[key] for key in unique}
        rows = [features([one]) for one in unique.values()]
        unknown = Linear.fit(rows, np.array(list(table.values())), lambda _: True)
        sums = cls(table, unknown, Linear((), 0.0, ()))._sums(passes)
        return cls(table, unknown, Linear.fit(sums, times, lambda _: True))

    def predict(self, rows: Sequence[Sequence[Operation]]) -> Array:
        """Milliseconds of each pass, (n,)."""
        return self.total.predict(self._sums(rows))

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "blocks",
            "table": dict(self.table),
            "unknown": self.unknown.to_json(),
            "total": self.total.to_json(),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> BlockSum:
        """The inverse of :meth:`to_json`."""
        unknown, total = (Linear.from_json(values[name]) for name in ("unknown", "total"))
        return cls(dict(values["table"]), unknown, total)

    def _sums(self, passes: Sequence[Sequence[Operation]]) -> list[dict[str, float]]:
        missing = {o.key: o for operations in passes for o in operations if o.key not in self.table}
        priced = self.unknown.predict([features([one]) for one in missing.values()])
        prices = {**self.table, **dict(zip(missing, map(float, priced), strict=True))}
        return [
            {"sum": sum(prices[one.key] for one in operations), "calls": float(len(operations))}
            for operations in passes
        ]


def _callable(operation: Operation, place: torch.device) -> Callable[[], None]:
    args = tuple(_materialise(value, place) for value in operation.arguments)
    named = {name: _materialise(value, place) for name, value in operation.named.items()}

    def run() -> None:
        wait(place)
        operation.function(*args, **named)
        wait(place)

    return run


def _materialise(value: Any, place: torch.device) -> Any:
    """A tensor of the same shape and layout filled with ones, or with zeros for integers."""
    if isinstance(value, Tensor):
        tensor = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device=place)
        return tensor.fill_(1.0) if tensor.is_floating_point() else tensor.zero_()
    if isinstance(value, list | tuple):
        return type(value)(_materialise(item, place) for item in value)
    if isinstance(value, torch.device):
        return place
    return value
