"""What ``architecture.json`` of an export says, read with care: anybody may have changed it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..errors import InputError

#: Version of the folder's layout, in ``architecture.json``.
FORMAT = 1
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
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(str(path), "a readable JSON file", str(error)) from None
    if not isinstance(record, dict) or not isinstance(record.get("format"), int):
        raise InputError(str(path), "a record with a format number", "none")
    if record["format"] > FORMAT:
        raise InputError(
            str(path), f"format {FORMAT} or older", f"format {record['format']}",
            "it was written by a newer archsmith: pip install --upgrade archsmith",
        )  # fmt: skip
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


def first_line(error: Exception) -> str:
    """The first line of an error's message; torch's go on for pages."""
    return next(iter(str(error).strip().splitlines()), "no message")
