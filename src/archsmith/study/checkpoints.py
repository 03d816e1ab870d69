"""Weights of trials, and states that trainings can be continued from: safetensors files, written
completely or not at all."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path

from .._support.files import sweep as sweep_files
from .._support.files import sweep_halves

#: Names of weight files and of partly written ones; nothing else is ever deleted.
_OWN = re.compile(r"\d{5,}(\.state)?\.safetensors(\.\d+\.tmp)?")


def checkpoint_path(folder: Path, number: int) -> Path:
    """Path of the weights of a trial in a run folder."""
    return folder / "checkpoints" / f"{number:05d}.safetensors"


def state_path(folder: Path, number: int) -> Path:
    """Path of the state of a trial's training in a run folder."""
    return folder / "checkpoints" / f"{number:05d}.state.safetensors"


def remove_weights(folder: Path | None, numbers: Iterable[int]) -> None:
    """Delete the weights of trials, if there are any."""
    for path in [checkpoint_path(folder, n) for n in numbers] if folder is not None else []:
        path.unlink(missing_ok=True)


def sweep(folder: Path, keep: Collection[int], states: Collection[int] = ()) -> None:
    """Delete all weights except those of some trials, and files that killed processes left behind.

    Args:
        states: numbers of the trials whose states are kept.

    Raises:
        InputError: the folder of the weights is a link.
    """
    names = {checkpoint_path(folder, number).name for number in keep}
    names |= {state_path(folder, number).name for number in states}
    sweep_files(folder / "checkpoints", _OWN, names)
    for place in (folder, folder / "final"):
        sweep_halves(place)
