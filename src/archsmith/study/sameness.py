"""Whether data is still what a study was begun on, and in words what is not."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

_CLOSE = 1e-6  # of means: sums come out a little differently on another processor


def data_change(known: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What differs between the data of two descriptions; empty where nothing does.

    The digest is of all inputs and targets, the facts are what prediction needs (means, codes,
    names). Where it lies is no matter. What an older archsmith did not write down is not compared.
    """
    facts = ""
    if "facts" in known:
        facts = _difference(known["facts"], now.get("facts"))
    if "digest" not in known or known["digest"] == now.get("digest"):
        return facts
    before, after = list(known.get("summary") or []), list(now.get("summary") or [])
    lines = [f"{a!r} was {b!r}" for b, a in zip(before, after, strict=False) if a != b]
    told = [*lines[:2], *([facts] if facts else [])]
    return "; ".join(told) or "other inputs or targets, as many of them"


def _difference(known: Any, now: Any, name: str = "") -> str:
    """The first difference of two JSON values, with the name it stands under."""
    if isinstance(known, Mapping) and isinstance(now, Mapping):
        parts = ((known[key], now.get(key), f"{name}.{key}".strip(".")) for key in known)
        return next(filter(None, (_difference(*part) for part in parts)), "")
    if isinstance(known, list) and isinstance(now, list) and len(known) == len(now):
        pairs = enumerate(zip(known, now, strict=True))
        return next(filter(None, (_difference(a, b, f"{name}[{i}]") for i, (a, b) in pairs)), "")
    numbers = isinstance(known, int | float) and isinstance(now, int | float)
    if known == now or (numbers and math.isclose(known, now, rel_tol=_CLOSE, abs_tol=_CLOSE**2)):
        return ""
    return f"{name} is {_shown(now)}, was {_shown(known)}"


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."
