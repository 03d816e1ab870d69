"""Supernet files: safetensors with what they are in the header. Nothing is unpickled."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from ..errors import InputError, StoreError


def write(path: Path, tensors: Mapping[str, Tensor], meta: Mapping[str, str]) -> None:
    """Write a safetensors file, replacing an older one in a single step.

    Raises:
        StoreError: it cannot be written (a full disk, no permission).
    """
    from safetensors.torch import save_file

    copies = {name: t.detach().to("cpu", copy=True).contiguous() for name, t in tensors.items()}
    half = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(copies, half, dict(meta))
        os.replace(half, path)
    except Exception as error:
        half.unlink(missing_ok=True)
        raise StoreError(
            str(path), "a file that can be written", str(error),
            "free some space and run the same command again; what was written before is whole",
        ) from error  # fmt: skip


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and header of a safetensors file.

    Raises:
        InputError: no such file, or one of another kind.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise InputError(str(path), "a supernet file", "none")
    try:
        with safe_open(str(path), framework="pt") as opened:
            meta = opened.metadata() or {}
            names: list[str] = list(opened.keys())
            return {name: opened.get_tensor(name) for name in names}, dict(meta)
    except SafetensorError as error:
        raise InputError(str(path), "a safetensors file", str(error)) from None
