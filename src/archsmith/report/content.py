"""Everything that the report shows, as plain values."""

from __future__ import annotations

import shlex
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ..history.objective import COSTS, Limit, Metric, Objective, violation
from ..history.trial import State, Trial
from ..space.architecture import Answer, answer_text

if TYPE_CHECKING:
    from ..history.paired import Comparison
    from ..history.trust import Trust
    from .graph import Graph


_MEASURED_WITH = ("latency_batch", "latency_threads", "latency_error")
#: Costs that follow from others, shown only if they are objectives or limited.
_DERIVED = ("weights_mb", "peak_mb")

#: The word for each level of a verdict on shared weights.
LEVELS = {"good": "good", "fair": "fair", "poor": "poor", "unknown": "not known"}
_SAMPLE = 20  # architectures that the suggested command judges


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """A decision of the best architecture: its name, the answer, and the default answer.

    ``default`` is ``None`` if the default architecture does not have this decision.
    """

    name: str
    answer: str
    default: str | None

    @property
    def changed(self) -> bool:
        return self.default is not None and self.default != self.answer


def decision_rows(
    architecture: Mapping[str, Answer], default: Mapping[str, Answer]
) -> tuple[DecisionRow, ...]:
    """The decisions of an architecture next to those of the default one, in their order."""
    return tuple(
        DecisionRow(
            name, answer_text(value), answer_text(default[name]) if name in default else None
        )
        for name, value in architecture.items()
    )


@dataclass(frozen=True, slots=True)
class FinalistRow:
    """An architecture trained to the end.

    Attributes:
        name: ``"best of the search"``, ``"default"``.
        validation, test: metrics on these parts, by name.
        costs: ``params``, ``flops``, ``latency_ms``, ``memory_mb`` as far as they are known.
        seconds: of its training.
        curve: per-epoch metrics with ``epoch``, ``train_loss`` and the validation metrics.
        repeats: the test metrics of each training, if there were several.
        whole: whether it was trained on the validation part as well.
    """

    name: str
    validation: Mapping[str, float] = field(default_factory=dict)
    test: Mapping[str, float] = field(default_factory=dict)
    costs: Mapping[str, float] = field(default_factory=dict)
    seconds: float | None = None
    curve: Sequence[Mapping[str, float]] = ()
    repeats: Sequence[Mapping[str, float]] = ()
    whole: bool = False

    def spread(self, metric: str) -> str:
        """Mean and standard deviation of a metric over its trainings, in words; empty for one."""
        values = [one[metric] for one in self.repeats if metric in one]
        if len(values) < 2:
            return ""
        mean, spread = statistics.mean(values), statistics.stdev(values)
        return f"{mean:.4g} ± {spread:.2g} over {len(values)} seeds"


@dataclass(frozen=True, slots=True)
class BaselineRow:
    """A reference model beside the winner.

    Attributes:
        label: its name, and what it shares with the winner.
        test, costs: metrics, by name.
        seconds: of its training.
        comparison: of the winner with it on the test examples, if they could be compared.
        words: the same as a sentence without its subject.
    """

    label: str
    test: Mapping[str, float] = field(default_factory=dict)
    costs: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    comparison: Comparison | None = None
    words: str = ""


@dataclass(frozen=True, slots=True)
class SupernetFacts:
    """How shared weights were trained.

    Attributes:
        method: name of the one-shot method: ``spos``, ``darts``.
        epochs: number of epochs trained.
        seconds: of training, ``None`` if unknown.
        parameters: number of parameters in the store of shared weights.
        curve: per-epoch values with ``epoch``: ``train_loss``, validation metrics, and what else
            the method reports (entropy, share of parameter-free operations).
        stopped: why training ended before its budget, if it did.
    """

    method: str
    epochs: int = 0
    seconds: float | None = None
    parameters: int | None = None
    curve: Sequence[Mapping[str, float]] = ()
    stopped: str = ""


