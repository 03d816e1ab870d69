"""The training loop of shared weights: epochs of a method's steps, each saved to disk."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from .._support.allocator import frozen_heap
from .._support.errors import InputError
from ..history.objective import Limit, Objective
from ..task.base import Data, Recipe, Task
from ..train import Diverged
from . import checkpoint as disk
from .method import Method
from .session import KnownCosts, Session, start

if TYPE_CHECKING:
    from .supernet import Supernet

#: Steps between checks of the loss: a GPU must not wait for it at every one.
_LOOK = 16


def train_supernet(
    supernet: Supernet,
    method: Method,
    task: Task,
    data: Data,
    recipe: Recipe,
    *,
    seed: int,
    device: str | None = None,
    epochs: int | None = None,
    on_epoch: Callable[[Mapping[str, float]], None] | None = None,
    checkpoint: Path | None = None,
    seconds: float | None = None,
    objectives: Sequence[Objective] = (),
    limits: Sequence[Limit] = (),
    costs: KnownCosts | None = None,
) -> Session:
    """Train the shared weights in place, with a one-shot method.

    The same seed gives the same weights on a CPU with the same number of threads (unless
    ``seconds`` ended it); global random state is left unchanged.

    Args:
        device: where to train; by default the device of the supernet.
        epochs: instead of the recipe's.
        on_epoch: called after each epoch with ``epoch``, ``train_loss``, the method's metrics,
            ``lr`` (of the last update) and ``seconds``; an exception from it ends the training.
        checkpoint: a folder that is written after each epoch. A training that was stopped
            continues from there and ends as if it had not been; a finished one is only read.
        seconds: time limit, checked within epochs too. The learning rate and the phases of
            methods then depend on time.
        objectives, limits: what the search optimises, for methods that use it.
        costs: what architectures cost, for methods that respect limits.

    Returns:
        The session at its end, as :meth:`Method.derive` takes it.

    Raises:
        Diverged: the loss became NaN or infinite.
        InputError: the method cannot handle this space, or the folder holds another training.
    """
    count = recipe.epochs if epochs is None else epochs
    if count < 1 or (seconds is not None and not seconds > 0):
        got = f"{count} epochs" if count < 1 else f"{seconds} seconds"
        raise InputError("training", "at least one epoch, and seconds above 0", got)
    method.check(supernet.space, objectives, limits)
    if device is not None:
        supernet.to(torch.device(device))
    on = supernet.device
    with torch.random.fork_rng(devices=[on] if on.type == "cuda" else []):
        torch.manual_seed(seed)
        session = start(
            supernet,
            task,
            data,
            recipe,
            seed=seed,
            epochs=count,
            holdout=method.holdout,
            objectives=objectives,
            limits=limits,
            costs=costs,
            seconds=seconds,
        )
        method.begin(session)
        done, over = 0, False
        newest = disk.latest(checkpoint) if checkpoint is not None else None
        if newest is not None:
            done, over = disk.restore(newest, session, method)
        while not over and not (done and session.late):
            done += 1
            row = _epoch(session, method, done)
            session.curve.append(row)
            over = done >= count or session.late or bool(method.stopped)
            if checkpoint is not None:
                disk.save(checkpoint, session, method, done, over)
            if on_epoch is not None:
                on_epoch(row)
    return session


def _epoch(session: Session, method: Method, number: int) -> dict[str, float]:
    """Train on every example once, or until time is up."""
    began = time.perf_counter()
    session.reseed(number)
    total, steps = torch.zeros((), device=session.device), 0
    with frozen_heap():
        for batch in session.epoch(number):
            if steps and session.late:
                break
            total += method.step(session, batch)
            session.step += 1
            steps += 1
            if steps % _LOOK == 0:
                _look(total, number)
    _look(total, number)
    row = {"epoch": float(number), "train_loss": float(total) / max(1, steps)}
    row |= method.end_epoch(session, number)
    row |= {"lr": session.rate, "seconds": time.perf_counter() - began}
    return row


def _look(total: torch.Tensor, epoch: int) -> None:
    if not math.isfinite(total):  # NaN does not go away again
        raise Diverged(f"training loss {float(total):g} in epoch {epoch}", epoch)


__all__ = ["train_supernet"]
