"""Predictions with an exported model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._support.errors import InputError, undamaged
from .._support.signing import check_arguments
from .record import check_outputs, first_line, outputs_of, read_record

if TYPE_CHECKING:
    from torch import nn

    from .._support.trees import Tree
    from ..space import Space
    from ..task.base import Task
    from ..task.contracts import Deployment


#: Hint and expectation for an export that is damaged.
_EXPORT_AGAIN = "export the model again"
_UNDAMAGED = "a record and weights as archsmith export writes them"


def predict(
    folder: str | Path, input_path: str | Path, *, space: Space | None = None
) -> list[dict[str, Any]]:
    """The predictions of an exported model for a file::

        answers = predict("digits-model", "digit.png")

    No file of the folder is trusted to run code. The model is built from its space and loaded from
    ``model.safetensors``; if the space is neither registered nor given, ``model.onnx`` is run.
    ``model.pt2`` is not used, because loading one can run code that is in it, and neither is the
    ``module:function`` that ``architecture.json`` names.

    Args:
        folder: what :func:`archsmith.export.export` wrote.
        input_path: an input of the task (an image, a table, ...).
        space: the space that the model came from; needed if it is the user's own and there is no
            ``model.onnx``.

    Returns:
        One mapping of JSON values for each example of the input, as the task describes them; for
        the files of a folder, with the name of the file as ``input``. If the task can explain
        answers and the examples are few, also what moved each.

    Raises:
        InputError: the folder is no export, or its space is not available.
        DataError: the input cannot be read.
    """
    from ..task.contracts import Explanation

    record, task, run = opened(folder, space)
    facts: Mapping[str, Any] = record["facts"]
    path = Path(input_path)
    with fitting(folder):
        inputs = task.load_input(path, facts)
        outputs = run(inputs)
        answers = task.describe(outputs, facts)
        if isinstance(task, Explanation) and len(answers) <= task.explained_at_most:
            reasons = task.explain(run, inputs, outputs, facts)
            answers = [answer | why for answer, why in zip(answers, reasons, strict=True)]
        return named(task, path, answers)


def fitting(folder: str | Path) -> AbstractContextManager[None]:
    """A context for work with inputs and a record, which anybody may have changed.

    Raises:
        DamagedError: replaces the errors of Python and torch about values that do not fit.
    """
    return undamaged(str(folder), "a record that fits its model and the input", _EXPORT_AGAIN)


def named(task: Deployment, path: Path, answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The answers with the names of their files, if the input is a folder of several."""
    names = task.names_in(path)
    if names is None:
        return answers
    return [{"input": name, **answer} for name, answer in zip(names, answers, strict=True)]


def opened(
    folder: str | Path, space: Space | None = None
) -> tuple[dict[str, Any], Deployment, Callable[[Tree], Tree]]:
    """The record of an export, its task, and the deployed model as a function of raw inputs.

    Raises:
        InputError: the folder is no export, or its space is not available.
    """
    from ..task import task as find_task
    from ..task.contracts import deployment_of

    place = Path(folder)
    record = read_record(place)
    task = find_task(record["task"])
    with undamaged(str(place), _UNDAMAGED, _EXPORT_AGAIN):
        return record, deployment_of(task), _runner(place, record, task, space)


def _runner(
    folder: Path, record: Mapping[str, Any], task: Task, space: Space | None
) -> Callable[[Tree], Tree]:
    space = space or _registered_space(record)
    if space is not None:
        _check_space(folder, record, space)
        return _build_function(folder, record, task, space)
    if (folder / "model.onnx").exists():
        from .onnx import ONNX

        return ONNX().read(folder / "model.onnx")
    reference = record["space"]["reference"]
    raise InputError(
        f"space {reference}",
        "a registered space, or a model.onnx in the folder",
        "neither",
        f"give the space: --space {reference}",
    )


def _build_function(
    folder: Path, record: Mapping[str, Any], task: Task, space: Space
) -> Callable[[Tree], Tree]:
    from ..task.contracts import deployment_of
    from .programs import live

    return live(
        deployment_of(task).deployable(_load_weights(folder, record, space), record["facts"])
    )


def load_model(folder: str | Path, *, space: Space | None = None) -> nn.Module:
    """The live module of an exported folder, in evaluation mode, as :func:`predict` builds it.

    Args:
        space: the space that the model came from; needed if it is the user's own.

    Raises:
        InputError: the folder is no export, its space is neither registered nor given, or the
            given one is not the model's.
    """
    place = Path(folder)
    record = read_record(place)
    with undamaged(str(place), _UNDAMAGED, _EXPORT_AGAIN):
        space = space or _registered_space(record)
    if space is None:
        reference = record["space"]["reference"]
        raise InputError(
            f"space {reference}",
            "a registered space: the module is rebuilt from it, and an ONNX file has none",
            "a space that is not registered here",
            f"give the space: --space {reference}",
        )
    with undamaged(str(place), _UNDAMAGED, _EXPORT_AGAIN):
        _check_space(place, record, space)
        return _load_weights(place, record, space)


def _check_space(folder: Path, record: Mapping[str, Any], space: Space) -> None:
    if space.fingerprint != record["space"]["fingerprint"]:
        raise InputError(
            f"space {space.name}",
            f"the one that {folder} was exported from",
            "one with other arguments or decisions",
        )


def _load_weights(folder: Path, record: Mapping[str, Any], space: Space) -> nn.Module:
    """The module with the weights of ``model.safetensors``."""
    from ..space.architecture import Architecture
    from ..space.ordinary import ordinary
    from ..task import task as find_task
    from .weights import read_safetensors

    task, facts = find_task(record["task"]), record["facts"]
    with ordinary():
        space.builder.expect(task.example(facts, 2))
        model = space.build(Architecture.from_json(record["architecture"]))
        path = folder / "model.safetensors"
        try:
            model = read_safetensors(model, path)
        except Exception as error:
            text = first_line(error)
            raise InputError(str(path), "the weights of this architecture", text) from None
        if record.get("computes") is not None:
            check_outputs(str(folder), record["computes"], outputs_of(model, task, facts))
    return model


def _registered_space(record: Mapping[str, Any]) -> Space | None:
    """The space, if it is registered here under its name."""
    from ..space import Space
    from ..zoo import spaces

    name, arguments = record["space"]["name"], record["space"]["arguments"]
    if name not in spaces.names():
        return None
    check_arguments(f"space {name} of architecture.json", arguments)
    space = Space(spaces.get(name), **arguments)
    return space if space.reference == record["space"]["reference"] else None
