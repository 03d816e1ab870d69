"""A hook on one place of a model."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.utils.hooks import RemovableHandle

from ..._support.errors import InputError
from .layers import Spot
from .outputs import Axes, final_hidden, main_tensor, packed_mask
from .pooling import pooled


class Tap:
    """A hook on one place that pools the tensors passing through it while attached."""

    def __init__(self, place: Spot, axes: Axes, pool: str) -> None:
        self.place, self.axes, self.pool = place, axes, pool
        self.mask: Tensor | None = None
        self.asked = False
        self.got: Tensor | None = None

    def attach(self) -> RemovableHandle:
        if self.place.side == "output":
            return self.place.module.register_forward_hook(lambda m, args, out: self.take(out))
        return self.place.module.register_forward_pre_hook(
            lambda m, args, kwargs: self.take((*args, *kwargs.values())), with_kwargs=True
        )

    def begin(self, mask: Tensor | None, asked: bool) -> None:
        self.mask, self.asked, self.got = mask, asked, None

    def take(self, value: Any) -> None:
        """Keep the output or input of a call; of several calls the last one counts."""
        if self.pool == "hidden":
            hidden = final_hidden(self.place.module, value)
            self.got = None if hidden is None else hidden.float()
            return
        tensor = main_tensor(value)
        if tensor is None:
            return
        mask = self.mask if self.mask is not None else packed_mask(value)
        if self.asked and tensor.dim() != 3:
            raise InputError(
                "mask",
                "a layer of sequences (n, t, d)",
                f"{self.place.name!r} with {tuple(tensor.shape)}",
                "leave the mask out",
            )
        features = pooled(tensor, self.axes, self.pool, mask)
        # Unpooled features are the layer's own memory, which the next layer may overwrite.
        self.got = features.clone() if _share_memory(features, tensor) else features

    def taken(self, place: slice) -> Tensor:
        """The features of a batch, checked."""
        count = place.stop - place.start
        if self.got is None or len(self.got) != count:
            got = "no output" if self.got is None else f"{len(self.got)}"
            raise InputError(f"layer {self.place.name!r}", f"{count} examples", got)
        finite = self.got.isfinite().reshape(count, -1).all(dim=1)
        if not bool(finite.all()):
            first = place.start + int((~finite).nonzero()[0])
            raise InputError(
                f"features of {self.place.name!r}",
                "finite numbers",
                f"NaN or infinity for example {first}",
                "check the weights and that input",
            )
        return self.got


def _share_memory(one: Tensor, other: Tensor) -> bool:
    return one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()
