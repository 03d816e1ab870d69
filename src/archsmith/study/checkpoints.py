"""Weights of trials, one safetensors file each, written whole or not at all."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from .._support.files import sweep as sweep_files
from .._support.files import sweep_halves

#: Names under which weights are kept, and half written; nothing else is ever deleted.
_OWN = re.compile(r"\d{5,}\.safetensors(\.\d+\.tmp)?")


def checkpoint_path(folder: Path, number: int) -> Path:
    """Where the weights of a trial lie in a run folder."""
    return folder / "checkpoints" / f"{number:05d}.safetensors"


def remove_weights(folder: Path, number: int) -> None:
    """Delete the weights of a trial, where there are any."""
    checkpoint_path(folder, number).unlink(missing_ok=True)


def sweep(folder: Path, keep: Collection[int]) -> None:
    """Delete all weights but those of the named trials, and what killed processes left half done.

    Raises:
        InputError: the folder of the weights is a link.
    """
    names = {checkpoint_path(folder, number).name for number in keep}
    sweep_files(folder / "checkpoints", _OWN, names)
    for place in (folder, folder / "final"):
        sweep_halves(place)
