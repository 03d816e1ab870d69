"""Signing a user's own records, and checking builder arguments from unsigned ones."""

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
#: Limits on arguments from unsigned records: no model sizes are larger numbers or longer lists.
_LARGEST, _MOST = 1_000_000, 1000
#: A plain word: neither a path nor an import path.
_WORD = re.compile(r"[\w +-]{0,64}", re.ASCII)
#: A key of a mapping, which no builder opens; names of decisions, ``stage1.depth``, have dots.
_KEY = re.compile(r"[\w .+-]{0,256}", re.ASCII)


def key_path() -> Path:
    """Where the key is stored: ``archsmith/key`` in the user's configuration folder.

    Raises:
        RuntimeError: the user has no home folder.
    """
    named = os.environ.get("XDG_CONFIG_HOME", "")
    if not Path(named).is_absolute():  # the XDG standard says to ignore relative paths
        named = os.environ.get("APPDATA", "") if os.name == "nt" else ""
    return (Path(named) if named else Path.home() / ".config") / "archsmith" / "key"


def sign(values: Mapping[str, Any]) -> str:
    """A signature of JSON values with the user's key, which is created if there is none.

    Empty if no key can be stored; such records count as somebody else's.
    """
    key = _key() or _new_key()
    return _signature(key, values) if key else ""


def signed(values: Mapping[str, Any], signature: object) -> bool:
    """Whether the signature was made with this user's key for exactly these values."""
    key = _key()
    if key is None or not isinstance(signature, str) or not signature.isascii():
        return False
    return hmac.compare_digest(_signature(key, values), signature)


def check_arguments(where: str, arguments: Mapping[str, Any]) -> None:
    """Refuse arguments from somebody else's record that could do harm in a builder.

    Numbers and words are sizes and options. Paths and import paths might be opened, and a huge
    number would fill the memory.

    Raises:
        InputError: for the first such argument.
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
        named = all(isinstance(key, str) and _KEY.fullmatch(key) for key in value)
        return named and _harmless([*value.values()], depth)
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
    """Written under another name first, so that two processes end up with the same key."""
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
