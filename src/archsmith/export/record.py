"""Reads ``architecture.json`` of an export with care, since anybody may have changed it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._support.errors import InputError

if TYPE_CHECKING:
    from torch import nn

    from ..task.base import Task

#: Version of the folder's layout, in ``architecture.json``.
FORMAT = 1
#: Largest number of characters in a reason.
_LONG = 300
#: Required keys of a record and the types of their values; prediction reads these.
_REQUIRED: dict[str, type] = {
    "task": str,
    "architecture": dict,
    "facts": dict,
    "space": dict,
    "space.name": str,
    "space.reference": str,
    "space.arguments": dict,
    "space.fingerprint": str,
}


def read_record(folder: Path) -> dict[str, Any]:
    """The content of ``architecture.json`` in an exported folder.

    Raises:
        InputError: the folder is no export, was written by a newer archsmith, or its record lacks a
            key.
    """
    path = folder / "architecture.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            str(folder), "a folder that archsmith export wrote", "no architecture.json in it"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(str(path), "a readable JSON file", str(error)) from None
    if not isinstance(record, dict) or not isinstance(record.get("format"), int):
        raise InputError(str(path), "a record with a format number", "none")
    if record["format"] > FORMAT:
        raise InputError(
            str(path),
            f"format {FORMAT} or older",
            f"format {record['format']}",
            "it was written by a newer archsmith: pip install --upgrade archsmith",
        )
    _check_keys(path, record)
    return record


def _check_keys(path: Path, record: dict[str, Any]) -> None:
    for name, kind in _REQUIRED.items():
        value: Any = record
        for key in name.split("."):
            value = value.get(key)
        if not isinstance(value, kind):
            expected = "an object" if kind is dict else "a string"
            got = "no such key" if value is None else type(value).__name__
            raise InputError(str(path), f"{expected} under {name!r}", got)


def outputs_of(model: nn.Module, task: Task, facts: Mapping[str, Any]) -> dict[str, Any] | None:
    """Numbers that describe a model's output for a fixed input; ``None`` if it cannot be run."""
    from ..space.sketch import computed, inputs_like

    try:
        return computed(model, inputs_like(task.example(facts, 2)))
    except Exception:  # the model is the user's code
        return None


def check_outputs(where: str, recorded: Mapping[str, Any], now: Mapping[str, Any] | None) -> None:
    """Refuse a model whose outputs differ from those that :func:`outputs_of` recorded at export.

    Raises:
        InputError: they differ, or the recorded ones are damaged.
    """
    from ..space.sketch import difference

    try:
        if now is None or None in (recorded["within"], now["within"]):
            return
        by = difference(recorded["outputs"], now["outputs"])
        same = by <= max(recorded["within"], now["within"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(where, "outputs to compare with", f"damaged ones ({error!r})") from None
    if not same:
        raise InputError(
            where,
            "a space that builds the model that was exported",
            f"one whose outputs at the same weights differ by {by:.2g} of their size",
            "use the builder as it was when the model was exported",
        )


def first_line(error: Exception) -> str:
    """The first line of an error's message as plain text; torch's are coloured and pages long.

    Of a chain of errors, it is that of the first one; a line that ends with a colon continues.
    """
    while isinstance(error.__cause__, Exception):
        error = error.__cause__
    text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", str(error))
    message = ""
    for line in text.splitlines():
        plain = "".join(c if c.isprintable() else " " for c in line)
        message = " ".join([message, *plain.split()]).strip()
        if message and not message.endswith(":"):
            break
    message = message or "no message"
    return message if len(message) <= _LONG else f"{message[:_LONG]} ..."
