"""Timing of training steps and validation batches, and how many steps fit into a given time."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from statistics import median

import torch
from torch import nn

from .._support.allocator import keep_memory
from .._support.trees import move
from ..history.trial import Fidelity
from ..task.base import Data, Recipe, Task
from .optimising import multiplies_in_half
from .rounds import Rounds
from .scoring import judge
from .steps import Steps

#: Steps in bfloat16 are taken if they need less than this part of the time.
WORTH = 0.9


def paces(
    model: nn.Module,
    task: Task,
    data: Data,
    recipe: Recipe,
    *,
    seed: int,
    device: str = "cpu",
    seconds: float = 1.0,
    steps: int = 8,
    clock: Callable[[], float] = time.perf_counter,
    half: bool = False,
) -> tuple[list[float], list[float]]:
    """Time some training steps and validation batches, just as training runs them.

    Args:
        seconds: about how long each of the two may take; at least one step and one batch are timed
            after one of each as warm-up. If time is short, the batches are smaller.
        steps: highest number of steps and batches that are timed.
        clock: tells the seconds that are returned.
        half: see :class:`~archsmith.train.Rounds`.

    Returns:
        Seconds of each step; seconds per example of each validation batch.

    Raises:
        Exception: whatever the model raises.
    """
    keep_memory()
    on = torch.device(device)
    with torch.random.fork_rng(devices=[on] if on.type == "cuda" else []):
        torch.manual_seed(seed)
        run = Steps(
            model.to(on), task, data, recipe, Fidelity(), seed, on, rounds=Rounds(half=half)
        )
        model.train()
        chunks = run.order_of(run.order)
        step_seconds = _time_calls(
            lambda i: run.learn(run.train.take(chunks[i % len(chunks)])), steps, seconds, on, clock
        )
        model.eval()
        batch_seconds = _time_validation(model, task, data, seconds, steps, on, clock)
    return step_seconds, batch_seconds


def work_clock(device: str) -> Callable[[], float]:
    """What architectures are compared by: processor time on a CPU, where other processes would
    slow one training and not the next; real time on other devices."""
    return time.process_time if device == "cpu" else time.perf_counter


def faster(
    model: nn.Module,
    task: Task,
    data: Data,
    recipe: Recipe,
    *,
    seed: int,
    device: str = "cpu",
    seconds: float = 1.0,
    steps: int = 8,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[bool, float, float]:
    """Whether steps in bfloat16 are faster, and the median seconds of a step and of a validation
    example then.

    On a CPU with instructions for it convolutions take a third of the time, but depthwise ones may
    take longer, and so do small networks. Arguments as of :func:`paces`, for each of the two.
    """
    measure = partial(
        paces,
        model,
        task,
        data,
        recipe,
        seed=seed,
        device=device,
        seconds=seconds,
        steps=steps,
        clock=clock,
    )
    step, example = map(median, measure())
    if recipe.amp and multiplies_in_half(torch.device(device)):
        # A model whose operations do not take bfloat16 is trained in float32.
        with suppress(Exception):
            faster_step, its_example = map(median, measure(half=True))
            if faster_step < WORTH * step:
                return True, faster_step, its_example
    return False, step, example


def rounds_within(
    model: nn.Module,
    task: Task,
    data: Data,
    recipe: Recipe,
    seconds: float,
    *,
    seed: int,
    device: str = "cpu",
    until: float | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Rounds:
    """Rounds of as many steps as fit, followed by scoring the validation part once, into
    ``seconds``, in the faster precision.

    Timing takes a tenth of ``seconds``, and at most two seconds; with two precisions twice that.

    Args:
        model: takes a few training steps, so it should be a build made for this purpose.
        seconds: by :func:`work_clock`.
        until, clock: see :class:`~archsmith.train.Rounds`.

    Returns:
        Rounds of at least 1 step, even if one takes longer.

    Raises:
        Exception: whatever the model raises.
    """
    half, step, example = faster(
        model,
        task,
        data,
        recipe,
        seed=seed,
        device=device,
        seconds=min(1.0, seconds / 20),
        steps=32,
        clock=work_clock(device),
    )
    fit = (seconds - example * len(data.validation)) / step
    return Rounds(max(1, round(fit)), until, clock, half)


@torch.no_grad()
def _time_validation(
    model: nn.Module,
    task: Task,
    data: Data,
    seconds: float,
    steps: int,
    device: torch.device,
    clock: Callable[[], float],
) -> list[float]:
    """Seconds per example of validation batches, without the meter's final computation."""
    part, meter = data.validation, task.meter(data.facts)

    def work(size: int) -> None:
        judge(model, task, data.facts, meter, *move(part.head(size), device))

    few, size = min(64, len(part)), min(512, len(part))
    work(few)  # warm-up, not counted: it allocates memory
    began = time.perf_counter()
    work(few)
    if size * (time.perf_counter() - began) / few > seconds / 2:
        size = few
    return [
        duration / size
        for duration in _time_calls(lambda _: work(size), steps, seconds, device, clock)
    ]


def _time_calls(
    work: Callable[[int], object],
    most: int,
    seconds: float,
    device: torch.device,
    clock: Callable[[], float],
) -> list[float]:
    """Seconds of each call, without the first."""
    times: list[float] = []
    began = time.perf_counter()
    for number in range(most + 1):
        start = clock()
        work(number)
        if device.type != "cpu":
            torch.accelerator.synchronize(device)
        times.append(clock() - start)
        if number and time.perf_counter() - began > seconds:
            break
    return times[1:]
