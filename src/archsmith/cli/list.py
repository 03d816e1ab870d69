"""The command ``archsmith list``: what is available by name, plug-ins included."""

from __future__ import annotations

import inspect
from enum import StrEnum
from typing import Annotated, Any

import typer

from .benchmark import list_tables
from .output import say


class Kind(StrEnum):
    """What can be listed."""

    spaces = "spaces"
    architectures = "architectures"
    strategies = "strategies"
    methods = "methods"
    evaluators = "evaluators"
    executors = "executors"
    formats = "formats"
    proxies = "proxies"
    predictors = "predictors"
    losses = "losses"
    learners = "learners"
    backbones = "backbones"
    zero_shot = "zero-shot"
    tasks = "tasks"
    datasets = "datasets"
    tables = "tables"


def list_(kind: Annotated[Kind, typer.Argument(help="What to list.")]) -> None:
    """List what is available by name, plug-ins included."""
    if kind is Kind.tables:
        list_tables()
        return
    registry = _registry(kind)
    names = registry.names()
    width = max(map(len, names))
    for name in names:
        described = registry.get(name)
        doc = getattr(described, "doc", None) or inspect.getdoc(described) or ""
        say(f"{name:<{width}}  {doc.splitlines()[0] if doc else ''}".rstrip())


def _registry(kind: Kind) -> Any:
    from .. import data, evaluate, metric, predictor, proxy, strategy, supernet, task, zoo
    from ..export.registry import formats
    from ..study.executors import executors
    from ..transfer import fewshot, pretrained, zeroshot
    from ..zoo.named import architectures

    return {
        Kind.spaces: zoo.spaces,
        Kind.architectures: architectures,
        Kind.strategies: strategy.strategies,
        Kind.methods: supernet.methods,
        Kind.evaluators: evaluate.evaluators,
        Kind.executors: executors,
        Kind.formats: formats,
        Kind.proxies: proxy.proxies,
        Kind.predictors: predictor.predictors,
        Kind.losses: metric.losses,
        Kind.learners: fewshot.learners,
        Kind.backbones: pretrained.backbones,
        Kind.zero_shot: zeroshot.zero_shot,
        Kind.tasks: task.tasks,
        Kind.datasets: data.datasets,
    }[kind]
