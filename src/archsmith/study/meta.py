"""What a study is: its description, kept beside its events and compared when it is resumed."""

from __future__ import annotations

import inspect
import json
import math
import platform
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from .._support.errors import DamagedError, RunFolderError, undamaged
from ..evaluate.base import Evaluator, Stages
from ..history.objective import Limit, Objective
from ..strategy.base import Strategy
from ..strategy.keep_limits import KeepLimits
from ..strategy.start import StartFrom
from .sameness import data_change
from .stopping import Pruner

if TYPE_CHECKING:
    from ..space import Space

#: A run folder that differs in one of these holds another study.
IDENTITY = (
    "space",
    "arguments",
    "fingerprint",
    "strategy",
    "strategy_arguments",
    "evaluator",
    "objectives",
    "limits",
    "stop",
    "seed",
    "read",
    "task",
    "recipe",
    "fidelity",
    "subset",
    "latency",
)

#: What to do about a record that is damaged.
RESTORE = "bring the run folder back from a copy, or start in a new one"
_ABSENT = object()


def describe(
    space: Space,
    strategy: Strategy,
    evaluator: Evaluator,
    objectives: Sequence[Objective],
    limits: Sequence[Limit],
    seed: int,
    extra: Mapping[str, Any] | None = None,
    stop: Pruner | None = None,
) -> dict[str, Any]:
    """The description of a study as JSON values.

    ``extra`` adds what the caller knows: ``data`` (the source, compared on resuming), ``command``
    and whatever else a report wants to show.
    """
    meta: dict[str, Any] = {
        "space": space.name,
        "arguments": space.plain_arguments(),
        "fingerprint": space.fingerprint,
        "strategy": strategy.name,
        "strategy_arguments": arguments_of(strategy),
        "evaluator": name_of(evaluator),
        "objectives": [[o.metric, o.direction] for o in objectives],
        "limits": [[lim.metric, lim.sign, lim.bound] for lim in limits],
        "stop": {"name": stop.name, **_plain_arguments(stop)} if stop else None,
        "seed": seed,
        "versions": versions(),
        "platform": platform.platform(),
        "created": time.time(),
        **(extra or {}),
    }
    # The store gives back JSON values, so compare as JSON: tuples become lists here already. An
    # argument that is no JSON value is known by its text.
    plain: dict[str, Any] = json.loads(json.dumps(meta, default=str))
    return plain


def arguments_of(strategy: Strategy) -> dict[str, Any]:
    """What a strategy was made with, as far as it keeps it under its name and it is plain JSON.

    Other attributes may be caches that change while it works. A strategy inside is given by its
    name and its own arguments; of :class:`StartFrom`, and of what keeps limits directly inside,
    only the strategy inside counts: both are a search's own.
    """
    if isinstance(strategy, StartFrom):
        inner = strategy.then
        return arguments_of(inner.strategy if isinstance(inner, KeepLimits) else inner)
    return _plain_arguments(strategy)


def _plain_arguments(made: Strategy | Pruner) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in inspect.signature(type(made)).parameters:
        value = getattr(made, name, _ABSENT)
        if isinstance(value, Strategy):
            found[name] = {"name": value.name, **arguments_of(value)}
        elif _is_plain(value):
            found[name] = value
    return found


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(isinstance(k, str) and _is_plain(v) for k, v in value.items())
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str | int)


def name_of(evaluator: Evaluator) -> str:
    """The evaluator's name; for stages those of its parts."""
    if isinstance(evaluator, Stages):
        return ", ".join(name_of(part) for part in evaluator.evaluators)
    return evaluator.name


def versions() -> dict[str, str]:
    """Versions of python, archsmith and torch, without importing torch."""
    found = {"python": platform.python_version()}
    for package in ("archsmith", "torch"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found


def objectives_in(meta: Mapping[str, Any]) -> tuple[tuple[Objective, ...], tuple[Limit, ...]]:
    """The objectives and limits of a described study."""
    with undamaged("study", "objectives and limits as archsmith writes them", RESTORE):
        objectives = tuple(Objective(metric, direction) for metric, direction in meta["objectives"])
        limits = tuple(Limit(metric, sign, bound) for metric, sign, bound in meta["limits"])
        return objectives, limits


#: What the description of a search holds, as far as pages and commands rely on it.
_KEPT: dict[str, type] = {
    "space": str,
    "strategy": str,
    "data": str,
    "name": str,
    "task": str,
    "reference": str,
    "command": str,
    "platform": str,
    "device": str,
    "arguments": dict,
    "read": dict,
    "recipe": dict,
    "fidelity": dict,
    "default": dict,
    "versions": dict,
    "summary": list,
    "metrics": list,
    "objectives": list,
    "limits": list,
    "seed": int,
}


def check_kept(where: str, meta: Mapping[str, Any]) -> None:
    """Refuse the description of a search that archsmith cannot have written.

    Raises:
        DamagedError: the first key that is missing, or holds another kind of value.
    """
    for name, kind in _KEPT.items():
        if not isinstance(meta.get(name), kind):
            got = type(meta[name]).__name__ if name in meta else "nothing"
            raise DamagedError(f"{where}, {name}", f"a value of type {kind.__name__}", got, RESTORE)


def check_same(where: str, known: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse to go on with a study under another description.

    What an older archsmith did not write down is not compared. Data is known by its digest, and
    by where it lies only where none was taken.

    Raises:
        RunFolderError: naming the first thing that differs.
    """
    if change := data_change(known, wanted):
        raise RunFolderError(
            where,
            "the data that the study there was begun on",
            f"other data: {change}",
            "bring the data back to what it was; new data is a new study, in another run folder",
        )
    for key in IDENTITY if "digest" in known else (*IDENTITY, "data"):
        if key not in known or known[key] == wanted.get(key):
            continue
        hint = "give the options of the first run again, or another run folder"
        if key == "fingerprint":
            same_decisions(where, known, wanted.get(key))
        raise RunFolderError(
            where,
            f"the study begun there, with {key} {_shown(known.get(key))}",
            f"{key} {_shown(wanted.get(key))}",
            hint,
        )


def same_decisions(where: str, known: Mapping[str, Any], fingerprint: object) -> None:
    """Refuse a space that asks for other decisions than a study's.

    Raises:
        RunFolderError: it does.
    """
    if known["fingerprint"] != fingerprint:
        raise RunFolderError(
            where,
            f"the space {known.get('space')!r} as it was when the study began",
            "one whose decisions have changed since",
            "start in another run folder, or bring the builder back to what it was",
        )


def renewed(known: Mapping[str, Any], newest: Mapping[str, Any]) -> dict[str, Any]:
    """The description of a study that goes on: what it is as it was, the rest as it is now.

    Of what an older archsmith did not write down, data, models and how latency is found are as
    they are now (a signature is of these, too). What its trials were made by stays unknown.
    """
    later = {"digest", "facts", "models", "latency"}
    fixed = ({*IDENTITY, "created"} - later) | (later & known.keys())
    return {**known, **{key: value for key, value in newest.items() if key not in fixed}}


def _shown(value: Any) -> str:
    return json.dumps(value)
