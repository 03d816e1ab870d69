"""Named tensors that can be added, split and grown while they are trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from .._support.errors import InputError
from .slicing import Layout, SlicingRule, take

#: Torch's names cannot hold dots, which become slashes; slashes, which labels may hold, this.
_SLASH = "\u2215"


class WeightStore(nn.Module):
    """Parameters and buffers by key.

    Attributes:
        version: incremented when tensors are added, replaced or grown: optimisers then have to be
            updated.
    """

    def __init__(self) -> None:
        super().__init__()
        self.version = 0

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        for _, tensor in self.stored():
            return tensor.device
        return torch.device("cpu")

    def get(self, key: str) -> Tensor | None:
        """The stored tensor of a key; ``None`` if there is none."""
        name = _name(key)
        return self._parameters.get(name, self._buffers.get(name))

    def put(self, key: str, tensor: Tensor, trained: bool, requires_grad: bool = True) -> None:
        """Store a tensor under a key, as a parameter or as a buffer."""
        name = _name(key)
        if trained:
            self.register_parameter(name, nn.Parameter(tensor.detach(), requires_grad))
        else:
            self.register_buffer(name, tensor.detach())

    def remove(self, key: str) -> None:
        """Remove a key."""
        name = _name(key)
        if name in self._parameters:
            del self._parameters[name]
        else:
            del self._buffers[name]

    def grow(
        self, key: str, whole: Tensor, rule: SlicingRule, layout: Layout = MappingProxyType({})
    ) -> None:
        """Make a stored tensor larger: ``whole`` gives the new values, existing ones are kept.

        An architecture that used all of it uses the same values afterwards: the rule says where
        they lie in the larger tensor, whose parts have the sizes of the layout.
        """
        stored = self.get(key)
        assert stored is not None
        shape = torch.Size(map(max, stored.shape, whole.shape))
        grown = filled(whole, shape, torch.Generator().manual_seed(0))
        places = torch.arange(grown.numel(), device=grown.device).view(shape)
        inside = take(places, stored.shape, rule, layout)
        grown.view(-1)[inside.reshape(-1)] = stored.detach().reshape(-1)
        # A new tensor: autograd remembers the shape of one that some graph still refers to.
        self.put(key, grown, isinstance(stored, nn.Parameter), stored.requires_grad)

    def stored(self) -> Iterator[tuple[str, Tensor]]:
        """All stored tensors, parameters and buffers, by key."""
        for name, tensor in (*self._parameters.items(), *self._buffers.items()):
            assert tensor is not None
            yield name.removeprefix("/").replace("/", ".").replace(_SLASH, "/"), tensor

    def fill_from(self, tensors: Mapping[str, Tensor], source: str) -> None:
        """Copy the values of all stored tensors, by key.

        Raises:
            InputError: one is missing, unknown, or of another shape.
        """
        own = dict(self.stored())
        for key in sorted({*own} ^ {*tensors}):
            raise InputError(source, "the weights of this supernet", f"{key} in only one of them")
        for key, tensor in own.items():
            if tensor.shape != tensors[key].shape:
                shapes = f"{tuple(tensors[key].shape)} for {key}"
                raise InputError(source, f"shape {tuple(tensor.shape)}", shapes)
            with torch.no_grad():
                tensor.copy_(tensors[key])


def _name(key: str) -> str:
    name = key.replace("/", _SLASH).replace(".", "/")
    # A parameter of the model may share its name with an attribute of the store: "split", "seed".
    return name if "/" in name else f"/{name}"


def beyond(stored: torch.Size, wanted: torch.Size) -> bool:
    """Whether a shape exceeds the stored one."""
    return len(stored) != len(wanted) or any(w > s for w, s in zip(wanted, stored, strict=True))


def filled(tensor: Tensor, shape: torch.Size, generator: torch.Generator) -> Tensor:
    """A tensor of a shape that holds ``tensor`` in front and values of its kind behind it.

    These are draws with the same mean and spread; one value repeated if all are equal.
    """
    tensor = tensor.detach()
    if tensor.shape == shape:
        return tensor.clone()
    if (
        not tensor.is_floating_point()
        or tensor.numel() < 2
        or bool((tensor == tensor.flatten()[0]).all())
    ):
        fill = tensor.flatten()[0] if tensor.numel() else 0
        whole = torch.full(
            shape, fill.item() if isinstance(fill, Tensor) else fill, dtype=tensor.dtype
        )
    else:
        spread, mean = float(tensor.std()), float(tensor.mean())
        whole = torch.randn(shape, generator=generator, dtype=torch.float32) * spread + mean
        whole = whole.to(tensor.dtype)
    whole = whole.to(tensor.device)
    inside = torch.Size(map(min, tensor.shape, shape))
    whole[tuple(map(slice, inside))] = tensor[tuple(map(slice, inside))]
    return whole
