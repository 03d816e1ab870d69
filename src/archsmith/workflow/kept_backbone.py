"""The weights of a pretrained backbone in the run folder of the search that builds on it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .._support.errors import InputError
from .._support.weights import checksum_of, header, read, write
from ..zoo.pretrained import Pretrained

#: The name of a builder's argument that takes a backbone.
ARGUMENT = "pretrained"
#: What the user called the backbone, in the header of the file.
_SOURCE = "source"


def keep(folder: Path, given: Pretrained, source: str) -> None:
    """Keep a backbone, so that the run folder is complete by itself."""
    assert given.state is not None
    meta = {_SOURCE: source, "description": json.dumps(given)}
    write(_path(folder), given.state, meta)


def kept(folder: Path, source: str) -> Pretrained | None:
    """The backbone with which the study in a folder began; ``None`` if it has not begun.

    Raises:
        InputError: it began with another one, or the file is missing or damaged.
    """
    if not (folder / "study.db").is_file():
        return None
    own = header(_path(folder)) if _path(folder).is_file() else {}
    if own.get(_SOURCE) != source:
        raise InputError(
            "backbone",
            f"that of the study in {folder}: {own.get(_SOURCE, 'none')}",
            source,
            "another run folder for another backbone",
        )
    return _bound(json.loads(own["description"]), folder)


def with_kept(arguments: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """A study's arguments of its builder, with the weights that its folder keeps.

    Raises:
        InputError: the file of weights is missing, damaged, or not the study's.
    """
    given = arguments.get(ARGUMENT)
    if not isinstance(given, Mapping):
        return arguments
    return {**arguments, ARGUMENT: _bound(given, Path(where))}


def _bound(description: Mapping[str, Any], folder: Path) -> Pretrained:
    state, _ = read(_path(folder))
    if checksum_of(state, {}) != description.get("checksum"):
        raise InputError(str(_path(folder)), "the backbone that the study began with", "another")
    return Pretrained(description, state)


def _path(folder: Path) -> Path:
    return folder / "backbone.safetensors"
