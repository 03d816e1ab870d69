"""The weights of a model as safetensors, and a copy of it that is built anew."""

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
    """Parameters and buffers by name; tensors that are tied are written once."""
    state = model.state_dict()
    first: dict[tuple[Any, ...], str] = {}
    for name, key in sorted(_places(state).items()):
        first.setdefault(key, name)
    kept = {name: value for name, value in state.items() if name not in _places(state)}
    write(path, kept | {name: state[name] for name in first.values()}, {"format": "pt"})


def read_safetensors(model: nn.Module, path: Path) -> nn.Module:
    """Fill ``model`` from the file and return it.

    Raises:
        RuntimeError: names or shapes differ.
    """
    state, _ = read(path)
    places = _places(model.state_dict())
    written = {places[name]: value for name, value in state.items() if name in places}
    tied = {name: written[key] for name, key in places.items() if key in written}
    model.load_state_dict(tied | state)
    return model.eval()


def own_copy(model: nn.Module, space: Space, architecture: Architecture) -> nn.Module:
    """A copy on the CPU in evaluation mode, built anew; the caller's model stays as it is.

    Many modules cannot be copied in any other way: they hold a lock, a file, a tensor that is
    computed from a parameter.

    Raises:
        WorkError: the space builds another model.
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


def _places(state: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    """Where the tensors of a state dict lie: the same for those that are tied."""
    return {
        name: (t.untyped_storage().data_ptr(), t.storage_offset(), t.shape, t.stride())
        for name, t in state.items()
        if isinstance(t, Tensor) and t.numel()
    }
