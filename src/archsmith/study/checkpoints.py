"""Weights of trials, one safetensors file each, written completely or not at all."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from .._support.files import sweep as sweep_files
from .._support.files import sweep_halves

#: Names of weight files and of partly written ones; nothing else is ever deleted.
_OWN = re.compile(r"\d{5,}\.safetensors(\.\d+\.tmp)?")


def checkpoint_path(folder: Path, number: int) -> Path:
    """Path of the weights of a trial in a run folder."""
    return folder / "checkpoints" / f"{number:05d}.safetensors"


def remove_weights(folder: Path, number: int) -> None:
    """Delete the weights of a trial, if there are any."""
    checkpoint_path(folder, number).unlink(missing_ok=True)


def sweep(folder: Path, keep: Collection[int]) -> None:
    """Delete all weights except those of some trials, and files that killed processes left behind.

    Raises:
        InputError: the folder of the weights is a link.
    """
    names = {checkpoint_path(folder, number).name for number in keep}
    sweep_files(folder / "checkpoints", _OWN, names)
    for place in (folder, folder / "final"):
        sweep_halves(place)
