"""Whether a space allows weight sharing and mixing its options, and how long steps take."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING

from .._support.errors import InputError
from .facts import Sharing

if TYPE_CHECKING:
    from ..supernet.supernet import Supernet
    from ..task.problem import Problem

#: Methods that are timed, each with those that its time stands for.
TIMED = {
    "spos": ("spos", "few-shot-nas", "enas"),
    "bignas": ("bignas", "attentive", "ofa"),
    "darts": ("darts", "gdas", "snas", "drnas", "fair-darts", "beta-darts"),
    "fairnas": ("fairnas",),
    "pc-darts": ("pc-darts",),
    "darts-2nd": ("darts-2nd",),
}
#: Those that mix the options.
_MIX = ("darts", "pc-darts", "darts-2nd")
#: Steps of a method that are timed, after one that warms up.
_STEPS = 3
#: Builds that a survey of a space needs: for each option of its decisions, and in addition.
_BUILDS_AN_OPTION, _BUILDS = 3, 60


def survey_seconds(options: int, build_seconds: float) -> float:
    """Estimate the time needed to find out whether weights can be shared.

    Args:
        options: of all decisions together.
        build_seconds: seconds that building one architecture takes.
    """
    return build_seconds * (_BUILDS + _BUILDS_AN_OPTION * options)


def sharing(problem: Problem, seed: int) -> tuple[Sharing, Supernet | None]:
    """Try to build the supernet and to mix its options; the supernet is ``None`` if that fails."""
    from ..supernet.memory import available, memory_needed
    from ..supernet.supernet import Supernet

    example = problem.task.example(problem.data.facts, batch=2)
    try:
        net = Supernet(problem.space, seed=seed, device=problem.device, example=example)
    except InputError as error:
        reason = f"{error.where}: expected {error.expected}, got {error.got}"
        return Sharing(False, reason, False, "its weights cannot be shared"), None
    batch = problem.recipe.batch_size
    result = Sharing(
        True,
        parameters=sum(p.numel() for p in net.parameters()),
        memory_mb=memory_needed(net, example, batch) / 1e6,
        free_mb=available(net.device) / 1e6,
    )
    reason, paths = _relaxes(net, problem)
    if reason:
        return replace(result, relaxed=False, relaxed_reason=reason), net
    relaxed_mb = memory_needed(net, example, batch, paths) / 1e6
    return replace(result, relaxed=True, relaxed_mb=relaxed_mb), net


def _relaxes(net: Supernet, problem: Problem) -> tuple[str, float]:
    """Why options cannot be mixed, empty if they can; and how many are computed in parallel."""
    from ..supernet.relax.darts import DARTS

    method = DARTS()
    example = problem.task.example(problem.data.facts, batch=2)
    try:
        method.check(problem.space)
        method.try_out(net, example)
        return "", method.paths(problem.space)
    except InputError as error:
        return f"expected {error.expected}, got {error.got}", 1.0


def step_seconds(
    problem: Problem, net: Supernet, seed: int, until: float, relaxed: bool
) -> dict[str, float]:
    """Median seconds per step of each method of :data:`TIMED`, as far as time allows."""
    seconds: dict[str, float] = {}
    for name in TIMED:
        if (name in _MIX and not relaxed) or (seconds and time.monotonic() > until):
            continue
        with contextlib.suppress(InputError):  # the method does not support this space
            seconds[name] = median(_steps(problem, net, name, seed, until))
    return seconds


def _steps(problem: Problem, net: Supernet, name: str, seed: int, until: float) -> list[float]:
    import torch

    from ..supernet import methods
    from ..supernet.session import start

    method = methods.get(name)()
    method.check(problem.space)
    on = net.device
    times: list[float] = []
    with torch.random.fork_rng(devices=[on] if on.type == "cuda" else []):
        torch.manual_seed(seed)
        session = start(
            net, problem.task, problem.data, problem.recipe, seed=seed, holdout=method.holdout
        )
        method.begin(session)
        for batch in session.epoch(1):
            began = time.perf_counter()
            method.step(session, batch)
            if on.type != "cpu":
                torch.accelerator.synchronize(on)
            session.step += 1
            times.append(time.perf_counter() - began)
            if len(times) > _STEPS or (len(times) > 1 and time.monotonic() > until):
                break
    return times[1:] or times
