"""Evaluators that would end, double or change the process they run in. Workers import this module,
so torch is imported where it is needed alone."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable
from typing import Any

import study_toys as toys
from study_toys import Toy

from archsmith.evaluate.base import Watch
from archsmith.history.trial import Fidelity
from archsmith.space.architecture import Architecture


class Own(BaseException):
    """Of a user."""


class Wild(Toy):
    """Does something where the first answer is odd."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what

    def evaluate(
        self, architecture: Architecture, fidelity: Fidelity, seed: int, watch: Watch
    ) -> dict[str, float]:
        metrics = super().evaluate(architecture, fidelity, seed, watch)
        if toys.odd(architecture):
            return ACTS[self.what](metrics, watch)
        return metrics


def raises(error: BaseException) -> Callable[[Any, Watch], Any]:
    def act(metrics: Any, watch: Watch) -> Any:
        raise error

    return act


def forks(metrics: Any, watch: Watch) -> Any:
    os.fork()  # both return
    return metrics


def forks_and_tells(metrics: Any, watch: Watch) -> Any:
    child = os.fork()
    if child:
        os.waitpid(child, 0)
    watch.epoch({"epoch": 1, "pid": float(child == 0)})
    return metrics


def forks_and_raises(metrics: Any, watch: Watch) -> Any:
    if not os.fork():
        raise ValueError("in the copy")
    return metrics


def wanders(metrics: Any, watch: Watch) -> Any:
    import torch

    os.chdir("/")
    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return metrics


_TURNS = itertools.cycle([SystemExit(0), KeyboardInterrupt()])


def in_turn(metrics: Any, watch: Watch) -> Any:
    raise next(_TURNS)


ACTS: dict[str, Callable[[Any, Watch], Any]] = {
    "exit": raises(SystemExit(0)),
    "own": raises(Own("x")),
    "generator": raises(GeneratorExit()),
    "ctrl-c": raises(KeyboardInterrupt()),
    "memory": raises(MemoryError()),
    "in_turn": in_turn,
    "forks": forks,
    "forks_and_tells": forks_and_tells,
    "forks_and_raises": forks_and_raises,
    "wanders": wanders,
    "closes": lambda metrics, _: [os.close(n) for n in (1, 2)] and metrics,
    "nothing": lambda metrics, _: None,
    "text": lambda metrics, _: {"accuracy": "good", "params": 1},
    "no_params": lambda metrics, _: {"accuracy": 1.0},
    "numbered": lambda metrics, _: {**metrics, 3: 1.0},
    "huge": lambda metrics, _: {"accuracy": 10**400, "params": 1},
}
