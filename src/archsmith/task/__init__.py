"""Tasks by name: what is learned, from what data, with which loss, metrics and defaults."""

from __future__ import annotations

import inspect

from .._support.errors import DataError, InputError
from .._support.registry import Registry
from .base import ReadOptions, Task

#: Tasks by name; each entry refers to a subclass of :class:`~archsmith.task.base.Task`.
tasks = Registry(
    "task",
    "archsmith.tasks",
    {
        "audio-classification": "archsmith.task.audio:AudioClassification",
        "detection": "archsmith.task.detection:Detection",
        "few-shot": "archsmith.task.fewshot:FewShotImages",
        "forecasting": "archsmith.task.forecasting:Forecasting",
        "generation": "archsmith.task.generation:Generation",
        "image-classification": "archsmith.task.image:ImageClassification",
        "language-modelling": "archsmith.task.language:LanguageModelling",
        "masked-prediction": "archsmith.task.masked:MaskedPrediction",
        "multi-label": "archsmith.task.multilabel:MultiLabel",
        "segmentation": "archsmith.task.segmentation:Segmentation",
        "self-supervised": "archsmith.task.selfsupervised:SelfSupervisedImages",
        "series-classification": "archsmith.task.series:SeriesClassification",
        "tabular-classification": "archsmith.task.table:TabularClassification",
        "tabular-regression": "archsmith.task.table:TabularRegression",
        "text-classification": "archsmith.task.text:TextClassification",
        "translation": "archsmith.task.translation:Translation",
    },
)


def task(name: str | Task) -> Task:
    """The task of this name. Options follow the name after a colon, ``few-shot:ways=20,shots=5``.
    A task object is returned unchanged.

    Raises:
        UnknownNameError: no task has this name; the message suggests the nearest one.
        InputError: options that the task does not take, or ``"own"``, which cannot be opened by
            name.
    """
    if isinstance(name, Task):
        return name
    if name == "own":
        raise InputError(
            "data",
            "the objects that the study was started with",
            "only its record",
            "repeat the same call: nas.search(space, data=..., loss=..., run=...)",
        )
    name, _, options = name.partition(":")
    kind = tasks.get(name)
    if options and not inspect.signature(kind).parameters:
        raise InputError(f"task {name}", "no options", repr(options))
    opened: Task = kind(options) if options else kind()
    return opened


def task_for(source: str, options: ReadOptions | None = None) -> Task:
    """The task that a source (a name or a path) is most likely meant for; ties go to the first by
    name.

    Args:
        options: the target column matters, since it decides between classes and values.

    Raises:
        UnknownNameError: a name that is not registered.
        DataError: nothing at the path, or nothing that any task can read.
    """
    from ..data.source import locate

    locate(source)
    candidates = [task(name) for name in tasks.names()]
    claims = [int(candidate.suits(source, options)) for candidate in candidates]
    surest = max(claims)
    if not surest:
        read = dict.fromkeys(candidate.reads for candidate in candidates if candidate.reads)
        readable = "; ".join(["a name (see `archsmith list datasets`)", *read])
        raise DataError(source, readable, "something else", "choose the task by its name")
    return candidates[claims.index(surest)]


__all__ = ["task", "task_for", "tasks"]
