"""What a profile of a space says, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from ..history.objective import Limit, Objective
from ..space import Architecture
from ..space.architecture import Answer
from ..space.counting import Size
from ..study.faults import Fault


@dataclass(frozen=True)
class DecisionFacts:
    """A decision as it was met.

    Attributes:
        options: the domain in words, or the options one by one where they are few.
        default: the answer that nobody had to think about.
        asked: share of the draws of a search that ask it, each decision being drawn evenly.
        when: what has to be chosen for it to be asked, where one other decision says so; empty
            where it is always asked, or where several say so together.
        unmet: options that no draw took.
    """

    name: str
    options: tuple[str, ...]
    default: str
    asked: float
    when: str = ""
    unmet: tuple[str, ...] = ()


@dataclass(frozen=True)
class Example:
    """An architecture and one of its costs."""

    value: float
    architecture: Architecture


@dataclass(frozen=True)
class Spread:
    """How one cost is spread over the space.

    Attributes:
        smallest, largest: by greedy descent from the extremes of the sample.
        middle: the architecture of the sample next to its median.
        quantiles: of the sample, by their share (0.05, 0.25, 0.5, 0.75, 0.95).
        values: of the sample, in ascending order.
        settled: whether each descent came to its end; otherwise there may be more extreme ones.
    """

    metric: str
    smallest: Example
    middle: Example
    largest: Example
    quantiles: Mapping[float, float]
    values: tuple[float, ...]
    settled: bool


@dataclass(frozen=True)
class Share:
    """A share of the space.

    Attributes:
        value: the share among ``of`` architectures.
        low, high: 95 % interval (Wilson 1927); both the value where all were looked at.
    """

    value: float
    low: float
    high: float
    of: int


@dataclass(frozen=True)
class LimitFacts:
    """Whether limits can be kept.

    Attributes:
        limits: one, or all together.
        kept: whether an architecture that keeps them was found; ``None`` where only training tells.
        share: of the architectures that build; ``None`` where nothing was measured.
        nearest: of each metric of the limits, in the architecture nearest to keeping them.
        note: what else there is to say.
    """

    limits: tuple[Limit, ...]
    kept: bool | None
    share: Share | None
    nearest: Mapping[str, float]
    note: str = ""


@dataclass(frozen=True)
class Idle:
    """Answers of a decision that build the same model wherever they were compared.

    Attributes:
        answers: those that are the same; all of the decision's where it changes nothing.
        whole: whether they are all that it has.
        compared: pairs of architectures that differ in nothing else.
    """

    decision: str
    answers: tuple[Answer, ...]
    whole: bool
    compared: int


@dataclass(frozen=True)
class Likeness:
    """Different spellings of one network.

    Attributes:
        how: what counts as the same.
        distinct: networks among ``of`` different architectures that were compared.
        examples: pairs that are the same, a few.
        changes: single changes of one decision that were tried.
        without: of these, those that changed nothing.
        by_decision: of each decision, the share of its changes that changed nothing.
        idle: decisions and options that change nothing at all.
    """

    how: str
    distinct: int
    of: int
    examples: tuple[tuple[Architecture, Architecture], ...]
    changes: int
    without: int
    by_decision: Mapping[str, float]
    idle: tuple[Idle, ...]


@dataclass(frozen=True)
class Sharing:
    """Whether weights can be shared, and options be mixed.

    Attributes:
        shared, relaxed: whether; ``None`` where there was no time to find out.
        shared_reason, relaxed_reason: why not, or why it is not known.
        parameters: of the store.
        memory_mb: estimated for training one path a step, in 10^6 bytes; ``relaxed_mb`` with all
            options of a choice alive.
        free_mb: memory that is free.
    """

    shared: bool | None
    shared_reason: str = ""
    relaxed: bool | None = None
    relaxed_reason: str = ""
    parameters: int | None = None
    memory_mb: float | None = None
    relaxed_mb: float | None = None
    free_mb: float | None = None


@dataclass(frozen=True)
class Pace:
    """What training one architecture takes here, in seconds.

    Attributes:
        step: a training step, the median of some.
        validation: a pass over the validation part.
        trial, final: a trial at the default fidelity, and a training to the end.
    """

    name: str
    architecture: Architecture
    step: float
    validation: float
    trial: float
    final: float


@dataclass(frozen=True)
class Estimate:
    """Time that a strategy with a budget takes, in seconds.

    Attributes:
        strategies: names that it holds for.
        budget: what is done, in words.
        low, median, high: if all trials were like the fastest, the middle, the slowest
            architecture that was timed.
    """

    strategies: tuple[str, ...]
    budget: str
    low: float
    median: float
    high: float


@dataclass(frozen=True)
class Times:
    """How long things take on this machine.

    Attributes:
        paces: of the smallest, the middle and the largest architecture by FLOPs.
        trial: what a trial is, in words; ``trials`` of them are the default budget.
        estimates: of whole searches, trainings to the end not included.
        finals: of the trainings to the end after a search.
    """

    paces: tuple[Pace, ...]
    trial: str
    trials: int
    estimates: tuple[Estimate, ...]
    finals: Estimate


@dataclass(frozen=True)
class Advice:
    """What to do next.

    Attributes:
        strategy, evaluator, budget: in a few words; empty where something has to be mended first.
        command: to type.
        reasons: the rules that led there.
    """

    strategy: str
    evaluator: str
    budget: str
    command: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class ProfileFacts:
    """What is known of a space before a search. Times aside it is a function of space and seed.

    Attributes:
        space, data, task: names; ``summary`` says what was understood of the data.
        size: number of architectures. ``distinct``: of networks, where the space tells spellings
            apart and can be gone through.
        drawn: how the sample was drawn, ``samples`` architectures; ``broken`` of them do not work.
        looked: architectures that were built and run in all.
        cut: what was ended early for want of time.
        seconds: that the profile took.
    """

    space: str
    data: str
    task: str
    summary: tuple[str, ...]
    seed: int
    device: str
    objectives: tuple[Objective, ...]
    size: Size
    distinct: int | None
    decisions: tuple[DecisionFacts, ...]
    drawn: str
    samples: int
    broken: int
    looked: int
    covered: bool
    costs: Mapping[str, Spread]
    limits: tuple[LimitFacts, ...]
    together: LimitFacts | None
    faults: tuple[Fault, ...]
    unexplained: int
    likeness: Likeness | None
    sharing: Sharing | None
    times: Times | None
    advice: Advice
    cut: tuple[str, ...] = ()
    seconds: float = field(default=0.0, compare=False)

    @property
    def sound(self) -> bool:
        """Whether all that was looked at builds and runs."""
        return not self.faults and not self.unexplained

    def to_json(self) -> dict[str, Any]:
        """JSON values under the names of the attributes."""
        return {**_plain(self), "sound": self.sound}


def _plain(value: Any) -> Any:
    if isinstance(value, Architecture):
        return value.to_json()
    if isinstance(value, Limit):
        return str(value)
    if is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
