"""Reading checkpoints of other programs: tensors by name, and nothing that could run."""

from __future__ import annotations

import itertools
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..._support import weights as files
from ..._support.errors import InputError

#: Keys that training programs keep a state dict under; of several the first one that is there.
NESTED = ("state_dict", "model_state_dict", "model", "net", "module", "weights")
#: The same for exponential moving averages of the weights (Polyak and Juditsky 1992).
AVERAGED = ("state_dict_ema", "ema_state_dict", "model_ema", "ema_model", "ema")


def read_checkpoint(path: str | Path, *, ema: bool = False) -> dict[str, Tensor]:
    """Tensors by name, on the CPU, of a safetensors file or a state dict that torch saved.

    Nothing in the file is run: torch reads it with ``weights_only``, which knows tensors and plain
    values alone. A dictionary around the state dict is looked through (``state_dict``, ``model``,
    ...); what else a training program kept there (optimiser, epoch) is left out.

    Args:
        ema: take the averaged weights that stand beside the trained ones.

    Raises:
        InputError: no such file, a damaged one, one that holds pickled objects, or no tensors.
    """
    place = Path(path)
    if not place.is_file():
        raise InputError(str(place), "a file of weights", "none")
    if _is_safetensors(place):
        if ema:
            raise InputError(
                str(place),
                "averaged weights beside the trained ones",
                "a safetensors file, which holds one set of weights",
                "leave out ema",
            )
        return files.read(place)[0]
    return _tensors(_loaded(place), ema, str(place))


def _is_safetensors(path: Path) -> bool:
    """By the content where the name does not say it: a length, then a JSON header."""
    if path.suffix == ".safetensors":
        return True
    with path.open("rb") as file:
        start = file.read(9)
    return len(start) == 9 and start[8:] == b"{" and start[:2] != b"PK"


def _loaded(path: Path) -> Any:
    if _is_archive_of_code(path):
        raise InputError(
            str(path),
            "a state dict",
            "a TorchScript archive, which holds a program",
            "save its tensors: torch.save(torch.jit.load(path).state_dict(), path)",
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch tells its developers of newer pickles
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            str(path),
            "tensors and plain values",
            f"pickled objects ({_named(error)})",
            "where you trust the file, open it in the program that wrote it and save "
            "model.state_dict(), or write it with safetensors.torch.save_file",
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        line = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            str(path), "a whole safetensors file or one that torch.save wrote", line
        ) from None


def _is_archive_of_code(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("constants.pkl") for name in archive.namelist())


def _named(error: Exception) -> str:
    """What torch refused, as far as its message tells."""
    words = str(error).replace("`", " ").split()
    for before, name in itertools.pairwise(words):
        if before == "GLOBAL" and "." in name:
            return name
    return "of a kind that torch does not tell"


def _tensors(loaded: Any, ema: bool, where: str) -> dict[str, Tensor]:
    found = loaded
    for _ in range(4):  # Lightning in a dictionary of a launcher is two deep; four is generous
        if not isinstance(found, Mapping):
            break
        averaged = next((k for k in AVERAGED if isinstance(found.get(k), Mapping)), None)
        if ema and averaged is not None:
            found, ema = found[averaged], False
            continue
        nested = next((k for k in NESTED if isinstance(found.get(k), Mapping)), None)
        if nested is None:
            break
        if ema and not any(isinstance(found[nested].get(k), Mapping) for k in AVERAGED):
            break
        found = found[nested]
    if ema:
        keys = ", ".join(map(str, list(found)[:8])) if isinstance(found, Mapping) else "no keys"
        raise InputError(where, f"averaged weights under one of {', '.join(AVERAGED)}", keys)
    if not isinstance(found, Mapping):
        raise InputError(where, "a state dict: tensors by name", type(found).__name__)
    tensors = {str(k): v.detach() for k, v in found.items() if isinstance(v, Tensor)}
    if not tensors:
        keys = ", ".join(map(str, list(found)[:8])) or "an empty dictionary"
        raise InputError(
            where,
            f"tensors by name, or under one of {', '.join(NESTED)}",
            keys,
            "give the state dict itself",
        )
    return tensors
