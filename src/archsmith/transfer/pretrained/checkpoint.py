"""Reading checkpoints of other programs: tensors by name, without running any code."""

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

#: Keys under which training programs store a state dict; the first one present is used.
NESTED = ("state_dict", "model_state_dict", "model", "net", "module", "weights")
#: The same for exponential moving averages of the weights (Polyak and Juditsky 1992).
AVERAGED = ("state_dict_ema", "ema_state_dict", "model_ema", "ema_model", "ema")


def read_checkpoint(path: str | Path, *, ema: bool = False) -> dict[str, Tensor]:
    """Tensors by name, on the CPU, of a safetensors file or a state dict that torch saved.

    Nothing in the file is run: torch reads it with ``weights_only``, which allows only tensors and
    plain values. A dictionary around the state dict is searched (``state_dict``, ``model``,
    ...); whatever else a training program stored there (optimiser, epoch) is left out.

    Args:
        ema: use the averaged weights that are stored next to the trained ones.

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
                "averaged weights next to the trained ones",
                "a safetensors file, which holds one set of weights",
                "leave out ema",
            )
        return files.read(place)[0]
    return _tensors(_load(place), ema, str(place))


def _is_safetensors(path: Path) -> bool:
    """By the content if the name does not show it: a length, then a JSON header."""
    if path.suffix == ".safetensors":
        return True
    with path.open("rb") as file:
        start = file.read(9)
    return len(start) == 9 and start[8:] == b"{" and start[:2] != b"PK"


def _load(path: Path) -> Any:
    if _is_archive_of_code(path):
        raise InputError(
            str(path),
            "a state dict",
            "a TorchScript archive, which holds a program",
            "save its tensors: torch.save(torch.jit.load(path).state_dict(), path)",
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns its developers of newer pickles
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            str(path),
            "tensors and plain values",
            f"pickled objects ({_refused_type(error)})",
            "if you trust the file, open it in the program that wrote it and save "
            "model.state_dict(), or write it with safetensors.torch.save_file",
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        line = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            str(path), "a complete safetensors file or one that torch.save wrote", line
        ) from None


def _is_archive_of_code(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("constants.pkl") for name in archive.namelist())


def _refused_type(error: Exception) -> str:
    """The object that torch refused, as far as its message names it."""
    words = str(error).replace("`", " ").split()
    for before, name in itertools.pairwise(words):
        if before == "GLOBAL" and "." in name:
            return name
    return "of a kind that torch does not name"


def _tensors(loaded: Any, ema: bool, where: str) -> dict[str, Tensor]:
    content = loaded
    for _ in range(4):  # Lightning in a launcher's dictionary is two deep; four is generous
        if not isinstance(content, Mapping):
            break
        averaged = next((k for k in AVERAGED if isinstance(content.get(k), Mapping)), None)
        if ema and averaged is not None:
            content, ema = content[averaged], False
            continue
        nested = next((k for k in NESTED if isinstance(content.get(k), Mapping)), None)
        if nested is None:
            break
        if ema and not any(isinstance(content[nested].get(k), Mapping) for k in AVERAGED):
            break
        content = content[nested]
    if ema:
        keys = ", ".join(map(str, list(content)[:8])) if isinstance(content, Mapping) else "no keys"
        raise InputError(where, f"averaged weights under one of {', '.join(AVERAGED)}", keys)
    if not isinstance(content, Mapping):
        raise InputError(where, "a state dict: tensors by name", type(content).__name__)
    tensors = {str(k): v.detach() for k, v in content.items() if isinstance(v, Tensor)}
    if not tensors:
        keys = ", ".join(map(str, list(content)[:8])) or "an empty dictionary"
        raise InputError(
            where,
            f"tensors by name, or under one of {', '.join(NESTED)}",
            keys,
            "pass the state dict itself",
        )
    return tensors
