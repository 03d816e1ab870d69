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
    from ..train import Trained


class TrialFailed(Exception):
    """This architecture could not be evaluated; the search goes on. ``metrics``: what is known."""

    def __init__(self, reason: str, metrics: Mapping[str, float] | None = None) -> None:
        super().__init__(reason, dict(metrics or {}))
        self.reason, self.metrics = reason, dict(metrics or {})


class TrialPruned(TrialFailed):
    """The evaluation was stopped because it could not be of use (a broken limit, no promise)."""


class Watch:
    """What an evaluator tells while it works. This one ignores everything."""

    def epoch(self, metrics: Mapping[str, float]) -> None:
        """Metrics after an epoch; ``metrics["epoch"]`` counts from 1.

        Raises:
            TrialPruned: the trial is hopeless. An evaluator lets it pass.
        """

    def keep(self, weights: Mapping[str, Tensor]) -> None:
        """The state dict of the best epoch, to be kept with the trial."""


class Price(IntEnum):
    """How dear an evaluator is. Cheap ones run first."""

    TABLE = 0
    STATIC = 1
    SCORED = 2
    MEASURED = 3
    TRAINED = 4


class Evaluator(ABC):
    """How good an architecture is.

    Evaluators travel to worker processes by pickle, so they hold plain values and open files,
    data and devices at first use.
    """

    name: ClassVar[str]
    price: ClassVar[Price]

    @property
    @abstractmethod
    def provides(self) -> tuple[str, ...]:
        """Names of the metrics that :meth:`evaluate` gives."""

    @property
    def exact(self) -> tuple[str, ...]:
        """Those of :attr:`provides` that are known of an architecture without training or measuring
        it, and the same at each fidelity and for each seed, as parameters are. Strategies may look
        at them before they propose, so an evaluator that is dearer, or that looks up what took a
        training, names its costs alone."""
        return self.provides if self.price is Price.STATIC else ()

    @classmethod
    def for_problem(cls, problem: Problem) -> Evaluator:
        """The evaluator for a problem, where it is asked for by name.

        Raises:
            InputError: it takes more than a problem.
        """
        try:
            return cls()
        except TypeError as error:
            raise InputError(
                f"evaluator {cls.name}",
                "one that can be made of a problem alone",
                str(error),
                "write its classmethod for_problem(problem), or give an instance in Python",
            ) from None

    def on(self, device: str) -> Evaluator:
        """The evaluator for a worker that has this device to itself."""
        return self

    @property
    def fidelities(self) -> Sequence[int]:
        """Numbers of epochs that it may be asked for, ascending, the last one the full evaluation;
        empty where it has one fidelity alone."""
        return ()

    @abstractmethod
    def evaluate(
        self, architecture: Architecture, fidelity: Fidelity, seed: int, watch: Watch
    ) -> dict[str, float]:
        """Metrics by name.

        Raises:
            TrialFailed: with the reason; anything else that is raised fails the trial as well.
            TrialPruned: the trial is not worth going on with.
        """


class Trainer(ABC):
    """Trains an architecture: what trials, finalists and the sample of a trust have in common.

    An evaluator that trains in its own way and is a trainer too trains the finalists of its search.
    """

    @abstractmethod
    def train(
        self,
        architecture: Architecture,
        seed: int,
        fidelity: Fidelity | None = None,
        on_epoch: Callable[[Mapping[str, float]], None] | None = None,
        start: Callable[[Architecture], Mapping[str, Tensor]] | None = None,
    ) -> Trained:
        """The architecture trained from a seed.

        Args:
            fidelity: of a trial; to the end without.
            on_epoch: called with the metrics of each epoch; what it raises ends the training.
            start: gives the state dict that the training begins with.

        Raises:
            Diverged: the loss became NaN or infinite.
        """


class Remeasured(ABC):
    """Some metrics come from a clock, or are estimates of what a clock would say."""

    #: The metrics that vary from one measurement to the next.
    clocked: ClassVar[tuple[str, ...]]
    #: Whether :meth:`Evaluator.evaluate` only estimates them.
    estimated: ClassVar[bool] = False

    @abstractmethod
    def remeasure(self, architecture: Architecture) -> dict[str, float]:
        """The clocked metrics, measured now so that a limit which they keep is kept again."""


class Stages(Evaluator):
    """Several evaluators as one: cheap ones first, and a broken limit stops the dear ones."""

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
        """The part whose metrics a clock gives, if there is one."""
        return next((e for e in self.evaluators if isinstance(e, Remeasured)), None)

    @property
    def fidelities(self) -> Sequence[int]:
        return next((e.fidelities for e in self.evaluators if e.fidelities), ())

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
