"""Building without initialising, and inserting lent tensors into what was built."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList
from torch.overrides import TorchFunctionMode

_RANDOM = {
    getattr(Tensor, name)
    for name in (
        "bernoulli_",
        "cauchy_",
        "exponential_",
        "geometric_",
        "log_normal_",
        "normal_",
        "random_",
        "uniform_",
    )
}


class _Uninitialised(TorchFunctionMode):
    """Leaves new parameters as the allocator gives them: they are about to be replaced."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any | None = None
    ) -> Any:
        kwargs = kwargs or {}
        initialises = getattr(func, "__module__", None) == "torch.nn.init" or func in _RANDOM
        if initialises:
            target = args[0] if args else kwargs.get("tensor")
            # A plain tensor is kept by whoever fills it; only parameters are replaced.
            if isinstance(target, nn.Parameter):
                return target
        return func(*args, **kwargs)


@contextmanager
def uninitialised() -> Iterator[None]:
    """Build modules inside without filling their parameters; the global generator is unchanged."""
    with torch.random.fork_rng(devices=[]), _Uninitialised():
        yield


@dataclass(frozen=True, slots=True)
class Place:
    """A tensor of a module: where it is registered, and which layer says how it shrinks.

    Attributes:
        owner: the module that it is registered in.
        name: the name under which it is registered.
        path: its full name in the model.
        layer, role: the layer that it belongs to and its name there. Those of a parametrised
            tensor (``parametrizations.weight.original0``) are the layer itself and ``weight``.
        trained: a parameter, not a buffer.
    """

    owner: nn.Module
    name: str
    path: str
    layer: nn.Module
    role: str
    trained: bool

    @property
    def computed(self) -> bool:
        """Whether the layer computes with it before each use (weight norm, spectral norm)."""
        return self.owner is not self.layer or self.role.endswith(("_orig", "_g", "_v"))

    @property
    def tensor(self) -> Tensor:
        tensors = self.owner._parameters if self.trained else self.owner._buffers
        tensor = tensors[self.name]
        assert tensor is not None
        return tensor

    def put(self, tensor: Tensor) -> None:
        # Past nn.Module's own checks: it would refuse what is not a leaf of the graph.
        if self.trained:
            self.owner._parameters[self.name] = tensor  # type: ignore[assignment]
        else:
            self.owner._buffers[self.name] = tensor


def places(model: nn.Module) -> list[Place]:
    """All tensors of a model that are in its state dict; those of a shared module once."""
    seen: set[int] = set()
    found: list[Place] = []

    def walk(module: nn.Module, path: str, layer: nn.Module, role: str | None) -> None:
        if id(module) in seen:
            return
        seen.add(id(module))
        for trained, tensors in ((True, module._parameters), (False, module._buffers)):
            for name, tensor in tensors.items():
                if tensor is not None and name not in module._non_persistent_buffers_set:
                    place = Place(module, name, f"{path}{name}", layer, role or name, trained)
                    found.append(place)
        for name, child in module._modules.items():
            if child is None:
                continue
            if isinstance(child, ParametrizationList):
                walk(child, f"{path}{name}.", layer, name)
            elif role is not None:  # inside a parametrisation
                walk(child, f"{path}{name}.", layer, role)
            elif name == "parametrizations" and isinstance(child, nn.ModuleDict):
                walk(child, f"{path}{name}.", module, None)
            else:
                walk(child, f"{path}{name}.", child, None)

    walk(model, "", model, None)
    return found


def distinct(model: nn.Module, keys: Mapping[str, str]) -> Iterator[tuple[str, Place]]:
    """The tensors of a model with their keys; one that is registered twice (tied) once."""
    tied: set[int] = set()
    for place in places(model):
        if id(place.tensor) not in tied:
            tied.add(id(place.tensor))
            yield keys[place.path], place


def lend(
    model: nn.Module,
    keys: Mapping[str, str],
    lent: Callable[[str, Place], Tensor | None],
) -> None:
    """Replace the tensors of a model by what ``lent`` returns for each key; ``None`` keeps its own.

    A tensor that is registered twice (tied weights) is asked for once, by its first key.
    """
    tied: dict[int, tuple[Tensor, Tensor | None]] = {}
    for place in places(model):
        own = place.tensor
        if id(own) not in tied:
            tied[id(own)] = own, lent(keys[place.path], place)
        replacement = tied[id(own)][1]
        if replacement is not None:
            place.put(replacement)
