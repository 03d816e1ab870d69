"""Whether an exported file computes what the live model computes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._support.trees import Tree, count_examples, leaves

if TYPE_CHECKING:
    from torch import Tensor

#: Largest difference that is accepted, relative to the scale of the outputs (:attr:`Check.scale`).
TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True)
class Check:
    """One file against the live model, on real raw inputs.

    Attributes:
        file: its name in the folder.
        examples: how many were compared, over all batches.
        batches: the batch sizes that were run.
        max_abs_difference: largest absolute difference of a value; of several outputs, that of the
            one that differs most relative to its scale.
        scale: of that output: 1 for probabilities (at least 0, rows that sum to 1), otherwise the
            largest absolute value of the live model.
        same_top1: share of examples with the same largest output; ``None`` if no output has shape
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
        """Whether the difference is within tolerance; NaN is not."""
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
    """What :func:`archsmith.export.export` wrote and how it compares with the live model.

    Attributes:
        folder: where the files are.
        checks: one for each file that was reloaded.
        absent: the reason for each file that is missing, by its name.
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
    live: Callable[[Tree], Tree],
    loaded: Callable[[Tree], Tree],
    batches: Sequence[Tree],
) -> Check:
    """Run the live model and a reloaded file on the same raw batches.

    Args:
        file: name for the check.
        live, loaded: functions from raw inputs to outputs, examples first.
        batches: raw inputs, of different sizes.
    """
    records: list[_OutputRecord] = []
    same, ranked = 0, 0
    for inputs in batches:
        outputs, reloaded = (list(leaves(run(inputs))) for run in (live, loaded))
        records += [_OutputRecord() for _ in range(max(1, len(outputs)) - len(records))]
        if len(outputs) != len(reloaded) or not outputs:
            records[0].differences.append(math.inf)
            continue
        for record, expected, got in zip(records, outputs, reloaded, strict=True):
            record.outputs.append(expected)
            if expected.shape != got.shape:
                record.differences.append(math.inf)
                continue
            difference = float((expected.double() - got.double()).abs().max())
            record.differences.append(difference)
            if expected.dim() == 2 and expected.shape[1] > 1:
                same += int((expected.argmax(1) == got.argmax(1)).sum())
                ranked += len(expected)
    sizes = tuple(count_examples(inputs) for inputs in batches)
    worst = max(records, key=lambda record: record.share)
    top1 = same / ranked if ranked else None
    return Check(file, sum(sizes), sizes, worst.difference, worst.scale, top1)


@dataclass(slots=True)
class _OutputRecord:
    """One output over all batches; each has its own scale (boxes in pixels, scores up to 1)."""

    outputs: list[Tensor] = field(default_factory=list)
    differences: list[float] = field(default_factory=list)

    @property
    def difference(self) -> float:
        # max() alone would drop a NaN.
        return (
            math.nan
            if any(map(math.isnan, self.differences))
            else max(self.differences, default=0.0)
        )

    @property
    def scale(self) -> float:
        if all(map(_are_probabilities, self.outputs)):
            return 1.0
        return max(float(output.abs().max()) for output in self.outputs)

    @property
    def share(self) -> float:
        """The difference relative to the scale; NaN is the worst."""
        if math.isnan(self.difference) or (self.difference and not self.scale):
            return math.inf
        return self.difference / self.scale if self.difference else 0.0


def _are_probabilities(outputs: Tensor) -> bool:
    """Whether every row (n, k, ...) is a distribution over k of 2 or more."""
    if outputs.dim() < 2 or outputs.shape[1] < 2:
        return False
    sums = outputs.double().sum(1)
    return bool((outputs >= 0).all()) and bool(((sums - 1).abs() <= 1e-3).all())
