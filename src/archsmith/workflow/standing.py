"""How a study stands: what pages and terminals say of it beside its trials."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from .._support.errors import SpaceError
from .._support.trees import call, clone
from ..hardware.options import described
from ..history.trial import History, State
from ..space import Architecture
from ..study.fidelity import worth
from ..study.record import Record
from ..task.contracts import Deployment, Pictures
from ..task.problem import Problem
from .finalist import Finalist, model_of

#: Parts of evaluations do not add up to whole numbers exactly.
_SLACK = 1e-9


def graph_of(problem: Problem, architecture: Architecture) -> Any:
    """The diagram of an architecture."""
    from ..report.diagram import trace_graph

    try:
        model = problem.space.build(architecture, device="meta")
    except SpaceError:  # constructors that read values cannot run there
        model = problem.space.build(architecture)
    return trace_graph(model, problem.example())


def predictions_of(problem: Problem, final: Finalist) -> bytes | None:
    """A picture of predictions on the validation part, where the task has one; else nothing."""
    import torch

    task, data = problem.task, problem.data
    if not isinstance(task, Pictures) or not isinstance(task, Deployment):
        return None
    deployed = task.deployable(model_of(problem, final), data.facts).eval()
    inputs, targets = data.validation.head(task.judged_at_once)
    with torch.no_grad():
        outputs = call(deployed, clone(inputs))
    buffer = io.BytesIO()
    task.picture(inputs, targets, outputs, data.facts).save(buffer, "PNG")
    return buffer.getvalue()


def environment_of(meta: Mapping[str, Any], winner: Finalist | None) -> dict[str, str]:
    """What the study ran on and with, by name, for people."""
    fidelity, recipe = meta["fidelity"], meta["recipe"]
    found = {name: str(value) for name, value in meta["versions"].items()}
    found |= {"platform": meta["platform"], "device": meta["device"], "strategy": meta["strategy"]}
    found["a trial"] = (
        f"{fidelity['epochs']} epochs on {fidelity['share']:.0%} of the training part"
    )
    found["training to the end"] = f"{recipe['epochs']} epochs"
    if winner and winner.measured:
        found["latency"] = described(winner.measured)
    return {name: value for name, value in found.items() if value}


def progress_of(record: Record, meta: Mapping[str, Any]) -> tuple[Any, str]:
    """Whether a study runs, was stopped or is finished, and how far it came, in words."""
    full = meta["fidelity"].get("epochs")
    offers = (full,) if full else ()
    parts = [part for trial in record.ended if (part := worth(trial, offers))]
    done, whole = len(parts) - record.forgiven, sum(parts) - record.forgiven
    wanted: int | None = meta.get("trials")
    text = f"{done} of {wanted} trials" if wanted else f"{done} trials"
    if any(one < 1 for one in parts):
        text = f"{done} trials, worth {whole:.3g} " + (f"of {wanted} " if wanted else "")
        text += f"full one{'' if (wanted or whole) == 1 else 's'}"
    closed = record.sessions[-1].closed if record.sessions else ""
    spent = wanted is not None and whole >= wanted - _SLACK
    if record.notes.get("winner"):
        short = f", since {closed}" if wanted and closed and not spent else ""
        return "finished", text + short
    if spent:
        missing = "" if not meta.get("finalists") else ", nothing trained to the end yet"
        return "finished", text + missing
    if closed:
        return "stopped", f"{text}, stopped: {closed}"
    return "running", text


def failures_in(history: History) -> list[str]:
    """The first failed trials, with why."""
    failed = [t for t in history.trials if t.state is State.FAILED]
    return [f"trial {t.number} failed: {t.reason}" for t in failed[:20]]