@dataclass(frozen=True, slots=True)
class ReportContent:
    """A study as the report shows it; the later parts of an unfinished one are empty.

    Attributes:
        title: such as ``convnet on digits``.
        objectives: at least one; the first decides which trial is best.
        summary: how the data was read, line by line.
        command: the command line that repeats the study.
        trials: all trials, by number.
        best: number of the best trial, ``None`` while there is none.
        front: numbers of the Pareto front.
        finalists: the winner first, then the default architecture.
        comparison: of these two on the test examples.
        baselines: reference models that the winner was compared with.
        graph: data flow of the best architecture.
        decisions: its decisions.
        predictions: a picture of predictions, as PNG bytes.
        environment: names and values: versions, device, threads.
        state: whether the search is running, finished, or was stopped before its budget.
        progress: in words: ``23 of 50 trials, stopped: time is up``.
        planned: trials in the budget.
        warnings: what went wrong, line by line.
        metrics: units and directions of the task's metrics.
        seconds: of work so far.
        created: when the report was written, for display.
        folder: of the run, for suggested commands.
        account: how a time budget was divided and spent, and how far short trials ranked as long
            ones, in words.
        supernet: how shared weights were trained, in runs that have some.
        trust: whether they can be trusted, as far as it was measured.
    """

    title: str
    objectives: Sequence[Objective]
    trials: Sequence[Trial] = ()
    limits: Sequence[Limit] = ()
    summary: Sequence[str] = ()
    command: str = ""
    best: int | None = None
    front: Sequence[int] = ()
    finalists: Sequence[FinalistRow] = ()
    comparison: Comparison | None = None
    baselines: Sequence[BaselineRow] = ()
    graph: Graph | None = None
    decisions: Sequence[DecisionRow] = ()
    predictions: bytes | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
    state: Literal["running", "finished", "stopped"] = "finished"
    progress: str = ""
    planned: int | None = None
    warnings: Sequence[str] = ()
    metrics: Sequence[Metric] = ()
    seconds: float = 0.0
    created: str = ""
    folder: str = "RUN"
    account: Sequence[str] = ()
    supernet: SupernetFacts | None = None
    trust: Trust | None = None

    @property
    def known(self) -> dict[str, Metric]:
        """All metrics with units and directions, by name."""
        return COSTS | {metric.name: metric for metric in self.metrics}

    @property
    def remarks(self) -> list[str]:
        """Lines about the finalists: metrics of several trainings, and what they trained on."""
        names = {name for f in self.finalists for name in f.test}
        goal = self.objectives[0].metric
        name = (
            goal if goal in names else next((m.name for m in self.metrics if m.name in names), "")
        )
        texts = [(f.name, f.spread(name)) for f in self.finalists]
        lines = [f"{who}: {name} {spread}" for who, spread in texts if spread]
        lines += [
            f"{f.name}: trained on training and validation part together; validation figures are "
            "those of its trial"
            + ("; no example was left to calibrate its probabilities" if "ece" in f.test else "")
            for f in self.finalists
            if f.whole
        ]
        return [*lines, *self.account]

    @property
    def predicted_part(self) -> str:
        """The part of the data whose predictions are drawn: one that the winner did not see."""
        return "test" if self.finalists and self.finalists[0].whole else "validation"

    @property
    def surroundings(self) -> dict[str, str]:
        """The environment, and what the latency of the trials was measured with."""
        batches, threads, errors = (self._values(name) for name in _MEASURED_WITH)
        if not batches or not threads:
            return dict(self.environment)
        listed = [", ".join(f"{value:g}" for value in values) for values in (batches, threads)]
        plural = "" if threads == [1.0] else "s"
        how = f"batch {listed[0]}, {listed[1]} thread{plural}"
        if errors:
            how += f", predicted ({errors[0]:.0%} off on average where it was checked)"
        return {**self.environment, "latency of a trial": how}

    @property
    def best_trial(self) -> Trial | None:
        return next((trial for trial in self.trials if trial.number == self.best), None)

    @property
    def front_trials(self) -> list[Trial]:
        by_number = {trial.number: trial for trial in self.trials}
        return [by_number[number] for number in self.front if number in by_number]

    @property
    def counts(self) -> dict[State, int]:
        """The number of trials in each state that occurs, in the order of the states."""
        counts = Counter(trial.state for trial in self.trials)
        return {state: counts[state] for state in State if counts[state]}

    def feasible(self, trial: Trial) -> bool:
        """Whether a trial keeps all limits."""
        return violation(trial.metrics, self.limits) == 0.0

    def direction(self, metric: str) -> str | None:
        """``maximize`` or ``minimize``; ``None`` if it is unknown which way is better."""
        for objective in self.objectives:
            if objective.metric == metric:
                return objective.direction
        known = self.known.get(metric)
        return known.direction if known else None

    def columns(self) -> list[str]:
        """Metrics that trials have: objectives, then costs, then the rest by name.

        The settings of latency measurements are left out if they are the same in all trials.
        """
        present = {name for trial in self.trials for name in trial.metrics}
        goals = list(dict.fromkeys(objective.metric for objective in self.objectives))
        limited = {limit.metric for limit in self.limits}
        costs = [
            name
            for name in COSTS
            if name in present and name not in goals and (name not in _DERIVED or name in limited)
        ]
        same = {name for name in _MEASURED_WITH if len(self._values(name)) == 1}
        rest = sorted(present - set(goals) - set(COSTS) - same - {"epoch"})
        return goals + costs + rest

    def _values(self, metric: str) -> list[float]:
        """The distinct values of a metric among the trials, in ascending order."""
        return sorted({t.metrics[metric] for t in self.trials if metric in t.metrics})


def measuring(content: ReportContent) -> str:
    """The command that measures how far to trust shared weights, or does so on a larger sample.

    ``""`` if there already is a verdict.
    """
    trust = content.trust
    if trust is not None and trust.verdict.level != "unknown":
        return ""
    done = len(trust.sample) if trust is not None else 0
    return f"archsmith trust {shlex.quote(content.folder)} --sample {max(_SAMPLE, 2 * done)}"
