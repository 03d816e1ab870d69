"""Whether data is still what a study was started with, and in words what has changed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

_CLOSE = 1e-6  # tolerance for means: sums differ slightly between processors


def data_change(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What differs between the data of two descriptions; empty if nothing does.

    The digest covers all inputs and targets; the facts are what prediction needs (means, codes,
    names). The location does not matter. What an older archsmith did not record is not compared.
    """
    facts = ""
    if "facts" in recorded:
        facts = _difference(recorded["facts"], now.get("facts"))
    if "digest" not in recorded or recorded["digest"] == now.get("digest"):
        return facts
    before, after = list(recorded.get("summary") or []), list(now.get("summary") or [])
    lines = [f"{a!r} was {b!r}" for b, a in zip(before, after, strict=False) if a != b]
    parts = [*lines[:2], *([facts] if facts else [])]
    return "; ".join(parts) or "different inputs or targets, as many of them"


def _difference(recorded: Any, now: Any, name: str = "") -> str:
    """The first difference between two JSON values, with its path."""
    if isinstance(recorded, Mapping) and isinstance(now, Mapping):
        parts = ((recorded[key], now.get(key), f"{name}.{key}".strip(".")) for key in recorded)
        return next(filter(None, (_difference(*part) for part in parts)), "")
    if isinstance(recorded, list) and isinstance(now, list) and len(recorded) == len(now):
        pairs = enumerate(zip(recorded, now, strict=True))
        return next(filter(None, (_difference(a, b, f"{name}[{i}]") for i, (a, b) in pairs)), "")
    numbers = isinstance(recorded, int | float) and isinstance(now, int | float)
    if recorded == now or (
        numbers and math.isclose(recorded, now, rel_tol=_CLOSE, abs_tol=_CLOSE**2)
    ):
        return ""
    return f"{name} is {_shown(now)}, was {_shown(recorded)}"


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."
