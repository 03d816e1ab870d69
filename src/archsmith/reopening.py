"""A recorded study opened again: of what its record names, only what may be.

A run folder may come from anybody. What is registered here is opened by its name; a file or a
module only where the record carries the user's own signature, or where the caller names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .data import datasets
from .errors import InputError
from .hardware.options import LatencyOptions
from .setting import Setting, SpaceLike, pick_device, settle
from .signing import check_arguments, sign, signed
from .space import Space
from .study.meta import same_decisions
from .task.base import ReadOptions, Recipe
from .zoo import spaces

#: What a record may have imported, opened or called.
_SIGNED = (
    "reference", "arguments", "data", "read", "task", "recipe", "fidelity", "device", "latency",
)  # fmt: skip


def signature_of(meta: Mapping[str, Any]) -> str:
    """A signature of all that opening a record again depends on; empty where none can be made."""
    return sign({name: meta.get(name) for name in _SIGNED})


def is_own(meta: Mapping[str, Any]) -> bool:
    """Whether this user's key signed the record, as it stands."""
    return signed({name: meta.get(name) for name in _SIGNED}, meta.get("signature"))


def reopen(
    meta: Mapping[str, Any],
    space: SpaceLike | None = None,
    data: str | Path | None = None,
    where: str = "run folder",
) -> Setting:
    """The setting of a recorded study, on its device if that is here, else on what is.

    Args:
        space: in place of what the record names.
        data: likewise.
        where: the folder, for messages.

    Raises:
        InputError: the record names something that is neither registered nor signed, or that is
            gone; and whatever is wrong with what is opened.
        RunFolderError: the space asks for other decisions than the study's, or builds other models.
    """
    _check_named(meta, space, data, where)
    try:
        device = pick_device(meta.get("device", "auto"))
    except InputError:
        device = "auto"
    setting = settle(
        space if space is not None else meta["reference"],
        data if data is not None else meta["data"],
        task=meta["task"],
        options=ReadOptions(**meta["read"]),
        # A live space has its own.
        arguments=None if isinstance(space, Space) else meta["arguments"],
        recipe=Recipe(**meta["recipe"]),
        **meta["fidelity"],
        device=device,
        latency=LatencyOptions(**meta.get("latency", {})),
        recorded=True,
    )
    if "fingerprint" in meta:
        same_decisions(where, meta, setting.space.fingerprint)
        setting.models(meta, where)
    return setting


def _check_named(
    meta: Mapping[str, Any], space: SpaceLike | None, data: str | Path | None, where: str
) -> None:
    reference, source = meta["reference"], meta["data"]
    own = is_own(meta)
    wanted = []
    if space is None and not own and reference not in spaces.names():
        wanted.append(("space", f"the space {reference!r}"))
    if data is None and not own and source not in datasets.names():
        wanted.append(("data", f"the data {source!r}"))
    if wanted:
        flags = " ".join(f"--{name} {name.upper()}" for name, _ in wanted)
        python = ", ".join(f"{name}=..." for name, _ in wanted)
        raise InputError(
            where,
            "registered names, or a record that carries your own signature",
            f"{' and '.join(named for _, named in wanted)}, which a stranger may have written",
            f"look at it, and name what you trust yourself: {flags} (in Python: "
            f"nas.Run(folder, {python})); the study's own search command on the folder signs it",
        )
    if not own and not isinstance(space, Space):
        check_arguments(where, meta["arguments"])
    if data is None and source not in datasets.names() and not Path(source).exists():
        raise InputError(
            where, f"the study's data at {source}", "nothing there",
            "say where it is now: --data PATH (in Python: nas.Run(folder, data=PATH))",
        )  # fmt: skip
    file = str(reference).rpartition(":")[0]
    if space is None and file.endswith(".py") and not Path(file).exists():
        raise InputError(
            where, f"the study's space at {file}", "nothing there",
            "say where it is now: --space FILE.py:FUNCTION (in Python: nas.Run(folder, space=...))",
        )  # fmt: skip
