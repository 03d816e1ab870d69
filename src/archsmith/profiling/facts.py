"""The contents of a profile of a space, as plain values."""

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
    """One decision of a space.

    Attributes:
        options: the domain in words, or the options one by one if they are few.
        default: the default answer.
        asked: share of random architectures, each decision drawn uniformly, that ask it.
        when: what has to be chosen for it to be asked, if one other decision determines that;
            empty if it is always asked, or if several decisions determine it together.
        unmet: options that no random architecture chose.
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
    """The distribution of one cost over the space.

    Attributes:
        smallest, largest: by greedy descent from the extremes of the sample.
        middle: the architecture of the sample nearest to its median.
        quantiles: of the sample, keyed by share (0.05, 0.25, 0.5, 0.75, 0.95).
        values: of the sample, in ascending order.
        settled: whether every descent was completed; otherwise more extreme ones may exist.
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
        low, high: 95 % interval (Wilson 1927); both equal the value if all were checked.
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
        kept: whether an architecture that keeps them was found; ``None`` if only training can tell.
        share: of the architectures that build; ``None`` if nothing was measured.
        nearest: each metric of the limits, in the architecture nearest to keeping them.
        note: a remark, or empty.
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
        answers: the equivalent ones; all of the decision's answers if it changes nothing.
        whole: whether these are all of its answers.
        compared: pairs of architectures that differ in nothing else.
    """

    decision: str
    answers: tuple[Answer, ...]
    whole: bool
    compared: int


@dataclass(frozen=True)
class Likeness:
    """Architectures that build the same network.

    Attributes:
        how: what counts as the same network.
        distinct: distinct networks among the ``of`` architectures that were compared.
        examples: a few pairs that build the same network.
        changes: number of changes of a single decision that were tried.
        without: how many of these changed nothing.
        by_decision: for each decision, the share of its changes that changed nothing.
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
    """Whether weights can be shared and options mixed.

    Attributes:
        shared, relaxed: whether weights can be shared and options mixed; ``None`` if there was no
            time to find out.
        shared_reason, relaxed_reason: why not, or why it is not known.
        parameters: number of parameters of the supernet.
        memory_mb: estimate for training one path per step, in 10^6 bytes; ``relaxed_mb`` with all
            options of a choice active.
        free_mb: free memory, in 10^6 bytes.
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
    """How long training one architecture takes on this machine, in seconds.

    Attributes:
        step: a training step, the median of several.
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
    """Time that a strategy takes with a given budget, in seconds.

    Attributes:
        strategies: names of the strategies that it applies to.
        budget: the budget in words.
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
    """How long trials, searches and trainings take on this machine.

    Attributes:
        paces: of the smallest, the middle and the largest architecture by FLOPs.
        trial: what a trial is, in words; the default budget is ``trials`` of them.
        estimates: for whole searches, excluding the trainings to the end.
        finals: for the trainings to the end after a search.
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
        strategy, evaluator, budget: in a few words; empty if something has to be fixed first.
        command: the command to run.
        reasons: the rules that led to it.
    """

    strategy: str
    evaluator: str
    budget: str
    command: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class ProfileFacts:
    """What is known of a space before a search; except for times, a function of space and seed.

    Attributes:
        space, data, task: names; ``summary`` describes the data as it was read.
        size: number of architectures. ``distinct``: number of networks, if the space has a
            canonical form and is small enough to enumerate.
        drawn: how the sample of ``samples`` architectures was drawn; ``broken`` of them fail.
        looked: number of architectures built and run in total.
        cut: what was cut short for lack of time.
        seconds: how long the profile took.
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
        """Whether everything that was checked builds and runs."""
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
