"""Options as text, ``name=value,name=value``, parsed into the fields of a dataclass."""

from __future__ import annotations

import json
import re
import types
from dataclasses import fields
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from .errors import InputError, unknown

T = TypeVar("T")
_FUNCTION = re.compile(r"<function (\S+) at 0x[0-9a-f]+>")
#: A comma before the next name, rather than one inside a list.
_NEXT = re.compile(r",(?=\s*\w+\s*=)")
_WORDS = {"yes": True, "true": True, "no": False, "false": False}
_KINDS = {int: "a whole number", float: "a number", bool: "yes or no", str: "a word"}


def parse(cls: type[T], text: str, what: str) -> T:
    """A dataclass from text such as ``runtime=onnx,batch=8``; other fields keep their defaults.

    Args:
        cls: its fields are of type ``int``, ``float``, ``bool`` or ``str``, or one of these or
            ``None``.
        what: what the options belong to, for messages (``"latency"``).

    Raises:
        UnknownNameError: an option that is not known.
        InputError: a value that cannot be read, an option given twice, or what ``cls`` raises.

    Example:
        >>> parse(LatencyOptions, "runtime=onnx,batch=8", "latency")
        LatencyOptions(runtime='onnx', batch=8)
    """
    names = [field.name for field in fields(cls)]  # type: ignore[arg-type]
    hints = get_type_hints(cls)
    values: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if name not in names:
            raise unknown(f"{what} option", name, names)
        if name in values:
            raise InputError(f"{what}, {name}", "each option once", "it twice")
        kind = _kind(hints[name])
        try:
            values[name] = _WORDS[value.lower()] if kind is bool else kind(value)
        except (ValueError, KeyError):
            got = repr(value) if equals else "nothing"
            raise InputError(f"{what}, {name}", _KINDS[kind], got) from None
    return cls(**values)


def values_of(text: str, what: str) -> dict[str, Any]:
    """Names and values from text such as ``cells=3,widths=[8, 16],kind=small``: values are JSON, or
    plain words.

    Raises:
        InputError: a part without a name and a value, or a name given twice.
    """
    values: dict[str, Any] = {}
    for part in filter(None, map(str.strip, _NEXT.split(text))):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not (name.isidentifier() and equals and value) or name in values:
            raise InputError(what, "name=value, separated by commas, each once", repr(part))
        try:
            values[name] = json.loads(value)
        except ValueError:
            values[name] = value
    return values


def format_options(options: object) -> str:
    """The inverse of :func:`parse`: the fields that differ from their defaults, as text."""
    texts = []
    for field in fields(options):  # type: ignore[arg-type]
        value = getattr(options, field.name)
        if value != field.default:
            shown = ("yes" if value else "no") if isinstance(value, bool) else f"{value}"
            texts.append(f"{field.name}={shown}")
    return ",".join(texts)


def _kind(hint: Any) -> Any:
    """The type that a value is parsed as; for ``int | None`` that is ``int``."""
    if get_origin(hint) in (Union, types.UnionType):
        return next(kind for kind in get_args(hint) if kind is not type(None))
    return hint
