"""Weights on disk: safetensors, written whole or not at all. Nothing is ever unpickled."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import InputError, StoreError

if TYPE_CHECKING:
    from torch import Tensor


def write(path: Path, tensors: Mapping[str, Tensor], meta: Mapping[str, str] | None = None) -> None:
    """Write tensors by name, replacing an older file in a single step.

    Args:
        meta: kept in the file's header.

    Raises:
        StoreError: it cannot be written, or the disk is full.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    # Copies, because safetensors refuses tensors that share memory, as tied weights do.
    copies = {name: t.detach().to("cpu", copy=True).contiguous() for name, t in tensors.items()}
    half = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(copies, half, dict(meta) if meta else None)
        os.replace(half, path)
    except Exception as error:
        half.unlink(missing_ok=True)
        if not isinstance(error, OSError | SafetensorError):
            raise
        # safetensors wraps the system's error in one of its own.
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        if full or "No space left" in str(error) or "quota" in str(error):
            raise StoreError(
                str(path),
                "room on the disk to write weights",
                str(error),
                "trials that ended are safe; free some space and run the same command again",
            ) from error
        raise StoreError(
            str(path), "a file that can be written", str(error), "choose another folder"
        ) from error


def header(path: Path) -> dict[str, str]:
    """The header of a safetensors file, whose length is checked; its tensors are not read.

    Raises:
        InputError: no such file, or one of another kind.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise InputError(str(path), "a file of weights", "none")
    try:
        with safe_open(str(path), framework="pt") as opened:
            return dict(opened.metadata() or {})
    except SafetensorError as error:
        raise InputError(str(path), "a whole safetensors file", str(error)) from None


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and header of a safetensors file.

    Raises:
        InputError: as :func:`header`.
    """
    from safetensors import safe_open

    meta = header(path)
    with safe_open(str(path), framework="pt") as opened:
        names: list[str] = list(opened.keys())
        return {name: opened.get_tensor(name) for name in names}, meta
