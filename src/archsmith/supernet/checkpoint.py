"""Checkpoints of shared-weight training: one folder per epoch, either complete or absent.

``epoch-00007/`` holds ``supernet.safetensors``, ``optimizer.safetensors``, ``method.safetensors``
(tensors of the method) and ``training.json`` (everything else). It is written under another name
and renamed when it is complete; then older ones are deleted.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .._support.errors import InputError, StoreError
from .._support.files import check_folder, remove_folder
from .._support.weights import read, write

if TYPE_CHECKING:
    from .method import Method
    from .session import Session

_PREFIX = "epoch-"
_HALF = ".tmp"
_FOLDER = re.compile(rf"{_PREFIX}\d{{5,}}({re.escape(_HALF)})?")
#: Files of a checkpoint folder, complete or half written; nothing else is ever deleted.
_OWN = re.compile(r"(supernet|method|optimizer)\.safetensors(\.\d+\.tmp)?|training\.json")
#: safetensors cannot read back a file that has no tensors and no entry in its header.
_META = {"format": "1"}


def latest(folder: Path) -> Path | None:
    """The newest checkpoint in a folder, or ``None``."""
    names = sorted(path for path in _folders(folder) if path.suffix != _HALF)
    return names[-1] if names else None


def save(folder: Path, session: Session, method: Method, epoch: int, over: bool) -> None:
    """Write a checkpoint and delete older ones.

    Args:
        over: the training has ended.

    Raises:
        StoreError: it cannot be written.
        InputError: the folder is a link.
    """
    check_folder(folder)
    try:
        _write(folder, session, method, epoch, over)
    except OSError as error:
        raise StoreError(
            str(folder),
            "a folder that can be written",
            str(error),
            "make it writable and run the same command again, which continues from the last "
            "epoch that was written",
        ) from error


def _write(folder: Path, session: Session, method: Method, epoch: int, over: bool) -> None:
    done = folder / f"{_PREFIX}{epoch:05d}"
    half = done.with_name(done.name + _HALF)
    remove_folder(half, _OWN)
    half.mkdir(parents=True)
    tensors: dict[str, Tensor] = {}
    record = {
        "training": identity(session, method),
        "epoch": epoch,
        "over": over,
        "step": session.step,
        "elapsed": session.spent,
        "held_batches": session.held_batches,
        "rate": session.rate,
        "curve": session.curve,
        "stopped": method.stopped,
        "state": pack(method.state(), tensors),
    }
    session.supernet.save(half / "supernet.safetensors")
    write(half / "method.safetensors", tensors, _META)
    moments, counters = _optimizer_state(session)
    write(half / "optimizer.safetensors", moments, _META)
    record["optimizer"] = counters
    (half / "training.json").write_text(json.dumps(record), encoding="utf-8")
    half.rename(done)
    _clear(folder, done)


def remove(folder: Path) -> None:
    """Delete all checkpoints of a training, and the folder if it is then empty.

    Raises:
        InputError: it is a link.
    """
    check_folder(folder)
    _clear(folder)
    with contextlib.suppress(OSError):
        folder.rmdir()


def _clear(folder: Path, keep: Path | None = None) -> None:
    for path in _folders(folder):
        if path != keep:
            remove_folder(path, _OWN)


def _folders(folder: Path) -> list[Path]:
    """Checkpoints, complete and half written, in a folder; symbolic links are skipped."""
    paths = folder.glob(f"{_PREFIX}*")
    return [p for p in paths if _FOLDER.fullmatch(p.name) and p.is_dir() and not p.is_symlink()]


def restore(path: Path, session: Session, method: Method) -> tuple[int, bool]:
    """Continue from a checkpoint; the number of epochs done, and whether training had ended.

    Called after ``method.begin(session)``.

    Raises:
        InputError: it is of another training, or damaged.
    """
    try:
        record, (weights, meta), (method_tensors, _), (moments, _) = _read(path)
    except (InputError, OSError, ValueError) as error:
        raise InputError(
            str(path),
            "a complete checkpoint",
            " ".join(str(error).split()),
            f"delete {path.parent} to start the training again",
        ) from None
    expected = identity(session, method)
    differing = [key for key in expected if record["training"].get(key) != expected[key]]
    if differing:
        key = differing[0]
        raise InputError(
            f"{path}, {key.replace('_', ' ')}",
            repr(expected[key]),
            repr(record["training"].get(key)),
            "continue with the same settings, or train in another folder",
        )
    session.step, session.elapsed = record["step"], record["elapsed"]
    session.held_batches, session.rate = record["held_batches"], record["rate"]
    session.curve = record["curve"]
    method.stopped = record["stopped"]
    session.supernet.restore(weights, meta, str(path))
    session.adopt(again=True)
    method.load_state(unpack(record["state"], method_tensors))
    _load_optimizer(session, moments, record["optimizer"])
    return record["epoch"], record["over"]


def _read(path: Path) -> Any:
    """The record of a checkpoint, then each file's tensors with their header."""
    record = json.loads((path / "training.json").read_text(encoding="utf-8"))
    names = ("supernet", "method", "optimizer")
    return record, *(read(path / f"{name}.safetensors") for name in names)


