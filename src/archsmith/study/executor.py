"""Where evaluations run: the contract, and the executor that uses the current process."""

from __future__ import annotations

import math
import os
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .._support.errors import ArchsmithError, InputError, StoreError, Unwind
from .._support.weights import write
from ..evaluate.base import Evaluator, TrialFailed, TrialPruned, Watch
from ..history.trial import Fidelity, State, Trial
from ..space.alarm import Alarm, TimeIsUp
from ..space.architecture import Architecture
from ..space.guard import Escaped, Guard, Streams
from .checkpoints import checkpoint_path
from .stopping import Rule

if TYPE_CHECKING:
    from torch import Tensor

    from ..train import TrainingState


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker needs to know about a trial.

    Attributes:
        rule: decides when to stop it early.
        start: file of the state that its training begins with; ``None`` for a new one.
        trunk: where the state that can be continued is written; ``None`` for nowhere.
    """

    number: int
    architecture: Architecture
    fidelity: Fidelity
    seed: int
    rule: Rule | None = None
    start: Path | None = None
    trunk: Path | None = None

    @classmethod
    def of(
        cls,
        trial: Trial,
        rule: Rule | None = None,
        start: Path | None = None,
        trunk: Path | None = None,
    ) -> Job:
        return cls(trial.number, trial.architecture, trial.fidelity, trial.seed, rule, start, trunk)


@dataclass(frozen=True, slots=True)
class EpochDone:
    """Metrics of a trial after an epoch."""

    number: int
    metrics: dict[str, float]


@dataclass(frozen=True, slots=True)
class Ended:
    """A trial has ended.

    Attributes:
        weights: whether a checkpoint was written.
        kept: epochs after which its training can be continued; 0.0 if no state was written.
        anew: why it began anew although it was to continue another trial; empty if it did not.
    """

    number: int
    state: State
    metrics: dict[str, float]
    reason: str = ""
    weights: bool = False
    kept: float = 0.0
    anew: str = ""


@dataclass(frozen=True, slots=True)
class Lost:
    """The worker of a trial is gone; the trial may be tried again."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class Late:
    """A trial was stopped because its time was over."""

    number: int


Report = EpochDone | Ended | Lost | Late


#: No trial has to end.
NEVER: Mapping[int, float] = {}


class Executor(ABC):
    """Where evaluations run.

    The study opens it, submits trials to the workers that are free, and waits. While it waits, the
    executor calls ``report`` with what happens, in order for each trial: any number of
    :class:`EpochDone`, then one :class:`Ended`, :class:`Lost` or :class:`Late`.
    """

    #: How many trials run at the same time.
    workers: int = 1

    @abstractmethod
    def open(
        self, evaluator: Evaluator, folder: Path | None, report: Callable[[Report], None]
    ) -> None:
        """Get ready to evaluate. Weights go to ``folder/checkpoints``; without a folder, nowhere.

        Raises:
            InputError: the evaluator cannot be sent to where it is to run.
        """

    @abstractmethod
    def free(self) -> list[str]:
        """Names of the workers that are ready and idle."""

    @abstractmethod
    def submit(self, worker: str, job: Job) -> None:
        """Give a free worker its next trial. Returns at once."""

    @abstractmethod
    def wait(self, until: Mapping[int, float] = NEVER, wake: float = math.inf) -> None:
        """Wait until something happens, and report it.

        Args:
            until: for each trial the value of ``time.monotonic()`` at which it is stopped.
            wake: when to stop waiting even if nothing happened; an executor that is never busy
                without a trial may ignore it.

        Raises:
            StoreError: a worker cannot write to the run folder.
            WorkError: workers die as soon as they start.
        """

    @abstractmethod
    def close(self) -> None:
        """Stop; trials that are still running are abandoned without a report."""


class Inline(Executor):
    """Evaluates in this process, one trial at a time."""

    NAME = "main"

    def __init__(self) -> None:
        self._job: Job | None = None
        self._alarm = Alarm()

    def open(
        self, evaluator: Evaluator, folder: Path | None, report: Callable[[Report], None]
    ) -> None:
        self._evaluator, self._folder, self._report = evaluator, folder, report
        self._streams = Streams()

    def free(self) -> list[str]:
        return [] if self._job else [self.NAME]

    def submit(self, worker: str, job: Job) -> None:
        self._job = job

    def wait(self, until: Mapping[int, float] = NEVER, wake: float = math.inf) -> None:
        job = self._job
        if job is None:
            return
        ended: Report = Late(job.number)
        alarm = self._alarm

        def report(message: Report) -> None:
            alarm.hold()
            self._report(message)
            alarm.let()

        try:
            alarm.start(until.get(job.number, math.inf))
            ended = evaluate(self._evaluator, job, self._folder, report)
            alarm.hold()
        except TimeIsUp:
            pass
        finally:
            alarm.stop()
        self._streams.restore()
        self._job = None
        self._report(ended)

    def close(self) -> None:
        self._alarm.close()
        self._job = None


