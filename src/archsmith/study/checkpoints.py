"""Weights of trials, one safetensors file each, written whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import StoreError

if TYPE_CHECKING:
    from torch import Tensor


def checkpoint_path(folder: Path, number: int) -> Path:
    """Where the weights of a trial lie in a run folder."""
    return folder / "checkpoints" / f"{number:05d}.safetensors"


def save_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Write a state dict, replacing an older one in a single step.

    Raises:
        StoreError: the disk is full.
    """
    from safetensors.torch import save_file

    # Copies, because safetensors refuses tensors that share memory, as tied weights do.
    copies = {name: t.detach().to("cpu", copy=True).contiguous() for name, t in weights.items()}
    half = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(copies, half)
        os.replace(half, path)
    except Exception as error:
        half.unlink(missing_ok=True)
        # safetensors wraps the system's error in one of its own.
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        if full or "No space left" in str(error) or "quota" in str(error):
            raise StoreError(
                str(path),
                "room on the disk to write weights",
                str(error),
                "trials that ended are safe; free some space and run the same command again",
            ) from error
        raise


def remove_weights(folder: Path, number: int) -> None:
    """Delete the weights of a trial, where there are any."""
    checkpoint_path(folder, number).unlink(missing_ok=True)


def sweep(folder: Path, keep: Collection[int]) -> None:
    """Delete all weights but those of the named trials, and what a killed worker left half done."""
    names = {checkpoint_path(folder, number).name for number in keep}
    for path in (folder / "checkpoints").glob("*.safetensors*"):
        if path.name not in names:
            path.unlink(missing_ok=True)
