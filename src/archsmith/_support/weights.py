"""Weights on disk: safetensors files, written atomically. Nothing is ever unpickled.

A state dict may have extra state of modules in addition to its tensors. Extra state that JSON can
represent goes into the header of the file; anything else is refused.
"""

from __future__ import annotations

import copy
import errno
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import InputError, StoreError
from .files import replacing

if TYPE_CHECKING:
    from torch import Tensor, nn

#: Key of the header for extra state by name.
_EXTRA = "extra_state"
#: Key of the header for the checksum of tensors and header.
_CHECKSUM = "archsmith.sha256"


def snapshot(model: nn.Module) -> dict[str, Any]:
    """The state dict, copied to the CPU."""
    from torch import Tensor

    return {
        name: v.detach().to("cpu", copy=True) if isinstance(v, Tensor) else copy.deepcopy(v)
        for name, v in model.state_dict().items()
    }


def make_dense(model: nn.Module) -> None:
    """Convert sparse gradients (``nn.Embedding(sparse=True)``) to dense ones."""
    for parameter in model.parameters():
        if parameter.grad is not None and parameter.grad.is_sparse:
            parameter.grad = parameter.grad.to_dense()


def apart(state: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The tensors of a state dict, and the file header for its other entries.

    Raises:
        InputError: extra state that JSON cannot represent.
    """
    from torch import Tensor

    tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    extra = {name: value for name, value in state.items() if name not in tensors}
    for name, value in extra.items():
        try:
            kept = json.loads(json.dumps(value)) == value
        except (TypeError, ValueError):
            kept = False
        if not kept:
            raise InputError(
                name,
                "extra state that is a tensor or JSON values, which a weights file can store",
                f"a value of type {type(value).__name__}",
                "let get_extra_state return a tensor, or numbers, strings, lists and dictionaries",
            )
    return tensors, {_EXTRA: json.dumps(extra)} if extra else {}


def write(path: Path, state: Mapping[str, Any], meta: Mapping[str, str] | None = None) -> str:
    """Write a state dict, replacing an older file atomically.

    Args:
        meta: stored in the file's header.

    Returns:
        The checksum of tensors and header, which is also stored in the file.

    Raises:
        StoreError: it cannot be written, or the disk is full.
        InputError: extra state that a file cannot store.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    tensors, extra = apart(state)
    meta = {**(meta or {}), **extra}
    # Copies, because safetensors refuses tensors that share memory, as tied weights do.
    copies = {name: t.detach().to("cpu", copy=True).contiguous() for name, t in tensors.items()}
    checksum = checksum_of(copies, meta)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as half:
            save_file(copies, half, meta | {_CHECKSUM: checksum})
    except (OSError, SafetensorError) as error:
        # safetensors wraps the system's error in its own exception.
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
    return checksum


def header(path: Path) -> dict[str, str]:
    """The header of a safetensors file, without reading its tensors; the file length is checked.

    Raises:
        InputError: no such file, or not a complete safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise InputError(str(path), "a file of weights", "none")
    try:
        with safe_open(str(path), framework="pt") as opened:
            return dict(opened.metadata() or {})
    except SafetensorError as error:
        raise InputError(str(path), "a complete safetensors file", str(error)) from None


def read(path: Path, checksum: str = "") -> tuple[dict[str, Any], dict[str, str]]:
    """The state dict and the header of a safetensors file, verified with its checksum.

    Args:
        checksum: that the file must have; if not given, any or none is accepted.

    Raises:
        InputError: as :func:`header`; the file is damaged, or has another checksum.
    """
    from safetensors import safe_open

    meta = header(path)
    carried = meta.pop(_CHECKSUM, "")
    if checksum and carried != checksum:
        raise InputError(str(path), "the file that was written there", "another one")
    with safe_open(str(path), framework="pt") as opened:
        names: list[str] = list(opened.keys())
        tensors = {name: opened.get_tensor(name) for name in names}
    if carried and checksum_of(tensors, meta) != carried:
        raise InputError(str(path), "an undamaged file", "bytes that have changed since")
    try:
        extra = json.loads(meta.pop(_EXTRA, "{}"))
        return {**tensors, **extra}, meta
    except (TypeError, ValueError) as error:
        raise InputError(str(path), "a header of JSON values", str(error)) from None


def checksum_of(tensors: Mapping[str, Tensor], meta: Mapping[str, str]) -> str:
    """The checksum of tensors, which need not be in order, and of a header: hex digits."""
    import torch

    digest = hashlib.sha256(json.dumps(dict(meta), sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"\0{name}\0{tensor.dtype}{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
