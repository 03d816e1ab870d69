"""The training loop, in plain PyTorch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from .._support.allocator import keep_memory, release_memory
from .._support.weights import snapshot
from ..history.objective import Objective
from ..history.trial import Fidelity
from ..task.base import Data, Recipe, Task
from .growing import Early
from .layout import contiguous
from .rounds import Rounds
from .scoring import score
from .state import TrainingState
from .steps import Diverged, Steps, TrainingCallback


@dataclass
class Trained:
    """The result of training.

    Attributes:
        best_state: state dict of the best epoch, on the CPU.
        best_epoch: from 1.
        metrics: validation metrics of that epoch.
        curve: one entry per epoch: ``epoch``, ``train_loss``, the validation metrics, ``lr`` (at
            the epoch's end), ``seconds``.
        mix: share of the batches that were mixed.
    """

    best_state: dict[str, Any]
    best_epoch: int
    metrics: dict[str, float]
    curve: list[dict[str, float]] = field(default_factory=list)
    mix: float = 0.0


def train(
    model: nn.Module,
    task: Task,
    data: Data,
    recipe: Recipe,
    fidelity: Fidelity | None = None,
    *,
    seed: int,
    subset_seed: int | None = None,
    device: str = "cpu",
    goal: Objective | None = None,
    on_epoch: Callable[[Mapping[str, float]], None] | None = None,
    guide: TrainingCallback | None = None,
    rounds: Rounds | None = None,
    scored: bool = True,
    start: TrainingState | None = None,
    keep: Callable[[TrainingState], None] | None = None,
    early: Early | None = None,
) -> Trained:
    """Train ``model`` in place; it ends on ``device`` with the weights of its best epoch.

    The best epoch is the one with the best value of ``goal`` on the validation part; ties go to the
    lower loss. With the schedule ``"wsd"`` only epochs that end while the learning rate decays
    count, also for ``patience``. With ``ema`` the averaged weights are evaluated and kept. The same
    seed gives the same curve on a CPU with the same number of threads. The global random state is
    restored.

    >>> trained = train(model, task, data, task.recipe(data), seed=0)
    >>> trained.metrics["accuracy"], trained.best_epoch

    Args:
        fidelity: its ``epochs`` replace the recipe's, its ``share`` selects a stratified subset of
            the training part.
        subset_seed: fixes the subset; ``seed`` does if it is not given.
        goal: decides which epoch is best; the task's first metric if it is not given or not a
            metric of the task (a cost is the same in every epoch).
        on_epoch: called with each entry of the curve; an exception that it raises ends training.
        guide: learning rates, freezing between epochs and a penalty, for fine-tuning.
        rounds: replaces passes over the data by rounds of so many steps, and the number of epochs
            by a moment at which the training ends.
        scored: whether epochs are scored on the validation part; if not, because it is trained on
            as well, the last epoch counts, and its metrics are empty.
        start: continues an earlier training of this model, whose steps count: ``epochs`` are those
            of both together. With the same data, recipe and ``epochs``, or with ``"wsd"`` and any
            epochs, the steps equal those of one training. Its curve is then part of the curve,
            with 0 ``seconds``, and ``on_epoch`` is called with it. On other data, such as a larger
            part, steps are converted to epochs of that data.
        keep: with ``"wsd"`` called once, before the first step of the decay, with the state that
            the training can be continued from.
        early: smaller examples, on which the training begins; their epochs are scored on smaller
            ones, too.

    Raises:
        Diverged: the loss became NaN or infinite.
        InputError: all parameters are frozen, a fidelity without an epoch or an example, or a
            start that does not fit the model or has all steps behind it.
    """
    keep_memory()
    on = torch.device(device)
    trained, best = Trained({}, 0, {}, mix=recipe.mix), (math.inf, math.inf)
    with torch.random.fork_rng(devices=[on] if on.type == "cuda" else []):
        torch.manual_seed(seed)
        run = Steps(
            model.to(on),
            task,
            data,
            recipe,
            fidelity or Fidelity(),
            seed,
            on,
            goal,
            guide,
            subset_seed,
            rounds,
            start,
            early,
        )
        for row in run.rows:
            trained.curve.append(row)
            if on_epoch is not None:
                on_epoch(row)
        if keep is not None:
            run.on_trunk = lambda: keep(run.state(trained.curve))
        for epoch in run.numbers():
            began = time.perf_counter()
            train_loss = run.epoch(epoch)
            metrics = {}
            if scored:
                with run.average.applied():
                    metrics = score(model, task, run.data.validation, data.facts, device=device)
            if not math.isfinite(metrics.get("loss", 0.0)):
                raise Diverged(f"validation loss {metrics['loss']:g} in epoch {epoch}", epoch)
            row = {"epoch": epoch, "train_loss": train_loss, **metrics, "lr": run.rate}
            row["seconds"] = time.perf_counter() - began
            trained.curve.append(row)
            rank = (run.quality.loss(metrics), metrics["loss"]) if scored else (-epoch, 0.0)
            if rank < best and run.counts(epoch):
                best, trained.best_epoch, trained.metrics = rank, epoch, metrics
                with run.average.applied():
                    trained.best_state = snapshot(model)
            if on_epoch is not None:
                on_epoch(row)
            waited = epoch - trained.best_epoch if trained.best_epoch else 0
            if recipe.patience is not None and waited >= recipe.patience:
                break
        if not trained.best_state:  # the time was over before the learning rate decayed
            trained.best_epoch, trained.metrics = epoch, metrics
            with run.average.applied():
                trained.best_state = snapshot(model)
    contiguous(model)
    model.load_state_dict(trained.best_state)
    release_memory()
    return trained
