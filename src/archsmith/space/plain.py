"""Converting options and builder arguments to plain Python values and to JSON."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping, Set
from numbers import Integral, Rational, Real
from typing import Any

_ADDRESS = " at 0x"


def plain(value: Any) -> Any:
    """Convert numbers and strings of subclasses (numpy's, an enumeration's) to Python's own types.

    Items of tuples and lists are converted too, lists become tuples; other values are unchanged.
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, tuple | list):
        return tuple(map(plain, value))
    if isinstance(value, str):
        # Not str(), which gives the name of an enumeration's member.
        return str.__str__(value)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real) and not isinstance(value, Rational):
        return float(value)
    return value


def as_json(value: Any) -> Any:
    """A JSON value that represents ``value``, the same in every process.

    Functions and classes become ``module:qualname``; other objects become their ``repr``, or the
    name of their type if the ``repr`` contains a memory address. JSON values are unchanged, except
    that non-finite numbers become their ``repr``.
    """
    value = plain(value)
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple):
        return [as_json(item) for item in value]
    if isinstance(value, Mapping):
        return {str(as_json(key)): as_json(item) for key, item in value.items()}
    if isinstance(value, Set):
        return sorted((as_json(item) for item in value), key=json.dumps)
    if isinstance(value, functools.partial):
        return {
            "partial": as_json(value.func),
            "args": as_json(value.args),
            "keywords": as_json(value.keywords),
        }
    return _import_path(value) if callable(value) and _is_named(value) else _text(value)


def _is_named(value: Any) -> bool:
    return isinstance(getattr(value, "__qualname__", None), str)


def _import_path(value: Any) -> str:
    return f"{getattr(value, '__module__', None) or 'builtins'}:{value.__qualname__}"


def _text(value: Any) -> str:
    text = repr(value)
    return _import_path(type(value)) if _ADDRESS in text else text


def finite(value: Any) -> Any:
    """A document with NaN and infinities, which JSON does not have, replaced by ``None``."""
    if isinstance(value, Mapping):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
