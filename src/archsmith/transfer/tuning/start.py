"""A subnet of a supernet, or any weights, as the starting point for another task."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..._support import weights as files
from ..._support.errors import InputError
from ..._support.registry import load
from ..._support.signing import check_arguments
from ...space import Space
from ...supernet.supernet import Supernet
from ..pretrained.checkpoint import read_checkpoint
from ..pretrained.fit import CheckpointFit, fit_checkpoint

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ...space import Architecture

#: What the header of a supernet's file holds in addition to its weights.
_FINGERPRINT, _ARGUMENTS = "fingerprint", "arguments"


def start_from(
    space: Space,
    source: Supernet | Mapping[str, Tensor] | str | Path,
    architecture: Architecture,
    *,
    seed: int = 0,
) -> tuple[nn.Module, CheckpointFit]:
    """The architecture's module for a new task, with the weights it had on another one.

    The head is new if the tasks have different classes; everything else must be present.

    Args:
        space: of the new task: the same builder, with its own arguments.
        source: a supernet that was trained on the other task, a file of its ``save``, or the
            weights of a trained model (tensors by name, or a file of them).
        architecture: one that both spaces have.
        seed: of the new parameters.

    Returns:
        The module, and how the weights fitted.

    Raises:
        InputError: more than the head does not fit (each tensor is listed), or the file is of
            another builder.
        SpaceError: the architecture does not belong to both spaces.
    """
    model = space.build(architecture, seed=seed)
    fit = fit_checkpoint(model, _state(space, source, architecture))
    return fit.load(model, strict=not fit.but_head), fit


def _state(
    space: Space, source: Supernet | Mapping[str, Tensor] | str | Path, architecture: Architecture
) -> Mapping[str, Tensor]:
    if isinstance(source, str | Path):
        path = Path(source)
        meta = _header(path)
        if _FINGERPRINT not in meta:
            return read_checkpoint(path)
        source = Supernet.load(path, _space_of(space, meta, path))
    if isinstance(source, Supernet):
        return source.extract(architecture).state_dict()
    return source


def _header(path: Path) -> dict[str, str]:
    return files.header(path) if path.suffix == ".safetensors" else {}


def _space_of(space: Space, meta: Mapping[str, str], path: Path) -> Space:
    """The space that a supernet's file was trained for: this builder with the file's arguments."""
    if meta.get("space") != space.name:
        raise InputError(
            str(path),
            f"a supernet of the builder {space.name}",
            f"one of {meta.get('space')}",
            "open it with its own space and pass the supernet: Supernet.load(path, space)",
        )
    if "<" in space.reference:  # a function inside a function cannot be found again
        raise InputError(
            str(path),
            "a builder that can be imported",
            space.reference,
            "pass the supernet: Supernet.load(path, its own space)",
        )
    arguments = json.loads(meta[_ARGUMENTS])
    check_arguments(str(path), arguments)
    return Space(load(space.reference), **arguments)
