"""Finalists of a study: trained once, kept with the study, compared with the default."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .._support.errors import InputError, StoreError, undamaged
from .._support.weights import read, write
from ..history.objective import Limit, Objective, violation
from ..history.paired import Comparison
from ..history.trial import History, Trial
from ..space import Architecture
from ..study import Store
from ..study.continuing import States
from ..study.meta import RESTORE
from ..study.study import seed_of
from ..task.problem import Problem
from .finalist import (
    Finalist,
    compared,
    key_of,
    look_at_test,
    parts_path,
    train_to_end,
    weights_path,
)
from .reopening import keep_examples

if TYPE_CHECKING:
    from ..evaluate import Remeasured, Trainer
    from ..train import TrainingState

#: Gives the initial weights for training an architecture.
Start = Callable[[Architecture], Mapping[str, Any]]
#: Called with a label of what is trained (``"trial 7"``) and an epoch's metrics.
OnFinal = Callable[[str, Mapping[str, float]], None]
#: Trials that may replace finalists that fail.
SPARE = 3
#: A finalist of an earlier session is trained again if it had less than this part of the time.
LONG_ENOUGH = 0.7
#: Largest number of trials whose latency is measured again.
_MEASURED = 50


class Finalists:
    """Trains architectures to the end with one recipe and the same seeds, each once.

    ``start`` gives initial weights, such as those of a supernet; otherwise they are new. A
    ``trainer`` replaces the problem's own training; ``clock`` measures limited latencies again.
    ``until`` is the moment (``time.monotonic()``) at which all is to be trained: then the default
    is not trained beside the winner, and a single finalist is trained on the validation part too.
    ``states`` has the state of an architecture's training in the search, which its first training
    continues. Each architecture is trained ``seeds`` times; the training that is best on the
    validation part is used, and finalists are compared by the mean of their trainings. If the store
    has a folder, figures are notes of the study and weights are files, so what was trained before
    an interruption is not trained again.
    """

    def __init__(
        self,
        problem: Problem,
        store: Store,
        seed: int,
        goal: Objective | None = None,
        start: Start | None = None,
        seeds: int = 1,
        trainer: Trainer | None = None,
        clock: Remeasured | None = None,
        until: float | None = None,
        states: States | None = None,
    ) -> None:
        self.until, self._left = until, 0
        self.seeds, self.trainer, self.clock = seeds, trainer, clock
        self.problem, self.store, self.seed, self.goal = problem, store, seed, goal
        self.start, self.states = start, states
        self.notes: dict[str, Any] = store.record().notes
        self.problems: list[str] = []
        #: Of the winner with the default, once both were scored on the test part.
        self.comparison: Comparison | None = None
        #: By key, what is wrong with saved weights that are damaged or missing.
        self.damaged: dict[str, str] = {}
        self._live: dict[str, Finalist] = {}
        #: By architecture, the validation metrics of trials whose last training has no others.
        self._trials: dict[Architecture, Mapping[str, float]] = {}

    def known(self, architecture: Architecture) -> Finalist | None:
        """The architecture's final figures and weights, if it was trained to the end.

        Of several trainings, it is the one that is best on the validation part. If its saved
        weights were changed since, :attr:`damaged` says so.
        """
        trainings = self.repeats(architecture)
        return self._load(min(trainings, key=self._validated)) if trainings else None

    def repeats(self, architecture: Architecture) -> list[Finalist]:
        """All trainings of an architecture so far, without weights."""
        return repeats_of(self.notes, architecture)

    def train(
        self,
        architecture: Architecture,
        number: int,
        on_epoch: Callable[[Mapping[str, float]], None] | None = None,
    ) -> Finalist:
        """Train the architecture to the end, or take it from the record if that was done before."""
        for repeat in range(self.seeds):
            earlier = self.repeats(architecture)[repeat : repeat + 1]
            if not earlier or self._load(earlier[0]) is None or self._shorter(earlier[0]):
                self._train(architecture, number, repeat, on_epoch)
        final = self.known(architecture)
        if final is None:  # the best is a damaged one, from an earlier session with more seeds
            best = min(self.repeats(architecture), key=self._validated)
            final = self._train(architecture, number, best.repeat, on_epoch)
        return final

    def _train(
        self,
        architecture: Architecture,
        number: int,
        repeat: int,
        on_epoch: Callable[[Mapping[str, float]], None] | None,
    ) -> Finalist:
        label = f"trial {number}" if number >= 0 else "the default"
        state = self._state(architecture, label) if repeat == 0 else None
        # The same seeds for all, so that winner and default differ in the architecture alone.
        self._left = max(1, self._left)
        until, now = self.until, time.monotonic()
        if until is not None:
            until, self._left = now + (until - now) / self._left, self._left - 1
        final = train_to_end(
            self.problem,
            architecture,
            number,
            seed_of(self.seed, repeat, "final"),
            on_epoch,
            self.goal,
            self.start,
            self.trainer,
            until,
            self._trials.get(architecture),
            state,
        )
        final.repeat = repeat
        self._keep(final)
        if damage := self.damaged.pop(final.key, None):
            self.problems.append(f"{label} was trained to the end again: {damage}")
        return final

    def _state(self, architecture: Architecture, label: str) -> TrainingState | None:
        """The state of a training in the search that has not had all epochs of the last one."""
        if self.states is None or self.start is not None:
            return None
        state, why = self.states.load(architecture)
        if why:
            self.problems.append(f"{label} was trained to the end from the start: {why}")
        more = self.until is not None or (state and state.epochs < self.problem.recipe.epochs)
        return state if more else None

    def _load(self, final: Finalist) -> Finalist | None:
        """The same with its weights; ``None`` if they are damaged or were never saved."""
        folder, key = self.store.folder, final.key
        if key in self._live or folder is None:
            return self._live.get(key)
        try:
            final.weights, _ = read(weights_path(folder, key), final.checksum)
        except InputError as error:
            self.damaged[key] = f"{error.where}: expected {error.expected}, got {error.got}"
            return None
        with contextlib.suppress(InputError):  # the test part is scored again
            final.parts, _ = read(parts_path(folder, key), final.parts_checksum)
        final.problem = self.problem
        self._live[key] = final
        return final

    def _shorter(self, earlier: Finalist) -> bool:
        """Whether it was trained in an earlier session for much less time than there is now."""
        if self.until is None or self.trainer is not None:
            return False
        share = (self.until - time.monotonic()) / max(1, self._left)
        return earlier.seconds < LONG_ENOUGH * share

    def _validated(self, final: Finalist) -> tuple[float, float]:
        if final.whole:  # nothing tells its trainings apart
            return 0.0, final.repeat
        goal = self.goal.loss(final.metrics) if self.goal else 0.0
        return goal, final.metrics.get("loss", 0.0)

    def _order(self, history: History) -> Callable[[Finalist], tuple[float, ...]]:
        """The sort key of finalists: limits, then objectives on the mean of their trainings."""

        def key(final: Finalist) -> tuple[float, ...]:
            mean = mean_of([repeat.metrics for repeat in self.repeats(final.architecture)])
            losses = (objective.loss(mean) for objective in history.objectives)
            # Ties go to the lower loss, as in a history.
            return (violation(final.metrics, history.limits), *losses, mean.get("loss", 0.0))

        return key

    def test(self, final: Finalist) -> Finalist:
        """Score on the test part once, and save the result."""
        tested = bool(final.test)
        if tested and final.parts:
            return final
        look_at_test(self.problem, final)
        if tested and not final.parts:  # the task has none
            return final
        if self.store.folder is not None and final.parts:
            path = parts_path(self.store.folder, final.key)
            final.parts_checksum = write(path, final.parts)
        self._note(final)
        return final

    def decide(
        self,
        history: History,
        count: int,
        on_final: OnFinal | None = None,
        first: Sequence[Architecture] = (),
    ) -> tuple[Finalist | None, Finalist | None]:
        """Train the best ``count`` trials and the default to the end; return winner and default.

        The winner is the finalist that keeps the limits and is best on the validation part by the
        first objective. Only winner and default are then scored on the test part. If a finalist
        fails, or none keeps the limits any more, the next best trials replace it. Latency is
        measured again before a finalist is trained: one that now breaks its limit is replaced, and
        if none of 50 keeps it, the nearest is trained all the same. :attr:`problems` lists what
        went wrong. Trials of the architectures in ``first`` become finalists before the others,
        whatever their figures.
        """
        default = self.problem.space.default()
        done: list[Finalist] = []
        self._left = count * self.seeds
        names = {metric.name for metric in self.problem.task.metrics}
        for tried, trial in enumerate(self._candidates(history, count, first)):
            within_limits = any(self._keeps(final, history) for final in done)
            if (len(done) >= count and within_limits) or tried >= count + SPARE:
                break
            label = f"trial {trial.number}"
            if self.until is not None and count == 1:
                metrics = {name: v for name, v in trial.metrics.items() if name in names}
                self._trials[trial.architecture] = metrics
            final = self._try(trial.architecture, trial.number, label, on_final)
            done += [final] if final else []
        numbers = {t.architecture: t.number for t in history.trials}
        baseline = None
        if self.until is None:
            baseline = self._try(default, numbers.get(default, -1), "the default", on_final)
        elif done and done[0].architecture == default:
            baseline = done[0]
        # The default has been trained as well: if nothing beats it, it is the best.
        trained = [*done, baseline] if done and baseline is not None else done
        winner = min(trained, key=self._order(history), default=None)
        if winner is not None and not self._keeps(winner, history):
            broken = [limit for limit in history.limits if limit.violation(winner.metrics) > 0]
            exceeded = ", ".join(f"{lim} ({winner.metrics[lim.metric]:g})" for lim in broken)
            self.problems.append(f"no finalist keeps {exceeded} after training to the end")
        for name, final in (("winner", winner), ("default", baseline)):
            if final is not None:
                for repeat in map(self._load, self.repeats(final.architecture)):
                    if repeat is not None:
                        self.test(repeat)
                self.store.note(name, final.key)
        if winner is not None and baseline is not None:
            goal = history.objectives[0]
            self.comparison = compared(winner, baseline, goal, self.problem.task)
        self.store.note("comparison", self.comparison.to_json() if self.comparison else None)
        self.store.note("problems", self.problems)
        return winner, baseline

    def _candidates(
        self, history: History, count: int, first: Sequence[Architecture]
    ) -> Iterator[Trial]:
        """Trials for training to the end, best first; measured again where latency is limited."""
        timed = self.clock.clocked if self.clock is not None else ()
        clocked = [limit for limit in history.limits if limit.metric in timed]
        if not clocked:
            yield from best_trials(history, count + SPARE, first)
            return
        nearest: tuple[float, Trial] | None = None
        front = best_trials(history, _MEASURED, first)
        # With several objectives, no trial of the front alone may keep the limit.
        within = [t for t in history.full if history.violation(t.metrics) == 0]
        order: dict[Architecture, Trial] = {}
        for trial in [*front, *history.ranked(within)]:
            order.setdefault(trial.architecture, trial)
        for trial in [*order.values()][:_MEASURED]:
            measured = self._remeasure(trial, clocked)
            if measured is None:
                continue
            over = violation(measured, clocked)
            if over == 0:
                nearest = (0.0, trial)
                yield trial
            elif nearest is None or over < nearest[0]:
                nearest = (over, trial)
        if nearest is not None and nearest[0] > 0:
            yield nearest[1]

    def _remeasure(self, trial: Trial, limits: Sequence[Limit]) -> Mapping[str, float] | None:
        """The clocked metrics of a trial, measured again; ``None`` if that fails."""
        earlier, clock = self.known(trial.architecture), self.clock
        try:
            if earlier is not None and all(limit.metric in earlier.costs for limit in limits):
                measured: Mapping[str, float] = earlier.costs
            else:
                assert clock is not None
                measured = clock.remeasure(trial.architecture)
        except Exception as error:
            self.problems.append(f"trial {trial.number} could not be measured again: {error}")
            return None
        for limit in limits:
            if limit.violation(measured) > 0:
                value = measured[limit.metric]
                self.problems.append(
                    f"trial {trial.number}, measured again, takes {value:.3g} ms and breaks {limit}"
                )
        return measured

    def _try(
        self, architecture: Architecture, number: int, label: str, on_final: OnFinal | None
    ) -> Finalist | None:
        def on_epoch(metrics: Mapping[str, float]) -> None:
            if on_final is not None:
                on_final(label, metrics)

        try:
            return self.train(architecture, number, on_epoch)
        except StoreError:
            raise
        except Exception as error:
            # One architecture that cannot be trained to the end must not cost the others.
            reason = " ".join(str(error).split()) or type(error).__name__
            self.problems.append(f"{label} failed when trained to the end: {reason[:200]}")
            return None

    def _keeps(self, final: Finalist, history: History) -> bool:
        return violation(final.metrics, history.limits) == 0.0

    def _keep(self, final: Finalist) -> None:
        self._live[final.key] = final
        if self.store.folder is not None:
            keep_examples(self.store.folder, self.problem.data)
            path = weights_path(self.store.folder, final.key)
            final.checksum = write(path, final.weights)
        self._note(final)

    def _note(self, final: Finalist) -> None:
        name = f"final.{final.key}"
        self.notes[name] = final.to_json()
        self.store.note(name, self.notes[name])


def best_trials(history: History, count: int, first: Sequence[Architecture] = ()) -> list[Trial]:
    """The trials worth training to the end, best first; each architecture once.

    Trials of ``first`` that finished and keep the limits come before the others.
    """
    best = history.front()
    if len(history.objectives) == 1:
        feasible = [t for t in history.full if history.violation(t.metrics) == 0]
        best = history.ranked(feasible)
    unique = {trial.architecture: trial for trial in reversed(best)}
    ordered = sorted(unique.values(), key=best.index)
    done = [t for t in history.full if history.violation(t.metrics) == 0]
    ahead = [t for a in first for t in done if t.architecture == a][:count]
    return (ahead + [t for t in ordered if t.architecture not in first])[:count]


def repeats_of(notes: Mapping[str, Any], architecture: Architecture) -> list[Finalist]:
    """The trainings of an architecture in the notes of a study, without weights."""
    trainings: list[Finalist] = []
    while note := notes.get(f"final.{key_of(architecture, len(trainings))}"):
        with undamaged(
            f"note {len(trainings)} of {architecture.id}", "a training to the end", RESTORE
        ):
            trainings.append(Finalist.from_json(note))
    return trainings


def mean_of(metrics: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each metric that all of them have."""
    names = [name for name in metrics[0] if all(name in other for other in metrics)]
    return {name: sum(one[name] for one in metrics) / len(metrics) for name in names}
