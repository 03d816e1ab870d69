"""What ``architecture.json`` of an export says, read with care: anybody may have changed it."""

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
#: Characters of a reason.
_LONG = 300
#: What every record holds, and what the value must be; prediction reads these.
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
    """What ``architecture.json`` of an exported folder holds.

    Raises:
        InputError: the folder is no export, one of a newer archsmith, or its record lacks a key.
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
            what = "an object" if kind is dict else "a text"
            got = "no such key" if value is None else type(value).__name__
            raise InputError(str(path), f"{what} under {name!r}", got)


def outputs_of(model: nn.Module, task: Task, facts: Mapping[str, Any]) -> dict[str, Any] | None:
    """Numbers of what a model gives for an input that is always the same; ``None`` where it cannot
    be run on one."""
    from ..space.sketch import computed, inputs_like

    try:
        return computed(model, inputs_like(task.example(facts, 2)))
    except Exception:  # the model is the user's code
        return None


def check_outputs(where: str, known: Mapping[str, Any], now: Mapping[str, Any] | None) -> None:
    """Refuse a model that gives something else than :func:`outputs_of` kept of the exported one.

    Raises:
        InputError: it does, or what was kept is damaged.
    """
    from ..space.sketch import difference

    try:
        if now is None or None in (known["within"], now["within"]):
            return
        by = difference(known["outputs"], now["outputs"])
        same = by <= max(known["within"], now["within"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(where, "outputs to compare with", f"damaged ones ({error!r})") from None
    if not same:
        raise InputError(
            where,
            "a space that builds the model which was exported",
            f"one whose outputs at the same weights differ by {by:.2g} of their size",
            "give the builder as it was when the model was exported",
        )


def first_line(error: Exception) -> str:
    """The first line of an error's message as plain text; torch's are coloured, and have pages.

    Of a chain of errors it is that of the first one; a line that ends with a colon goes on.
    """
    while isinstance(error.__cause__, Exception):
        error = error.__cause__
    text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", str(error))
    found = ""
    for line in text.splitlines():
        plain = "".join(c if c.isprintable() else " " for c in line)
        found = " ".join([found, *plain.split()]).strip()
        if found and not found.endswith(":"):
            break
    found = found or "no message"
    return found if len(found) <= _LONG else f"{found[:_LONG]} ..."
