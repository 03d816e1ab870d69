"""The time of each different operation, measured alone: a table to add up from."""

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

#: Rounds over the operations; the least of their medians counts.
_ROUNDS = 3


def measure_blocks(
    found: Sequence[Operation],
    *,
    device: str = "cpu",
    threads: int = 1,
    seconds: float = 0.02,
    clock: Clock | None = None,
    on_done: Callable[[int, int], None] | None = None,
) -> dict[str, float]:
    """Milliseconds of each different operation by its key.

    Each is called alone with tensors of the shapes that it had in its model, as lookup tables are
    made (Cai et al. 2019, arXiv:1812.00332; kernels in nn-Meter, Zhang et al. 2021). What torch
    spends between operations is not in it, and an operation that cannot be called alone is left
    out.

    Args:
        found: of one or many models.
        seconds: about how long an operation is measured, in all rounds.
        clock: gives seconds; for tests.
        on_done: called with how many of the measurements are done, and of how many.
    """
    place = device_here(device)
    unique = {operation.key: operation for operation in found}
    best: dict[str, float] = {}
    timing: dict[str, Any] = {"clock": clock} if clock is not None else {}
    done, total = 0, _ROUNDS * len(unique)
    with as_deployed(threads), torch.inference_mode():
        for _ in range(_ROUNDS):
            for key, operation in unique.items():
                try:
                    run = _call(operation, place)
                    run()
                except Exception:  # it needs values that zeros and ones are not
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
    """Adds up the times of operations, and prices what lies between them.

    An operation that is not in the table is priced by its kind, FLOPs and bytes, as the known ones
    tell.

    Attributes:
        table: milliseconds by key.
        unknown: prices an operation that is not there.
        total: prices the sum and the number of operations of a pass.
    """

    table: Mapping[str, float]
    unknown: Linear
    total: Linear

    @classmethod
    def fit(
        cls, passes: Sequence[Sequence[Operation]], times: Array, blocks: Mapping[str, float]
    ) -> BlockSum:
        """Fit to passes with their times.

        Of the blocks, those of these passes alone are used: so a pass that is held out is told from
        blocks that it shares with others, as any later architecture is.
        """
        unique = {one.key: one for found in passes for one in found if one.key in blocks}
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
        missing = {o.key: o for found in passes for o in found if o.key not in self.table}
        priced = self.unknown.predict([features([one]) for one in missing.values()])
        prices = {**self.table, **dict(zip(missing, map(float, priced), strict=True))}
        return [
            {"sum": sum(prices[one.key] for one in found), "calls": float(len(found))}
            for found in passes
        ]


def _call(operation: Operation, place: torch.device) -> Callable[[], None]:
    args = tuple(_real(value, place) for value in operation.arguments)
    named = {name: _real(value, place) for name, value in operation.named.items()}

    def run() -> None:
        wait(place)
        operation.function(*args, **named)
        wait(place)

    return run


def _real(value: Any, place: torch.device) -> Any:
    """A tensor of the same shape and layout with ones (zeros where they are whole numbers)."""
    if isinstance(value, Tensor):
        made = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device=place)
        return made.fill_(1.0) if made.is_floating_point() else made.zero_()
    if isinstance(value, list | tuple):
        return type(value)(_real(item, place) for item in value)
    if isinstance(value, torch.device):
        return place
    return value
