"""The loop that connects space, strategy, evaluator and store."""

from __future__ import annotations

import contextlib
import heapq
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .._support.errors import StoreError, WorkError
from ..evaluate.base import Evaluator
from ..history.objective import Limit, Objective
from ..history.trial import Fidelity, History, State, Trial
from ..strategy.base import Strategy
from .budget import over, planned_trials
from .checkpoints import remove_weights, sweep
from .checks import all_failed, check_budget, check_metrics, flaw, last_reason, nothing_new
from .continuing import States
from .executor import Ended, EpochDone, Executor, Inline, Late, Lost, Report
from .fidelity import asked, counted, offered, part, worth
from .incumbent import Incumbents
from .interrupts import Interrupts
from .meta import check_same, describe
from .patience import GIVEN_UP, Patience, Since, never_ready
from .progress import Progress
from .proposing import propose
from .reach import known_costs
from .record import ALL_FAILED, Record, as_history
from .reporting import tell
from .result import INTERRUPTED, PREPARED, StudyResult
from .seeds import seed_of as seed_of
from .stopping import Pruner
from .store import MemoryStore, Store

if TYPE_CHECKING:
    from ..space import Space

#: The study stops when this many trials have failed and none has finished.
FAILURES = 5


class Study:
    """Propose, store, evaluate, store, until the budget is spent.

    The proposal of trial *n* uses a generator seeded by (study seed, *n*), and the trial's own seed
    is derived from these too, so that with one worker a study that was stopped and resumed equals
    an uninterrupted one, trial by trial.

    Args:
        objectives: what to optimise; the first one decides which trial is best.
        limits: bounds that a result must keep.
        store: the record; in memory by default.
        executor: where evaluations run; in this process by default.
        trials: budget of finished and failed trials, over all sessions. Each counts the epochs that
            it trained as a part of a full evaluation; those pruned before training do not count.
        seconds: no trial starts after this many seconds of work, over all sessions. One that is
            running then may take up to twice as long as the slowest finished trial (the first one
            as long as the budget, or half a minute); otherwise it is stopped, and starts again when
            the study is resumed with more time. Neither budget counts sessions in which all failed.
        trial_time: seconds after which a trial fails. Without it, a trial that takes ten times as
            long as the slowest finished one, and at least a minute, is stopped and tried again,
            and fails the third time.
        fidelity: what a trial spends if its strategy does not choose.
        expected: seconds that a trial takes; none but the first trained one starts without time to
            end. Until then, ``seconds`` are three trials more.
        stop: stops hopeless trials while they train.
        meta: more to store with the study, see :func:`~archsmith.study.meta.describe`.
        on_event: called with a :class:`~archsmith.study.progress.Progress` at each step.

    Raises:
        InputError: no budget was given, or one that is not positive; or the strategy does not
            support these objectives, this space or this evaluator.
        UnknownNameError: an objective or a limit names a metric that the evaluator lacks.
    """

    def __init__(
        self,
        space: Space,
        strategy: Strategy,
        evaluator: Evaluator,
        objectives: Sequence[Objective],
        limits: Sequence[Limit] = (),
        *,
        store: Store | None = None,
        executor: Executor | None = None,
        seed: int = 0,
        trials: int | None = None,
        seconds: float | None = None,
        trial_time: float | None = None,
        fidelity: Fidelity | None = None,
        expected: float = 0.0,
        stop: Pruner | None = None,
        meta: Mapping[str, Any] | None = None,
        on_event: Callable[[Progress], None] | None = None,
    ) -> None:
        check_budget(trials, seconds, trial_time)
        check_metrics(evaluator, objectives, limits)
        self.space, self.strategy, self.evaluator = space, strategy, evaluator
        self.objectives, self.limits = tuple(objectives), tuple(limits)
        self.store = store if store is not None else MemoryStore()
        self.executor = executor if executor is not None else Inline()
        self.seed, self.trials, self.budget = seed, trials, seconds
        self._costs = known_costs(space, evaluator)
        self._trial_time, self.expected = trial_time, expected
        #: Whether :meth:`prepare` has done its work in this session.
        self.prepared = False
        self.fidelity = fidelity or Fidelity()
        space.check_form()
        strategy.check(space, self._empty())
        self.stop = stop
        if stop is not None:
            stop.check(self._empty())
        self.on_event = on_event
        self._meta = describe(space, strategy, evaluator, objectives, limits, seed, meta, stop)

    def run(self) -> StudyResult:
        """Work until the budget is spent, nothing new is left to try, or the user interrupts.

        Raises:
            RunFolderError: the store holds another study.
            StoreError: the record cannot be written; everything acknowledged is safe.
            WorkError: the first trials all failed, or workers do not start.
        """
        self._resume(self.store.begin(self._meta))
        with Interrupts() as self._interrupts:
            try:
                for number, reason in never_ready(
                    self._waiting, self._given_up, self._process_deaths
                ):
                    self._fail(number, reason)
                why = over(self, bool(self._waiting))
                if not why:
                    self.executor.open(self.evaluator, self.store.folder, self._report)
                    why = self._loop()
                if self.counts[State.FAILED] and not self.counts[State.FINISHED]:
                    raise self._all_failed()
                self._stopped = why
            except KeyboardInterrupt:
                self._stopped = INTERRUPTED
            finally:
                self._interrupts.shut()
                self.executor.close()
                self._leave()
        front = self.incumbents.front()
        return StudyResult(self.history, self.incumbents.best, front, self._stopped, self.elapsed)

    def check_store(self) -> None:
        """Refuse a store that holds another study, before any work.

        Raises:
            RunFolderError: the store holds another study.
        """
        recorded = self.store.meta()
        if recorded:
            check_same(str(self.store.folder or "store"), recorded, self._meta)

    def prepare(self, work: Callable[[], None]) -> None:
        """Do work that is needed before the first trial, in a session whose time counts.

        Raises:
            RunFolderError: the store holds another study.
        """
        self.store.begin(self._meta)
        stopped = "an error"
        try:
            work()
            stopped, self.prepared = PREPARED, True
        except KeyboardInterrupt:
            stopped = INTERRUPTED
            raise
        finally:
            with contextlib.suppress(StoreError):
                self.store.end(stopped)

    def so_far(self) -> StudyResult:
        """The result so far, without running the study."""
        record = self.store.record()
        history = as_history(record, self.objectives, self.limits, empty=self._empty())
        return StudyResult(history, history.best(), history.front(), INTERRUPTED, record.seconds)

    @property
    def says(self) -> str:
        """What the strategy does in this study, as a text for users."""
        return self.strategy.describe(self.space, self._empty())

    @property
    def elapsed(self) -> float:
        """Seconds worked, over all sessions."""
        return self._earlier + self.elapsed_now

    @property
    def spent(self) -> float:
        """Seconds that count against the budget."""
        return self.elapsed - self._forgiven

    @property
    def elapsed_now(self) -> float:
        """Seconds worked in this session."""
        return time.monotonic() - self._began

    @property
    def counted_now(self) -> float:
        """Trials of this session that the budget counts, each as its part of a full one."""
        return self.counted - self._counted_earlier

    @property
    def running(self) -> int:
        """Number of trials that are being evaluated now."""
        return len(self._running)

    @property
    def running_parts(self) -> float:
        """As :attr:`running`, each trial counted as its part of a full evaluation."""
        return sum(map(self._part, self._running.values()))

    def _part(self, trial: Trial) -> float:
        return part(trial, self.history.epochs)

    def _empty(self) -> History:
        return History(
            self.objectives,
            self.limits,
            key=self.space.canonical,
            epochs=offered(self.evaluator, self.fidelity),
            budget=planned_trials(self.trials, self.budget, self.expected),
            workers=self.executor.workers,
            costs=self._costs,
        )

    def _resume(self, record: Record) -> None:
        self._began, self._earlier = time.monotonic(), record.seconds
        self._forgiven, self._stopped = record.forgiven_seconds, "an error"
        self._patience = Patience(self._trial_time)
        if self.budget is not None:
            self._patience.budget = self.budget
            self._patience.deadline = self._began + self.budget - self._earlier + self._forgiven
        self.history: History = as_history(
            record, self.objectives, self.limits, empty=self._empty()
        )
        self.incumbents: Incumbents = Incumbents(self.history)
        self.counts: Counter[State] = Counter(trial.state for trial in record.ended)
        #: Trials that the budget counts, each as its part of a full one.
        self.counted = counted(record, self.history.epochs)
        for trial in record.ended:
            if trial.state is State.FINISHED:
                self._patience.saw(trial.seconds, self._part(trial))
        self.last_error = last_reason(record, State.FAILED)
        self._counted_earlier = self.counted
        self._waiting: list[int] = sorted(self.history.running)
        self._running: dict[int, Trial] = {}
        self._since: dict[int, Since] = {}
        self._given_up: Counter[int] = record.given_up
        self._process_deaths: Counter[int] = record.deaths
        self._failed_now = 0
        self.states = States(self.history, self.store.folder, self.evaluator.continues)
        if self.store.folder is not None:
            sweep(self.store.folder, self.incumbents.kept(), self.states.kept)

    def _leave(self) -> None:
        # When the disk is full this fails, too. Nothing is lost: the trials are returned when the
        # store is next opened, and the first error is the one to show.
        with contextlib.suppress(StoreError):
            if self._running:
                running, now = self._running, time.monotonic()
                late = [n for n in running if self._patience.overdue(self._since[n], now)]
                self.store.give_back(list(running.values()), self._stopped, late)
            self.store.end(self._stopped)

    def _loop(self) -> str:
        while True:
            why = self._fill()
            if why and not self._running:
                return why
            until = {number: self._patience.due(self._since[number]) for number in self._running}
            wake = math.inf if self._running else self._patience.deadline
            self._interrupts.open()
            self.executor.wait(until, wake)
            self._interrupts.shut()

    def _fill(self) -> str:
        """Give each free worker a trial; the reason if there are no more trials to start."""
        free = self.executor.free()
        if not free and not self._running:
            return over(self, bool(self._waiting))  # workers may never become ready
        for worker in free:
            why = over(self, bool(self._waiting))
            if why:
                return why
            trial = self._next(worker)
            if trial is None:
                return "" if self._running else nothing_new(self.space, self.history)
            now, tries = time.monotonic(), self._given_up[trial.number]
            self._running[trial.number] = trial
            self._since[trial.number] = Since(now, self._part(trial), tries)
            rule = self.stop.rule(self.history, trial) if self.stop else None
            self.executor.submit(worker, self.states.job(trial, rule))
            if self.on_event:
                tell(self, "started", trial)
        return ""

    def _next(self, worker: str) -> Trial | None:
        """A returned trial, or a new one; recorded before it is evaluated."""
        if self._waiting:
            trial = self.history.trials[heapq.heappop(self._waiting)]
            self.store.start(trial, worker)
            return trial
        number = len(self.history)
        proposal = propose(self.strategy, self.space, self.history, self.seed, number)
        if proposal is None:
            return None
        fidelity = asked(proposal.fidelity, self.fidelity, self.history.epochs)
        seed = seed_of(self.seed, number, "trial")
        trial = self.states.link(number, proposal, fidelity, seed)
        self.store.propose(trial, worker)
        self.history.add(trial)
        return trial

    def _report(self, report: Report) -> None:
        self._interrupts.shut()
        trial = self._running[report.number]
        match report:
            case EpochDone():
                self.store.epoch(trial, report.metrics)
                if self.on_event:
                    tell(self, "epoch", trial)
            case Ended():
                self._end(trial, report)
            case Lost():
                self._give_up(trial, report.reason)
            case Late():
                self._stop_late(trial)
        self._interrupts.open()

    def _end(self, trial: Trial, ended: Ended) -> None:
        state, reason, remark = ended.state, ended.reason, self.states.ended(trial, ended)
        if state is State.FINISHED:
            reason = flaw(ended.metrics, self.objectives, self.limits)
            if reason:
                state = State.FAILED
        self.store.finish(trial, state, ended.metrics, reason or remark)
        self._running.pop(trial.number, None)
        self.history.close(trial)
        self.states.close(trial)
        if state is State.FINISHED:
            self._patience.saw(trial.seconds, self._part(trial))
        self.counts[state] += 1
        self.counted += worth(trial, self.history.epochs)
        needless = [t.number for t in self.incumbents.add(trial) if t is not trial or ended.weights]
        remove_weights(self.store.folder, needless)
        if state is State.FAILED:
            self.last_error = reason
            self._failed_now += 1
        if self.on_event:
            tell(self, "ended", trial)
        if not self.counts[State.FINISHED] and self._failed_now >= FAILURES:
            raise self._all_failed()

    def _fail(self, number: int, reason: str) -> None:
        """End a waiting trial as failed."""
        self._waiting.remove(number)
        heapq.heapify(self._waiting)
        self._end(self.history.trials[number], Ended(number, State.FAILED, {}, reason))

    def _give_up(self, trial: Trial, reason: str) -> None:
        """Return a trial that crashed its worker or took too long, or fail it."""
        self._given_up[trial.number] += 1
        if self._given_up[trial.number] >= GIVEN_UP:
            reason = f"given up {GIVEN_UP} times; the last time, {reason}"
            self._end(trial, Ended(trial.number, State.FAILED, {}, reason, weights=True))
        else:
            self._return(trial, reason, given_up=True)

    def _stop_late(self, trial: Trial) -> None:
        """Return or fail a trial whose time was over."""
        since, patience, now = self._since[trial.number], self._patience, time.monotonic()
        if now - since.began < patience.allowed(since):
            self._return(
                trial, "the time budget of the study was over", patience.overdue(since, now)
            )
        elif patience.most is not None:
            reason = patience.lateness(since, now)
            self._end(trial, Ended(trial.number, State.FAILED, {}, reason, weights=True))
        else:
            self._give_up(trial, patience.lateness(since, now))

    def _return(self, trial: Trial, reason: str, given_up: bool) -> None:
        self.store.give_back([trial], reason, [trial.number] if given_up else ())
        del self._running[trial.number]
        heapq.heappush(self._waiting, trial.number)
        if given_up:
            self.last_error = reason
        if self.on_event:
            tell(self, "returned", trial)

    def _all_failed(self) -> WorkError:
        self._stopped = ALL_FAILED
        return all_failed(self.counts[State.FAILED], self.last_error)