class _Watch(Watch):
    """Reports epochs, stops hopeless trials, and reads and writes files of the run folder."""

    __slots__ = ("_curve", "_folder", "_job", "_pid", "_report", "anew", "kept", "weights")

    def __init__(self, job: Job, folder: Path | None, report: Callable[[Report], None]) -> None:
        self._job, self._folder, self._report = job, folder, report
        self._curve: list[Mapping[str, float]] = []
        self._pid = os.getpid()
        self.weights, self.kept, self.anew = False, 0.0, ""

    def epoch(self, metrics: Mapping[str, float]) -> None:
        self._exit_if_forked()
        row = numbers(metrics)
        self._report(EpochDone(self._job.number, row))
        if self._job.rule is not None:
            self._curve.append(row)
            why = self._job.rule.should_prune(self._curve)
            if why:
                # The metrics stay in the curve: they are not those of a complete training.
                raise TrialPruned(why)

    def keep(self, weights: Mapping[str, Tensor]) -> None:
        self._exit_if_forked()
        if self._folder is not None:
            write(checkpoint_path(self._folder, self._job.number), weights)
            self.weights = True

    def start(self) -> TrainingState | None:
        if self._job.start is None:
            return None
        from ..train import TrainingState

        try:
            return TrainingState.read(self._job.start)
        except (InputError, OSError) as error:
            self.anew = " ".join(str(error).split())
            return None

    def trunk(self, state: TrainingState) -> None:
        self._exit_if_forked()
        if self._job.trunk is not None:
            state.write(self._job.trunk)
            self.kept = state.epochs

    def _exit_if_forked(self) -> None:
        """Exit in a process that the evaluator forked: it must not write to the record."""
        if os.getpid() != self._pid:
            os._exit(1)


def evaluate(
    evaluator: Evaluator, job: Job, folder: Path | None, report: Callable[[Report], None]
) -> Ended:
    """Evaluate one trial. Whatever the evaluator raises becomes the trial's end.

    Raises:
        StoreError: the run folder cannot be written, which is not the architecture's fault.
    """
    watch = _Watch(job, folder, report)
    state, metrics, reason = State.FINISHED, {}, ""
    try:
        with Guard():
            result = evaluator.evaluate(job.architecture, job.fidelity, job.seed, watch)
        metrics = numbers(result)
    except TrialFailed as failure:
        state = State.PRUNED if isinstance(failure, TrialPruned) else State.FAILED
        metrics, reason = numbers(failure.metrics), failure.reason
    except StoreError:
        raise
    except Unwind:
        raise
    except Escaped as error:
        state, reason = State.FAILED, one_line(error.__cause__ or error)
    except (Exception, KeyboardInterrupt) as error:
        # Ctrl-C is an Unwind here; the evaluator raised this one itself.
        state, reason = State.FAILED, one_line(error)
    return Ended(job.number, state, metrics, reason, watch.weights, watch.kept, watch.anew)


def numbers(metrics: Mapping[str, float]) -> dict[str, float]:
    """Plain floats, from whatever counts as a number (numpy and torch scalars too).

    Raises:
        TypeError: not a mapping, a name that is not a string, or a value that is not a number.
        ValueError: a text that is not a number.
    """
    if not isinstance(metrics, Mapping) or not all(isinstance(name, str) for name in metrics):
        raise TypeError(
            f"expected metrics as a mapping from name to number, got {str(metrics)[:80]}"
        )
    return {name: float(value) for name, value in metrics.items()}


def one_line(error: BaseException) -> str:
    """``Type: message (file:line)`` of an exception, on one line of at most 300 characters."""
    text = " ".join(str(error).split())
    # Our own errors name the place; for others the line that raised them helps most.
    if not isinstance(error, ArchsmithError) and error.__traceback__ is not None:
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f" ({Path(last.filename).name}:{last.lineno})"
    else:
        place = ""
    room = 300 - len(place)
    return f"{type(error).__name__}: {text}"[:room] + place
