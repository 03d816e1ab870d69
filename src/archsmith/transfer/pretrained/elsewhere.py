"""Backbones of timm and of the Hugging Face hub, if these are installed and can be reached."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..._support.errors import InputError, MissingExtraError, unknown
from ..._support.extras import require
from .base import Backbone, ImageInput
from .checkpoint import read_checkpoint
from .fit import fit_checkpoint

#: Files of weights that repositories have, the safe one first.
FILES = ("model.safetensors", "pytorch_model.bin", "model.pt", "model.pth")
_OFFLINE = (
    "download it once on a machine with a network (hf download {repo}); HF_HOME then names the "
    "folder to copy over. For a local file: fit_checkpoint(model, path).load(model)"
)


def timm_backbone(name: str, *, weights: bool = True) -> Backbone:
    """A model of timm without its head.

    Args:
        name: as timm knows it, with or without the tag of its weights (``resnet18.a1_in1k``).
        weights: load pretrained ones; ``False`` needs no network.

    Raises:
        MissingExtraError: timm, or the torchvision that it imports, is not installed.
        UnknownNameError: timm knows no such model.
        InputError: its weights cannot be obtained.
    """
    timm, where = _timm(), f"timm:{name}"
    names = timm.list_models()
    if not name.startswith("hf-hub:") and name.partition(".")[0] not in names:
        raise unknown("timm model", name, names)
    try:
        model = timm.create_model(name, pretrained=weights, num_classes=0)
    except Exception as error:
        # timm, the hub's client and requests each raise errors of their own.
        raise InputError(
            where,
            "weights from the network, or from the cache of an earlier download",
            f"{type(error).__name__}: {_line(error)}",
            _OFFLINE.format(repo=f"timm/{name}"),
        ) from error
    config = timm.data.resolve_model_data_config(model)
    channels, height, width = config["input_size"]
    prepare = ImageInput((height, width), tuple(config["mean"]), tuple(config["std"]))
    with torch.no_grad():
        dim = int(model.eval()(torch.zeros(1, channels, height, width)).shape[1])
    return Backbone(where, model, dim, prepare)


def hub_backbone(
    repo: str,
    *,
    model: nn.Module | None = None,
    dim: int | None = None,
    prepare: Callable[[Any], Tensor] | None = None,
    file: str | None = None,
) -> Backbone:
    """A repository of the Hugging Face hub: one of timm's, or weights for a module of yours.

    Args:
        repo: ``owner/name``.
        model: the module to load the weights into, which returns embeddings; missing or left-over
            tensors are an error. Not needed for repositories of timm.
        dim: width of its embeddings.
        prepare: from raw inputs to its inputs.
        file: the file of weights; by default the usual names are tried.

    Raises:
        MissingExtraError: huggingface-hub (or timm) is not installed.
        InputError: the repository cannot be reached, or holds no weights that fit.
    """
    where = f"hub:{repo}"
    hub = require("huggingface_hub", "hub", where, "huggingface-hub")
    if model is None:
        config = json.loads(_fetch(hub, repo, "config.json").read_text(encoding="utf-8"))
        if "architecture" not in config:
            raise InputError(
                where,
                "a repository of timm, or model=, dim= and prepare= in addition",
                "a config.json without an architecture of timm",
                "pass the nn.Module that these weights belong to",
            )
        from_timm = timm_backbone(f"hf-hub:{repo}")
        return Backbone(where, from_timm.model, from_timm.dim, from_timm.prepare)
    if dim is None or prepare is None:
        raise InputError(where, "dim= and prepare= of the model", "one of them is missing")
    tensors = read_checkpoint(_weights(hub, repo, file))
    return Backbone(where, fit_checkpoint(model, tensors).load(model).eval(), dim, prepare)


def _weights(hub: Any, repo: str, file: str | None) -> Path:
    """The first file of weights that exists."""
    if file is not None:
        return _fetch(hub, repo, file)
    for name in FILES:
        try:
            return Path(hub.hf_hub_download(repo, name))
        except ImportError:
            raise
        except Exception as error:
            # Missing, not unreachable; by name, since clients define the errors in several places.
            if type(error).__name__ not in ("EntryNotFoundError", "RemoteEntryNotFoundError"):
                raise _unreachable_error(repo, name, error) from error
    raise InputError(f"hub:{repo}", f"one of {', '.join(FILES)}", "none of them", "name it: file=")


def _fetch(hub: Any, repo: str, file: str) -> Path:
    try:
        return Path(hub.hf_hub_download(repo, file))
    except ImportError:
        raise
    except Exception as error:
        raise _unreachable_error(repo, file, error) from error


def _unreachable_error(repo: str, file: str, error: Exception) -> InputError:
    return InputError(
        f"hub:{repo}",
        f"{file} from the network, or from the cache of an earlier download",
        f"{type(error).__name__}: {_line(error)}",
        _OFFLINE.format(repo=repo),
    )


def _timm() -> Any:
    try:
        return require("timm", "timm", "timm")
    except MissingExtraError:
        raise
    except (ImportError, RuntimeError) as error:
        # Its torchvision is missing, or was built for another torch (operators do not exist).
        raise MissingExtraError(
            "timm",
            "a torchvision that was built for this torch, which timm imports",
            _line(error),
            "install both from one index: pip install torch torchvision --index-url "
            "https://download.pytorch.org/whl/cpu",
        ) from error


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
