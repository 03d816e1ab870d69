"""The weights of a model as safetensors, and a freshly built copy of the model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from .._support.errors import WorkError
from .._support.weights import read, snapshot, write
from .record import first_line

if TYPE_CHECKING:
    from ..space import Space
    from ..space.architecture import Architecture


def write_safetensors(model: nn.Module, path: Path) -> None:
    """Write parameters and buffers by name; tied tensors are written once."""
    state = model.state_dict()
    first: dict[tuple[Any, ...], str] = {}
    for name, key in sorted(_storage_keys(state).items()):
        first.setdefault(key, name)
    untied = {name: value for name, value in state.items() if name not in _storage_keys(state)}
    write(path, untied | {name: state[name] for name in first.values()}, {"format": "pt"})


def read_safetensors(model: nn.Module, path: Path) -> nn.Module:
    """Load the file's weights into ``model`` and return it.

    Raises:
        RuntimeError: names or shapes differ.
    """
    state, _ = read(path)
    places = _storage_keys(model.state_dict())
    written = {places[name]: value for name, value in state.items() if name in places}
    tied = {name: written[key] for name, key in places.items() if key in written}
    model.load_state_dict(tied | state)
    return model.eval()


def own_copy(model: nn.Module, space: Space, architecture: Architecture) -> nn.Module:
    """A freshly built copy on the CPU in evaluation mode; the caller's model is not changed.

    Many modules cannot be copied in any other way, because they hold a lock, a file, or a tensor
    that is computed from a parameter.

    Raises:
        WorkError: the space builds a different model.
    """
    fresh = space.build(architecture, seed=0)
    try:
        fresh.load_state_dict(snapshot(model))
    except Exception as error:
        raise WorkError(
            "export",
            f"a model whose weights fit what {space.name} builds",
            first_line(error),
            "export it with the space and the architecture that it was built from",
        ) from error
    return fresh.eval()


def _storage_keys(state: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    """A key for the storage of each tensor of a state dict, which tied tensors share."""
    return {
        name: (t.untyped_storage().data_ptr(), t.storage_offset(), t.shape, t.stride())
        for name, t in state.items()
        if isinstance(t, Tensor) and t.numel()
    }