def identity(session: Session, method: Method) -> dict[str, Any]:
    """The settings that must be equal for a training to continue, as JSON values."""
    recipe = session.recipe.to_json()
    del recipe["epochs"], recipe["patience"]  # irrelevant here: the first may be replaced
    return {
        "space": session.supernet.space.fingerprint,
        "method": method.name,
        "data": session.data.name,
        "examples": len(session.data.train),
        "seed": session.seed,
        "epochs": session.epochs,
        "seconds": session.seconds,
        **recipe,
    }


def pack(value: Any, tensors: dict[str, Tensor]) -> Any:
    """A value as JSON; its tensors are moved to ``tensors`` and replaced by their names.

    Dicts may have keys of any kind that can be packed; tuples stay tuples.

    Raises:
        TypeError: a value that is neither JSON, a tuple nor a tensor.
    """
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value
        return {"tensor": name}
    if isinstance(value, Mapping):
        return {"dict": [[pack(k, tensors), pack(v, tensors)] for k, v in value.items()]}
    if isinstance(value, tuple):
        return {"tuple": [pack(item, tensors) for item in value]}
    if isinstance(value, list):
        return [pack(item, tensors) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"the state of a method cannot hold a {type(value).__name__}")


def unpack(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The inverse of :func:`pack`."""
    if isinstance(value, list):
        return [unpack(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, inside),) = value.items()
    if kind == "tensor":
        return tensors[inside]
    if kind == "tuple":
        return tuple(unpack(item, tensors) for item in inside)
    return {unpack(k, tensors): unpack(v, tensors) for k, v in inside}


def _optimizer_state(session: Session) -> tuple[dict[str, Tensor], dict[str, list[str]]]:
    """The tensors of the optimiser's state, and the state entries of each parameter, by name.

    By name, since the order of parameters depends on when they were added.
    """
    tensors: dict[str, Tensor] = {}
    names: dict[str, list[str]] = {}
    for name, parameter in session.supernet.named_parameters():
        state = session.optimizer.state.get(parameter, {})
        tensors_of = {key: value for key, value in state.items() if isinstance(value, Tensor)}
        tensors |= {f"{name}:{key}": value for key, value in tensors_of.items()}
        if tensors_of:
            names[name] = list(tensors_of)
    return tensors, names


def _load_optimizer(
    session: Session, tensors: Mapping[str, Tensor], names: Mapping[str, list[str]]
) -> None:
    parameters = dict(session.supernet.named_parameters())
    session.optimizer.state.clear()
    for name, keys in names.items():
        parameter = parameters[name]
        session.optimizer.state[parameter] = {
            key: torch.clone(tensors[f"{name}:{key}"]).to(parameter.device) for key in keys
        }
