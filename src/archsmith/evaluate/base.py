"""The contract of an evaluator: architecture, fidelity and seed in; metrics out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar

from .._support.errors import InputError
from ..history.objective import Limit, violation
from ..history.trial import Fidelity
from ..space.architecture import Architecture

if TYPE_CHECKING:
    from torch import Tensor

    from ..task.problem import Problem
    from ..train import Trained, TrainingState


class TrialFailed(Exception):
    """An architecture could not be evaluated; the search continues. ``metrics`` has those that were
    computed before."""

    def __init__(self, reason: str, metrics: Mapping[str, float] | None = None) -> None:
        super().__init__(reason, dict(metrics or {}))
        self.reason, self.metrics = reason, dict(metrics or {})


class TrialPruned(TrialFailed):
    """The evaluation was stopped since finishing it is not worthwhile (a broken limit, say)."""


class Watch:
    """Receives the progress of an evaluator. This base class ignores everything."""

    def epoch(self, metrics: Mapping[str, float]) -> None:
        """Metrics after an epoch; ``metrics["epoch"]`` counts from 1.

        Raises:
            TrialPruned: the trial is hopeless. An evaluator must not catch it.
        """

    def keep(self, weights: Mapping[str, Tensor]) -> None:
        """The state dict of the best epoch, to be stored with the trial."""

    def start(self) -> TrainingState | None:
        """The state that the training is to begin with, of an earlier trial of the same
        architecture with fewer epochs; ``None`` for a new training."""
        return None

    def trunk(self, state: TrainingState) -> None:
        """The state that a later trial with more epochs can begin with, to be stored."""


class Price(IntEnum):
    """How expensive an evaluator is. Cheap ones run first."""

    TABLE = 0
    STATIC = 1
    SCORED = 2
    MEASURED = 3
    TRAINED = 4


class Evaluator(ABC):
    """Evaluates architectures: computes metrics of them.

    Evaluators are pickled to worker processes, so they hold plain values, and open files, data and
    devices when first used.
    """

    name: ClassVar[str]
    price: ClassVar[Price]
    #: Whether it trains with the recipe of the architecture, see :func:`archsmith.recipe_of`.
    reads_recipe: ClassVar[bool] = False

    @property
    @abstractmethod
    def provides(self) -> tuple[str, ...]:
        """Names of the metrics that :meth:`evaluate` returns."""

    @property
    def exact(self) -> tuple[str, ...]:
        """Those of :attr:`provides` that need no training or measurement and are the same at each
        fidelity and for each seed, such as the number of parameters. Strategies may compute them
        before they propose, so a more expensive evaluator, or one that looks up the results of
        training, names only its costs."""
        return self.provides if self.price is Price.STATIC else ()

    @classmethod
    def for_problem(cls, problem: Problem) -> Evaluator:
        """The evaluator for a problem, when it is chosen by name.

        Raises:
            InputError: the evaluator needs more than a problem.
        """
        try:
            return cls()
        except TypeError as error:
            raise InputError(
                f"evaluator {cls.name}",
                "one that can be created from a problem alone",
                str(error),
                "define its classmethod for_problem(problem), or pass an instance in Python",
            ) from None

    def on(self, device: str) -> Evaluator:
        """The evaluator for a worker that uses this device exclusively."""
        return self

    @property
    def fidelities(self) -> Sequence[int]:
        """Numbers of epochs that it supports, ascending, the last one being the full evaluation;
        empty if it has only one fidelity."""
        return ()

    @property
    def continues(self) -> bool:
        """Whether it begins with the state that :meth:`Watch.start` gives, and gives one to
        :meth:`Watch.trunk`. The epochs of such a trial are those of both trainings together."""
        return False

    @abstractmethod
    def evaluate(
        self, architecture: Architecture, fidelity: Fidelity, seed: int, watch: Watch
    ) -> dict[str, float]:
        """Metrics by name.

        Raises:
            TrialFailed: with the reason; any other exception fails the trial, too.
            TrialPruned: the trial is not worth continuing.
        """


class Trainer(ABC):
    """Trains an architecture, for trials, finalists and the sample of a trust report.

    An evaluator that is also a trainer trains the finalists of its search in its own way.
    """

    @abstractmethod
    def train(
        self,
        architecture: Architecture,
        seed: int,
        fidelity: Fidelity | None = None,
        on_epoch: Callable[[Mapping[str, float]], None] | None = None,
        start: Callable[[Architecture], Mapping[str, Tensor]] | None = None,
        state: TrainingState | None = None,
    ) -> Trained:
        """Train an architecture with a seed.

        Args:
            fidelity: of a trial; without it, a full training.
            on_epoch: called with the metrics of each epoch; an exception that it raises ends
                training.
            start: returns the state dict that training starts with.
            state: of an earlier training that is continued; given only to an evaluator that
                :attr:`~Evaluator.continues` trainings.

        Raises:
            Diverged: the loss became NaN or infinite.
        """


class Remeasured(ABC):
    """Some metrics are measured with a clock, or are estimates of such measurements."""

    #: The metrics that vary from one measurement to the next.
    clocked: ClassVar[tuple[str, ...]]
    #: Whether :meth:`Evaluator.evaluate` only estimates them.
    estimated: ClassVar[bool] = False

    @abstractmethod
    def remeasure(self, architecture: Architecture) -> dict[str, float]:
        """The clocked metrics, measured so reliably that a limit that holds will hold again."""


class Stages(Evaluator):
    """Several evaluators as one: cheap ones run first, and a broken limit skips expensive ones."""

    name = "stages"
    price = Price.TRAINED

    def __init__(self, evaluators: Sequence[Evaluator], limits: Sequence[Limit] = ()) -> None:
        self.evaluators = sorted(evaluators, key=lambda e: e.price)
        self.limits = tuple(limits)

    @property
    def provides(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for e in self.evaluators for name in e.provides))

    @property
    def exact(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for e in self.evaluators for name in e.exact))

    @property
    def remeasured(self) -> Remeasured | None:
        """The evaluator whose metrics are measured with a clock, if there is one."""
        return next((e for e in self.evaluators if isinstance(e, Remeasured)), None)

    @property
    def fidelities(self) -> Sequence[int]:
        return next((e.fidelities for e in self.evaluators if e.fidelities), ())

    @property
    def continues(self) -> bool:
        return any(evaluator.continues for evaluator in self.evaluators)

    def on(self, device: str) -> Evaluator:
        return Stages([evaluator.on(device) for evaluator in self.evaluators], self.limits)

    def evaluate(
        self, architecture: Architecture, fidelity: Fidelity, seed: int, watch: Watch
    ) -> dict[str, float]:
        metrics: dict[str, float] = {}
        for position, evaluator in enumerate(self.evaluators):
            try:
                metrics |= evaluator.evaluate(architecture, fidelity, seed, watch)
            except TrialFailed as failure:
                raise type(failure)(failure.reason, metrics | failure.metrics) from failure
            last = position == len(self.evaluators) - 1
            if not last and violation(metrics, self.limits) > 0:
                broken = [str(lim) for lim in self.limits if lim.violation(metrics) > 0]
                raise TrialPruned(f"limit {', '.join(broken)} broken", metrics)
        return metrics
