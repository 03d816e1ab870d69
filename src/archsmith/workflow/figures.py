"""The state of a study: what reports and terminals show of it besides its trials."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from .._support.errors import SpaceError
from .._support.trees import call, count_examples, join, take
from ..hardware.options import described
from ..history.trial import History, State
from ..space import Architecture
from ..study.fidelity import worth
from ..study.record import Record
from ..task.contracts import Deployment, Pictures, Sequences
from ..task.problem import Problem
from .finalist import Finalist, model_of

#: Parts of evaluations do not add up to whole numbers exactly.
_SLACK = 1e-9
#: Operations of a network that is drawn with fewer steps, if it repeats layers for each.
_LONG = 600


def graph_of(problem: Problem, architecture: Architecture) -> Any:
    """The diagram of an architecture."""
    from ..report.diagram import trace_graph

    try:
        model = problem.space.build(architecture, device="meta")
    except SpaceError:  # constructors that read values cannot run on meta
        model = problem.space.build(architecture)
    graph, task = trace_graph(model, problem.example()), problem.task
    if isinstance(task, Sequences) and len(graph.nodes) > _LONG:
        return trace_graph(model, task.short_example(problem.data.facts))
    return graph


def predictions_of(problem: Problem, final: Finalist) -> bytes | None:
    """A PNG of predictions on examples that it was not trained on, of the validation part if that
    was left out, else of the test part; ``None`` if the task draws none."""
    import torch

    task, data = problem.task, final.calibrated(problem.data)
    if not isinstance(task, Pictures) or not isinstance(task, Deployment):
        return None
    deployed = task.deployable(model_of(problem, final), data.facts).eval()
    part = data.test if final.whole else data.validation
    inputs, targets = part.head(task.pictured or task.judged_at_once)
    with torch.no_grad():
        chunks = torch.split(torch.arange(count_examples(inputs)), task.judged_at_once)
        given = [call(deployed, take(inputs, chunk)) for chunk in chunks]
    outputs = join(given) if len(given) > 1 else given[0]
    buffer = io.BytesIO()
    picture = task.picture_of(deployed, inputs, targets, outputs, data.facts)
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def environment_of(meta: Mapping[str, Any], winner: Finalist | None) -> dict[str, str]:
    """Versions, device and settings of the study by name, for display."""
    fidelity, recipe = meta["fidelity"], meta["recipe"]
    environment = {name: str(value) for name, value in meta["versions"].items()}
    environment |= {
        "platform": meta["platform"],
        "device": meta["device"],
        "strategy": meta["strategy"],
    }
    environment["a trial"] = (
        f"{fidelity['epochs']} epochs on {fidelity['share']:.0%} of the training part"
    )
    environment["training to the end"] = f"{recipe['epochs']} epochs"
    if winner and winner.measured:
        environment["latency"] = described(winner.measured)
    return {name: value for name, value in environment.items() if value}


def progress_of(record: Record, meta: Mapping[str, Any]) -> tuple[Any, str]:
    """Whether a study is running, stopped or finished, and its progress in words."""
    full = meta["fidelity"].get("epochs")
    offers = (full,) if full else ()
    parts = [part for trial in record.ended if (part := worth(trial, offers))]
    done, whole = len(parts) - record.forgiven, sum(parts) - record.forgiven
    total: int | None = meta.get("trials")
    text = f"{done} of {total} trials" if total else f"{done} trials"
    if any(one < 1 for one in parts):
        text = f"{done} trials, worth {whole:.3g} " + (f"of {total} " if total else "")
        text += f"full one{'' if (total or whole) == 1 else 's'}"
    closed = record.sessions[-1].closed if record.sessions else ""
    spent = total is not None and whole >= total - _SLACK
    if record.notes.get("winner"):
        short = f", since {closed}" if total and closed and not spent else ""
        return "finished", text + short
    if spent:
        missing = "" if not meta.get("finalists") else ", nothing trained to the end yet"
        return "finished", text + missing
    if closed:
        return "stopped", f"{text}, stopped: {closed}"
    return "running", text


def failures_in(history: History) -> list[str]:
    """The first failed trials, with their reasons, and trials that could not be continued."""
    failed = [t for t in history.trials if t.state is State.FAILED]
    return [f"trial {t.number} failed: {t.reason}" for t in failed[:20]] + begun_anew(history)


def begun_anew(history: History) -> list[str]:
    """The first trials that were to continue another, but trained from the start, and why."""
    anew = [t for t in history.finished if t.continues is not None and t.reason]
    return [f"trial {t.number} was {t.reason}" for t in anew[:20]]
