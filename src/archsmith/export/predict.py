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


#: What to do about an export that is damaged.
_ANEW = "export the model anew"
_WHOLE = "a record and weights as archsmith export writes them"


def predict(
    folder: str | Path, input_path: str | Path, *, space: Space | None = None
) -> list[dict[str, Any]]:
    """What an exported model says about a file.

    No file of the folder is trusted to run code. The model is built from its space and filled from
    ``model.safetensors``; where the space is not registered and not given, ``model.onnx`` runs.
    ``model.pt2`` is left alone, because loading one can run what is in it, and so is the
    ``module:function`` that ``architecture.json`` names.

    Args:
        folder: what :func:`archsmith.export.export` wrote.
        input_path: an input of the task (an image, a table, ...).
        space: the space that the model came from; needed where it is the user's own and there is
            no ``model.onnx``.

    Returns:
        One mapping of JSON values for each example of the input, as the task describes them; of a
        folder's, with the name of the file as ``input``.

    Raises:
        InputError: the folder is no export, or its space cannot be had.
        DataError: the input cannot be read.
    """
    record, task, run = opened(folder, space)
    facts: Mapping[str, Any] = record["facts"]
    path = Path(input_path)
    with fitting(folder):
        inputs = task.load_input(path, facts)
        return named(task, path, task.describe(run(inputs), facts))


def fitting(folder: str | Path) -> AbstractContextManager[None]:
    """Around work with inputs and what a record says of them: anybody may have changed it.

    Raises:
        DamagedError: in place of what Python and torch say of values that do not fit.
    """
    return undamaged(str(folder), "a record that fits its model and the input", _ANEW)


def named(task: Deployment, path: Path, answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The answers with the files that they are about, where there are several."""
    names = task.names_in(path)
    if names is None:
        return answers
    return [{"input": name, **answer} for name, answer in zip(names, answers, strict=True)]


def opened(
    folder: str | Path, space: Space | None = None
) -> tuple[dict[str, Any], Deployment, Callable[[Tree], Tree]]:
    """The record of an export, its task, and the deployed model as a function of raw inputs.

    Raises:
        InputError: the folder is no export, or its space cannot be had.
    """
    from ..task import task as find_task
    from ..task.contracts import deployment_of

    place = Path(folder)
    record = read_record(place)
    task = find_task(record["task"])
    with undamaged(str(place), _WHOLE, _ANEW):
        return record, deployment_of(task), _runner(place, record, task, space)


def _runner(
    folder: Path, record: Mapping[str, Any], task: Task, space: Space | None
) -> Callable[[Tree], Tree]:
    space = space or _registered(record)
    if space is not None:
        _check_space(folder, record, space)
        return _built(folder, record, task, space)
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


def _built(
    folder: Path, record: Mapping[str, Any], task: Task, space: Space
) -> Callable[[Tree], Tree]:
    from ..task.contracts import deployment_of
    from .programs import live

    return live(deployment_of(task).deployable(_filled(folder, record, space), record["facts"]))


def load_model(folder: str | Path, *, space: Space | None = None) -> nn.Module:
    """The live module of an exported folder, in evaluation mode, as :func:`predict` builds it.

    Args:
        space: the space that the model came from; needed where it is the user's own.

    Raises:
        InputError: the folder is no export, its space is not registered and not given, or it is
            another one.
    """
    place = Path(folder)
    record = read_record(place)
    with undamaged(str(place), _WHOLE, _ANEW):
        space = space or _registered(record)
    if space is None:
        reference = record["space"]["reference"]
        raise InputError(
            f"space {reference}",
            "a registered space: the module is rebuilt from it, and an ONNX file has none",
            "a space of its author's own",
            f"give the space: --space {reference}",
        )
    with undamaged(str(place), _WHOLE, _ANEW):
        _check_space(place, record, space)
        return _filled(place, record, space)


def _check_space(folder: Path, record: Mapping[str, Any], space: Space) -> None:
    if space.fingerprint != record["space"]["fingerprint"]:
        raise InputError(
            f"space {space.name}",
            f"the one that {folder} was exported from",
            "one with other arguments or decisions",
        )


def _filled(folder: Path, record: Mapping[str, Any], space: Space) -> nn.Module:
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


def _registered(record: Mapping[str, Any]) -> Space | None:
    """The space, if it is one that is registered here under its name."""
    from ..space import Space
    from ..zoo import spaces

    name, arguments = record["space"]["name"], record["space"]["arguments"]
    if name not in spaces.names():
        return None
    check_arguments(f"space {name} of architecture.json", arguments)
    space = Space(spaces.get(name), **arguments)
    return space if space.reference == record["space"]["reference"] else None
