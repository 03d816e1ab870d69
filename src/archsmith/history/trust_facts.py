"""Measurements of shared weights, as one value that is stored, reported and printed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from .._support.errors import InputError
from ..space.architecture import Answer, answer_text
from .agreement import Agreement, rank_agreement, top_fifth
from .objective import Objective


@dataclass(frozen=True, slots=True)
class Judged:
    """An architecture evaluated with shared weights and on its own.

    Attributes:
        name: its id, or another name.
        shared: the metric with shared weights, with BatchNorm statistics recalibrated for it.
        alone: the metric after training on its own, or from a table.
        raw: the metric with shared weights before recalibrating BatchNorm, if measured.
    """

    name: str
    shared: float
    alone: float
    raw: float | None = None

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Judged:
        """The inverse of :meth:`~archsmith.history.trust.Trust.to_json` for one architecture."""
        raw = values.get("raw")
        return cls(values["name"], _number(values["shared"]), _number(values["alone"]), raw)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a search and its cost.

    Attributes:
        value: the metric of the best architecture, trained on its own.
        architectures: how many were trained on their own.
        seconds: total time, including training of the shared weights.
        name: id of the architecture.
    """

    value: float
    architectures: int
    seconds: float
    name: str = ""


@dataclass(frozen=True, slots=True)
class Visits:
    """How often each option of a decision was trained.

    Attributes:
        counts: maps the label of an option to its number of updates.
        evenness: updates of the least trained option relative to an equal share: 1.0 if all got
            the same, 0.0 if one was never trained.
    """

    decision: str
    counts: Mapping[str, int]

    @property
    def evenness(self) -> float:
        total = sum(self.counts.values())
        return min(self.counts.values()) * len(self.counts) / total if total else 0.0

    @property
    def least(self) -> tuple[str, int]:
        """The least trained option and its count."""
        label = min(self.counts, key=lambda label: self.counts[label])
        return label, self.counts[label]


@dataclass(frozen=True, slots=True)
class Recalibration:
    """The effect of recalibrating BatchNorm statistics for each architecture.

    Attributes:
        shared: mean change of the shared metric (after minus before), over architectures where both
            are finite; ``None`` if there are none.
        tau: change of Kendall's tau, ``None`` if either is unknown.
    """

    shared: float | None
    tau: float | None


@dataclass(frozen=True, slots=True)
class TrustFacts:
    """Whether shared weights can be trusted, for one supernet. Create it with :meth:`of`.

    Attributes:
        objective: the metric of all values here and its direction.
        truth: source of stand-alone values: ``trained for 8 epochs each``, ``read from the table
            nb201``.
        sample: random architectures, each evaluated both ways; empty if nothing was measured.
        after, before: agreement with shared values after and before recalibration.
        visits: maps decisions to options to how often each was trained.
        chosen: the architecture that the search found, evaluated like the sample; it is not part
            of the sample, which would not be random with it.
        found: the result of the one-shot search, trained on its own.
        random: the result of random search with the same total budget.
    """

    objective: Objective
    truth: str = ""
    sample: Sequence[Judged] = ()
    after: Agreement | None = None
    before: Agreement | None = None
    visits: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    chosen: Judged | None = None
    found: Outcome | None = None
    random: Outcome | None = None

    @classmethod
    def of(
        cls,
        objective: Objective,
        sample: Iterable[Judged] = (),
        truth: str = "",
        *,
        visits: Mapping[str, Mapping[str, int]] | None = None,
        chosen: Judged | None = None,
        found: Outcome | None = None,
        random: Outcome | None = None,
        resamples: int = 1000,
        seed: int = 0,
    ) -> Self:
        """Measure agreement on a sample and store the other facts with it.

        Args:
            resamples, seed: of the bootstrap, see
                :func:`~archsmith.history.agreement.rank_agreement`.

        Raises:
            InputError: only part of the sample has a value before recalibration.
        """
        sample = tuple(sample)
        raw = [judged.raw for judged in sample if judged.raw is not None]
        if raw and len(raw) != len(sample):
            raise InputError(
                "trust",
                "a value before recalibration for every architecture or for none",
                f"{len(raw)} of {len(sample)}",
            )
        alone = [judged.alone for judged in sample]

        def agreement(shared: Sequence[float]) -> Agreement | None:
            if not shared:
                return None
            return rank_agreement(
                shared, alone, direction=objective.direction, resamples=resamples, seed=seed
            )

        return cls(
            objective,
            truth,
            sample,
            agreement([judged.shared for judged in sample]),
            agreement(raw),
            visits or {},
            chosen,
            found,
            random,
        )

    @property
    def tallies(self) -> tuple[Visits, ...]:
        """Visits by decision, only of decisions with options."""
        return tuple(Visits(name, counts) for name, counts in self.visits.items() if counts)

    @property
    def recalibration(self) -> Recalibration | None:
        """The effect of recalibration, ``None`` if it was not measured."""
        if self.after is None or self.before is None:
            return None
        changes = [judged.shared - judged.raw for judged in self.sample if judged.raw is not None]
        changes = [change for change in changes if math.isfinite(change)]
        after, before = self.after.tau.value, self.before.tau.value
        return Recalibration(
            sum(changes) / len(changes) if changes else None,
            after - before if after is not None and before is not None else None,
        )

    @property
    def top(self) -> tuple[Judged, ...]:
        """The top fifth of the sample by stand-alone value, in the order of the sample."""
        chosen = top_fifth([judged.alone for judged in self.sample], self.objective.direction)
        return tuple(judged for judged, top in zip(self.sample, chosen, strict=True) if top)

    @property
    def beaten(self) -> int | None:
        """How many of the sample are worse than the chosen architecture, trained on their own."""
        if self.chosen is None or not self.sample:
            return None
        sign = 1.0 if self.objective.direction == "maximize" else -1.0
        mine = sign * self.chosen.alone
        return sum(mine > sign * judged.alone for judged in self.sample)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_json`; null becomes NaN again."""

        def agreement(name: str) -> Agreement | None:
            return Agreement.from_json(values[name]) if values.get(name) else None

        def outcome(name: str) -> Outcome | None:
            stored = values.get(name)
            return Outcome(**{**stored, "value": _number(stored["value"])}) if stored else None

        chosen = values.get("chosen")
        return cls(
            objective=Objective(values["metric"], values["direction"]),
            truth=values.get("truth", ""),
            sample=tuple(Judged.from_json(judged) for judged in values.get("sample", ())),
            after=agreement("after"),
            before=agreement("before"),
            visits=values.get("visits") or {},
            chosen=Judged.from_json(chosen) if chosen else None,
            found=outcome("found"),
            random=outcome("random"),
        )


def tally(
    visits: Mapping[tuple[str, Answer], int],
    options: Mapping[str, Sequence[Answer]] | None = None,
) -> dict[str, dict[str, int]]:
    """Visits by decision and label, from counts by (decision, answer).

    Args:
        visits: how often each answer was trained.
        options: all options of decisions, in their order, so that one that was never trained has
            a count of 0.
    """
    counts_by_decision: dict[str, dict[str, int]] = {
        name: {answer_text(answer): 0 for answer in answers}
        for name, answers in (options or {}).items()
    }
    for (name, answer), count in visits.items():
        label = answer_text(answer)
        counts = counts_by_decision.setdefault(name, {})
        counts[label] = counts.get(label, 0) + count
    return counts_by_decision


def _number(value: float | None) -> float:
    return math.nan if value is None else value
