"""Evaluation by training: slow, and the reference that other evaluators are compared with."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from ..data.splits import Batch
from ..history.objective import Objective
from ..history.trial import Fidelity
from ..space.architecture import Architecture
from ..task import task as find_task
from ..task.base import Data, ReadOptions, Recipe, Task
from ..task.contracts import BatchSampling, StopsEarly
from ..task.tune import recipe_of
from ..train import (
    Diverged,
    Early,
    Rounds,
    Trained,
    TrainingState,
    early,
    for_steps,
    rounds_within,
    shrunk,
    train,
)
from ..transfer.tuning.rates import LayerwiseRates
from .base import Evaluator, Price, Trainer, TrialFailed, Watch
from .reading import carried, digest_of, read_again

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..space import Space
    from ..task.problem import Problem


class TrainingEvaluator(Evaluator, Trainer):
    """Builds an architecture, trains it at the fidelity and returns its best validation metrics.

    It is sent to workers without the data, which each worker reads when it is first used; the same
    options give the same split.

    Args:
        space: builds the models; its builder must be importable in workers.
        source: a registered name or a path that the task reads.
        options: how the source is read.
        task: name of the task.
        recipe: how to train; a trial's fidelity may shorten it.
        device: of training, for example ``"cpu"`` or ``"cuda:0"``.
        threads: of torch in the evaluating process; ``None`` does not change them.
        data: data that has been read already, for this process.
        goal: decides which epoch of a training counts, as in :func:`archsmith.train.train`.
        subset: seed of the subset of the data that all trials share; if not given, each trial
            draws its own.
        least: lowest number of epochs of a trial.
        round: seconds of what counts as an epoch: for each architecture as many steps as fit, so
            that all train for equal time. 0.0 for passes over the data.
        anew: whether each trial trains from the start, even if an earlier one could be continued.
        side: factor of the side of the images that trials train on and are scored on, where the
            task has images.
    """

    name = "training"
    price = Price.TRAINED
    reads_recipe = True

    def __init__(
        self,
        space: Space,
        source: str,
        options: ReadOptions,
        task: str | Task,
        recipe: Recipe,
        device: str = "cpu",
        threads: int | None = None,
        data: Data | None = None,
        goal: Objective | None = None,
        subset: int | None = None,
        least: int = 1,
        round: float = 0.0,
        anew: bool = False,
        side: float = 1.0,
    ) -> None:
        self.space, self.source, self.options = space, source, options
        self.task, self.recipe, self.device, self.threads = task, recipe, device, threads
        self.goal, self._data, self._digest = goal, data, ""
        self.subset, self.least, self.round, self.anew = subset, least, round, anew
        self.side = side
        self._until: float | None = None
        self._whole: Data | None = None
        self._smaller: Data | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {
            **self.__dict__,
            "_data": carried(self._data, self.source),
            "_digest": digest_of(self._data, self._digest),
            "_smaller": None,
        }

    @classmethod
    def for_problem(cls, problem: Problem, goal: Objective | None = None) -> TrainingEvaluator:
        """The evaluator that trains a problem's trials, its finalists, and the sample that shared
        weights are compared with.

        Args:
            goal: decides which epoch counts.
        """
        return cls(
            problem.space,
            problem.source,
            problem.options,
            problem.task,
            problem.recipe,
            problem.device,
            data=problem.data,
            goal=goal,
            subset=problem.subset,
            least=problem.least_epochs,
            round=problem.round,
            side=problem.side,
        )

    def ending(self, until: float | None, whole: bool) -> TrainingEvaluator:
        """The same for the last training of an architecture.

        Args:
            until: the moment, by ``time.monotonic()``, at which it ends, if not after its epochs.
            whole: train on the training and the validation part together, if the task's examples
                can be joined and its trainings do not stop early; then no epoch is scored.
        """
        other = copy.copy(self)
        other._until = until
        task = find_task(self.task)
        whole = whole and not isinstance(task, StopsEarly)
        other._whole = joined(self.data, task) if whole else None
        return other

    def on(self, device: str) -> TrainingEvaluator:
        other = copy.copy(self)
        other.device = device
        return other

    @property
    def provides(self) -> tuple[str, ...]:
        return tuple(metric.name for metric in find_task(self.task).metrics)

    @property
    def fidelities(self) -> Sequence[int]:
        return range(self.least, self.recipe.epochs + 1)

    @property
    def continues(self) -> bool:
        """With the schedule ``"wsd"``, on which a training does not depend on its length until
        its end."""
        return self.recipe.schedule == "wsd" and not self.anew

    def evaluate(
        self, architecture: Architecture, fidelity: Fidelity, seed: int, watch: Watch
    ) -> dict[str, float]:
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        model = self._build_checked(architecture, seed)
        try:
            trained = self._train(
                model,
                architecture,
                seed,
                fidelity,
                watch.epoch,
                watch.start() if self.continues else None,
                watch.trunk if self.continues else None,
                self._seen,
            )
        except Diverged as error:
            raise TrialFailed(f"diverged: {error.reason}") from error
        except torch.OutOfMemoryError as error:
            raise TrialFailed(
                f"out of memory on {self.device}: {describe_architecture(architecture)}"
            ) from error
        watch.keep(trained.best_state)
        return {name: trained.metrics[name] for name in self.provides}

    def train(
        self,
        architecture: Architecture,
        seed: int,
        fidelity: Fidelity | None = None,
        on_epoch: Callable[[Mapping[str, float]], None] | None = None,
        start: Callable[[Architecture], Mapping[str, Tensor]] | None = None,
        state: TrainingState | None = None,
    ) -> Trained:
        model = self.space.build(architecture, seed=seed)
        if start is not None:
            model.load_state_dict(start(architecture))
        data = self._whole or self.data
        first = early(find_task(self.task), data, model) if self._until is not None else None
        return self._train(
            model, architecture, seed, fidelity, on_epoch, state, data=data, first=first
        )

    def _train(
        self,
        model: nn.Module,
        architecture: Architecture,
        seed: int,
        fidelity: Fidelity | None,
        on_epoch: Callable[[Mapping[str, float]], None] | None,
        start: TrainingState | None = None,
        keep: Callable[[TrainingState], None] | None = None,
        data: Data | None = None,
        first: Early | None = None,
    ) -> Trained:
        data, task = data or self.data, find_task(self.task)
        recipe = recipe_of(self.space, self.recipe, architecture)
        rounds = self._rounds(architecture, seed, start, data)
        decided = "recipe.mix" in architecture
        if rounds.until is not None and rounds.steps is not None and not decided:
            recipe = for_steps(recipe, task, data, recipe.epochs * rounds.steps)
        return train(
            model,
            task,
            data,
            recipe,
            fidelity,
            seed=seed,
            subset_seed=self.subset if fidelity is not None else None,
            device=self.device,
            goal=self.goal,
            on_epoch=on_epoch,
            guide=LayerwiseRates(model),
            rounds=rounds,
            scored=self._whole is None,
            start=start,
            keep=keep,
            early=first,
        )

    def _rounds(
        self, architecture: Architecture, seed: int, start: TrainingState | None, data: Data
    ) -> Rounds:
        """Rounds by the architecture's measured pace, or those of the training that is continued;
        whole epochs if trials are not trained in time."""
        if not self.round:
            return Rounds(until=self._until)
        if start is not None and (self.side == 1 or data is self._seen):
            return Rounds(start.batches, self._until, half=start.half)
        return rounds_within(
            self.space.build(architecture, seed=seed),
            find_task(self.task),
            data,
            recipe_of(self.space, self.recipe, architecture),
            self.round,
            seed=seed,
            device=self.device,
            until=self._until,
        )

    @property
    def data(self) -> Data:
        """The data, read when first used."""
        if self._data is None:
            task = find_task(self.task)
            self._data = read_again(task, self.source, self.options, self._digest)
        return self._data

    @property
    def _seen(self) -> Data:
        """The data that trials train on."""
        if self.side == 1:
            return self.data
        if self._smaller is None:
            self._smaller = shrunk(find_task(self.task), self.data, self.side)
        assert self._smaller is not None
        return self._smaller

    def _build_checked(self, architecture: Architecture, seed: int) -> nn.Module:
        """Build the model and run it on two examples, so that wrong shapes fail at once."""
        data, task = self._seen, find_task(self.task)
        try:
            model = self.space.build(architecture, seed=seed)
            inputs, targets = data.validation.head(2)
            with torch.no_grad():
                ready = Batch(task.prepare(inputs, data.facts), targets)
                task.meter(data.facts).see(model.eval(), ready)
        except Exception as error:
            # The builder is the user's code and may raise anything.
            reason = f"{type(error).__name__}: {error}"
            raise TrialFailed(
                f"cannot build or run the model ({describe_architecture(architecture)}): {reason}"
            ) from error
        return model


def joined(data: Data, task: Task) -> Data | None:
    """The data with the validation part added to the training part; ``None`` if the task draws its
    own batches and does not allow it, or if the parts are of kinds that cannot be joined."""
    if isinstance(task, BatchSampling) and not task.joins:
        return None
    train = data.train.joined(data.validation)
    return replace(data, train=train) if train is not None else None


def describe_architecture(architecture: Architecture) -> str:
    """The decisions of an architecture in one line."""
    return ", ".join(f"{name}={answer!r}" for name, answer in architecture.items())
