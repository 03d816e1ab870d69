"""Whether an exported file computes what the live model computes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

#: Largest difference that passes, relative to the largest live output where that is above 1.
TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True)
class Check:
    """One file against the live model, on real raw inputs.

    Attributes:
        file: its name in the folder.
        examples: how many were compared, over all batches.
        batches: the batch sizes that they were run in.
        max_abs_difference: largest absolute difference of any output value.
        scale: largest absolute value of a live output, at least 1.
        same_top1: share of examples with the same largest output; ``None`` where outputs are not
            (n, k) with k of 2 or more.
    """

    file: str
    examples: int
    batches: tuple[int, ...]
    max_abs_difference: float
    scale: float
    same_top1: float | None

    @property
    def ok(self) -> bool:
        """Within tolerance; a NaN is not."""
        return self.max_abs_difference <= TOLERANCE * self.scale

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "file": self.file,
            "ok": self.ok,
            "max_abs_difference": _finite(self.max_abs_difference),
            "scale": _finite(self.scale),
            "same_top1": self.same_top1,
            "examples": self.examples,
            "batches": list(self.batches),
        }


@dataclass(frozen=True, slots=True)
class Parity:
    """What :func:`archsmith.export.export` wrote and how it compared.

    Attributes:
        folder: where the files are.
        checks: one for each file that was reloaded.
        absent: file to the reason why it is not there.
    """

    folder: Path
    checks: tuple[Check, ...]
    absent: Mapping[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether every file that was reloaded agreed."""
        return all(check.ok for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        """What ``parity.json`` holds."""
        return {
            "ok": self.ok,
            "tolerance": TOLERANCE,
            "files": [check.to_json() for check in self.checks],
            "absent": dict(self.absent),
        }


def _finite(value: float) -> float | None:
    """JSON has neither NaN nor infinity."""
    return value if math.isfinite(value) else None


def compare(
    file: str,
    live: Callable[[Tensor], Tensor],
    loaded: Callable[[Tensor], Tensor],
    batches: Sequence[Tensor],
) -> Check:
    """Run both on the same raw batches.

    Args:
        file: name for the check.
        live, loaded: raw inputs (n, ...) to outputs (n, ...).
        batches: raw inputs, of different sizes.
    """
    differences: list[float] = []
    scale, same, ranked = 1.0, 0, 0
    for inputs in batches:
        expected, got = live(inputs), loaded(inputs)
        if expected.shape != got.shape:
            differences.append(math.inf)
            continue
        differences.append(float((expected.double() - got.double()).abs().max()))
        scale = max(scale, float(expected.abs().max()))
        if expected.dim() == 2 and expected.shape[1] > 1:
            same += int((expected.argmax(1) == got.argmax(1)).sum())
            ranked += len(expected)
    sizes = tuple(len(inputs) for inputs in batches)
    # max() alone would drop a NaN.
    worst = math.nan if any(map(math.isnan, differences)) else max(differences)
    return Check(file, sum(sizes), sizes, worst, scale, same / ranked if ranked else None)
