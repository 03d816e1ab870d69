"""The description of a study, stored with its events and compared when it is resumed."""

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

#: A run folder whose description differs in one of these holds a different study.
IDENTITY = (
    "space",
    "arguments",
    "tune",
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

#: Hint for a damaged record.
RESTORE = "restore the run folder from a copy, or start in a new one"
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
    and anything else that a report shows.
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
    # The store returns JSON values, so descriptions are compared as JSON: tuples become lists here.
    # An argument that is not a JSON value is represented by its text.
    plain: dict[str, Any] = json.loads(json.dumps(meta, default=str))
    return plain


def arguments_of(strategy: Strategy) -> dict[str, Any]:
    """The constructor arguments that a strategy keeps under the same names, if they are plain JSON.

    Other attributes may be caches that change while it works. An inner strategy is given by its
    name and its own arguments. Of :class:`StartFrom`, and of a :class:`KeepLimits` directly inside
    it, only the inner strategy counts, because the search itself adds these two.
    """
    if isinstance(strategy, StartFrom):
        inner = strategy.then
        return arguments_of(inner.strategy if isinstance(inner, KeepLimits) else inner)
    return _plain_arguments(strategy)


def _plain_arguments(instance: Strategy | Pruner) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    for name in inspect.signature(type(instance)).parameters:
        value = getattr(instance, name, _ABSENT)
        if isinstance(value, Strategy):
            arguments[name] = {"name": value.name, **arguments_of(value)}
        elif _is_plain(value):
            arguments[name] = value
    return arguments


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(isinstance(k, str) and _is_plain(v) for k, v in value.items())
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str | int)


def name_of(evaluator: Evaluator) -> str:
    """The evaluator's name; for stages, those of its parts."""
    if isinstance(evaluator, Stages):
        return ", ".join(name_of(part) for part in evaluator.evaluators)
    return evaluator.name


def versions() -> dict[str, str]:
    """Versions of python, archsmith and torch, without importing torch."""
    versions_by_name = {"python": platform.python_version()}
    for package in ("archsmith", "torch"):
        try:
            versions_by_name[package] = version(package)
        except PackageNotFoundError:
            versions_by_name[package] = "unknown"
    return versions_by_name


def objectives_in(meta: Mapping[str, Any]) -> tuple[tuple[Objective, ...], tuple[Limit, ...]]:
    """The objectives and limits in a study's description.

    Raises:
        DamagedError: they are missing or malformed.
    """
    with undamaged("study", "objectives and limits as archsmith writes them", RESTORE):
        objectives = tuple(Objective(metric, direction) for metric, direction in meta["objectives"])
        limits = tuple(Limit(metric, sign, bound) for metric, sign, bound in meta["limits"])
        return objectives, limits


#: Keys of the description of a search that pages and commands rely on, with their types.
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
        DamagedError: a key is missing or holds a value of another type; names the first one.
    """
    for name, kind in _KEPT.items():
        if not isinstance(meta.get(name), kind):
            got = type(meta[name]).__name__ if name in meta else "nothing"
            raise DamagedError(f"{where}, {name}", f"a value of type {kind.__name__}", got, RESTORE)


def check_same(where: str, recorded: Mapping[str, Any], current: Mapping[str, Any]) -> None:
    """Refuse to resume a study under a different description.

    What an older archsmith did not record is not compared. Data is identified by its digest, or by
    its location if no digest was recorded.

    Raises:
        RunFolderError: the descriptions differ; names the first difference.
    """
    if change := data_change(recorded, current):
        raise RunFolderError(
            where,
            "the data that the study there was begun on",
            f"other data: {change}",
            "restore the data as it was; for new data start a new study in another run folder",
        )
    for key in IDENTITY if "digest" in recorded else (*IDENTITY, "data"):
        if key not in recorded or recorded[key] == current.get(key):
            continue
        hint = "repeat the options of the first run, or choose another run folder"
        if key == "fingerprint":
            same_decisions(where, recorded, current.get(key))
        was, now = (_shown(key, values.get(key)) for values in (recorded, current))
        if was == now:
            now = "other options or priors of these"
        raise RunFolderError(
            where, f"the study started there, with {key} {was}", f"{key} {now}", hint
        )


def same_decisions(where: str, recorded: Mapping[str, Any], fingerprint: object) -> None:
    """Refuse a space whose decisions differ from a study's.

    Raises:
        RunFolderError: the fingerprints differ.
    """
    if recorded["fingerprint"] != fingerprint:
        raise RunFolderError(
            where,
            f"the space {recorded.get('space')!r} as it was when the study began",
            "one whose decisions have changed since",
            "start in another run folder, or restore the builder as it was",
        )


def renewed(recorded: Mapping[str, Any], newest: Mapping[str, Any]) -> dict[str, Any]:
    """The description of a resumed study: its identity as recorded, everything else as it is now.

    If an older archsmith did not record the data, the models or how latency is found, these are
    taken from now, because signatures cover them too. What its trials were made with stays unknown.
    """
    added_later = {"digest", "facts", "models", "latency"}
    fixed = ({*IDENTITY, "created"} - added_later) | (added_later & recorded.keys())
    return {**recorded, **{key: value for key, value in newest.items() if key not in fixed}}


def _shown(key: str, value: Any) -> str:
    if key == "tune" and isinstance(value, Mapping):
        return ",".join(map(str, value.get("choices", ())))
    return json.dumps(value)
