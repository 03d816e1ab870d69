"""Weights of trials, one safetensors file each, written whole or not at all."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path


def checkpoint_path(folder: Path, number: int) -> Path:
    """Where the weights of a trial lie in a run folder."""
    return folder / "checkpoints" / f"{number:05d}.safetensors"


def remove_weights(folder: Path, number: int) -> None:
    """Delete the weights of a trial, where there are any."""
    checkpoint_path(folder, number).unlink(missing_ok=True)


def sweep(folder: Path, keep: Collection[int]) -> None:
    """Delete all weights but those of the named trials, and what a killed worker left half done."""
    names = {checkpoint_path(folder, number).name for number in keep}
    for path in (folder / "checkpoints").glob("*.safetensors*"):
        if path.name not in names:
            path.unlink(missing_ok=True)
