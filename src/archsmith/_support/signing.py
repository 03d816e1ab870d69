"""The key by which a user's own records are known; what a stranger's may give to a builder."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import math
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import InputError

_BYTES = 32
#: Of a stranger's arguments: larger numbers, longer texts and more values are no sizes of models.
_LARGEST, _MOST = 1_000_000, 1000
#: A word: neither a path nor a place to import from.
_WORD = re.compile(r"[\w +-]{0,64}", re.ASCII)


def key_path() -> Path:
    """Where the key is kept: ``archsmith/key`` in the user's folder of settings.

    Raises:
        RuntimeError: the user has no home.
    """
    named = os.environ.get("XDG_CONFIG_HOME", "")
    if not Path(named).is_absolute():  # the standard says to ignore others
        named = os.environ.get("APPDATA", "") if os.name == "nt" else ""
    return (Path(named) if named else Path.home() / ".config") / "archsmith" / "key"


def sign(values: Mapping[str, Any]) -> str:
    """A signature of JSON values by the user's key, which is made where there is none.

    Empty where no key can be kept; such records count as a stranger's.
    """
    key = _key() or _new_key()
    return _signature(key, values) if key else ""


def signed(values: Mapping[str, Any], signature: object) -> bool:
    """Whether this user's key made the signature, for these very values."""
    key = _key()
    if key is None or not isinstance(signature, str) or not signature.isascii():
        return False
    return hmac.compare_digest(_signature(key, values), signature)


def check_arguments(where: str, arguments: Mapping[str, Any]) -> None:
    """Refuse arguments that a builder should not be called with because a stranger says so.

    Numbers and words are sizes and options. Paths and places to import from would be opened, and a
    huge number fills the memory.

    Raises:
        InputError: the first such argument.
    """
    if not isinstance(arguments, Mapping):
        raise InputError(where, "arguments by name", type(arguments).__name__)
    for name, value in arguments.items():
        if not _harmless(value):
            raise InputError(
                f"{where}, argument {name!r}",
                f"a number up to {_LARGEST:,}, a plain word, or a list of such: nobody's signature "
                "says that this record is yours",
                repr(value)[:80],
                "give a Space with its arguments: nas.Run(folder, space=nas.Space(builder, ...))",
            )


def _harmless(value: object, depth: int = 4) -> bool:
    if isinstance(value, float):
        return math.isfinite(value) and abs(value) <= _LARGEST
    if isinstance(value, str):
        return _WORD.fullmatch(value) is not None
    if isinstance(value, Mapping):
        return _harmless([*value.keys(), *value.values()], depth)
    if isinstance(value, list):
        return depth > 0 and len(value) <= _MOST and all(_harmless(v, depth - 1) for v in value)
    return value is None or (isinstance(value, int) and abs(value) <= _LARGEST)


def _signature(key: bytes, values: Mapping[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True, default=str)
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _key() -> bytes | None:
    try:
        key = key_path().read_bytes()
    except (OSError, RuntimeError):
        return None
    return key if len(key) == _BYTES else None


def _new_key() -> bytes | None:
    """Made whole under another name first, so that of two processes both take the same one."""
    with contextlib.suppress(OSError, RuntimeError):
        path = key_path()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        half = path.with_name(f"key.{os.getpid()}.{secrets.token_hex(4)}")
        try:
            with open(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(secrets.token_bytes(_BYTES))
            with contextlib.suppress(FileExistsError):
                os.link(half, path)
        finally:
            half.unlink(missing_ok=True)
    return _key()
