"""Layers whose output is cut into equal parts: queries, keys and values of one linear layer.

A prefix of such a layer mixes its parts. Torch's own fused layers have rules; for a user's own
layers the cut is only in ``forward``, so an example is passed through and each output channel is
followed: the numbers of the channels are viewed, transposed and split just as the outputs are,
until something is computed from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .._support.trees import Tree, call, leaves
from .lending import distinct
from .slicing import rule_of

#: Functions that move the entries of their first argument to other places.
MOVES = {
    getattr(owner, name)
    for name in (
        "chunk",
        "flatten",
        "movedim",
        "moveaxis",
        "narrow",
        "permute",
        "reshape",
        "select",
        "split",
        "split_with_sizes",
        "squeeze",
        "swapaxes",
        "swapdims",
        "t",
        "tensor_split",
        "transpose",
        "unbind",
        "unflatten",
        "unsqueeze",
    )
    for owner in (Tensor, torch)
    if name in vars(owner) or name in dir(owner)
} | {Tensor.view, Tensor.expand, Tensor.__getitem__, torch.functional.split}
#: Functions that leave the entries of their first argument in place.
_STAYS = {
    Tensor.contiguous,
    Tensor.to,
    Tensor.float,
    Tensor.half,
    Tensor.bfloat16,
    Tensor.clone,
    Tensor.type_as,
    nn.functional.dropout,
}


def fused_parts(model: nn.Module, keys: Mapping[str, str], example: Tree) -> dict[str, int]:
    """Number of equal parts in which the outputs of linear layers and convolutions are read.

    Args:
        keys: names of the model's tensors to keys.
        example: a model input, the batch first.

    Returns:
        For keys of their weights and biases, unless a rule says how they shrink; 1 where the
        output is read at once, or in parts that are not equal.
    """
    layers = {
        id(layer): layer
        for layer in model.modules()
        if isinstance(layer, nn.Linear)
        or (isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d) and layer.groups == 1)
    }
    follow = _Following()
    handles = [layer.register_forward_hook(follow.start) for layer in layers.values()]
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad(), follow:
            call(model, example)
    finally:
        model.train(was_training)
        for handle in handles:
            handle.remove()
    return {
        key: _equal_parts(follow.read.get(id(place.layer), ()))
        for key, place in distinct(model, keys)
        if id(place.layer) in layers
        and place.trained
        and place.tensor.ndim
        and not rule_of(place.layer, place.role).parts
    }


class _Following(TorchFunctionMode):
    """Follows the channels of layers' outputs through what moves them.

    Attributes:
        read: by ``id`` of the layer, the sets of channels that something was computed from, each
            as a mask over the channels.
    """

    def __init__(self) -> None:
        super().__init__()
        self.read: dict[int, set[tuple[bool, ...]]] = {}
        #: By ``id`` of a tensor: the tensor, kept alive so that its ``id`` stays its own; the id
        #: of its layer; its channels.
        self._followed: dict[int, tuple[Tensor, int, Tensor]] = {}
        self._sizes: dict[int, int] = {}

    def start(self, layer: nn.Module, inputs: Any, output: Tensor) -> None:
        """A forward hook: from now on the layer's output is followed."""
        axis = -1 if isinstance(layer, nn.Linear) else 1
        self._sizes[id(layer)] = output.shape[axis]
        channels = torch.arange(output.shape[axis])
        spread = channels if axis == -1 else channels.view(-1, *[1] * (output.ndim - 2))
        self._followed[id(output)] = output, id(layer), spread.expand(output.shape)

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is Tensor.__iter__:
            return iter(self.__torch_function__(Tensor.unbind, types, args))
        out = func(*args, **kwargs)
        first = self._followed.get(id(args[0])) if args else None
        if first is not None and func is nn.functional.glu:
            dim = args[1] if len(args) > 1 else kwargs.get("dim", -1)
            for half in first[2].chunk(2, dim):
                self._note(first[1], half)
        elif first is not None and func in MOVES:
            self._go_on(out, func(first[2], *args[1:], **kwargs), first[1])
        elif first is not None and func in _STAYS and out.shape == first[0].shape:
            self._go_on(out, first[2], first[1])
        else:
            for tensor in leaves((args, kwargs)):
                if id(tensor) in self._followed:
                    _, layer, channels = self._followed[id(tensor)]
                    self._note(layer, channels)
        return out

    def _go_on(self, out: Any, channels: Any, layer: int) -> None:
        if isinstance(out, Tensor):
            self._followed[id(out)] = out, layer, channels
        else:
            for one, its in zip(out, channels, strict=True):
                self._go_on(one, its, layer)

    def _note(self, layer: int, channels: Tensor) -> None:
        if channels.numel():
            inside = torch.zeros(self._sizes[layer], dtype=torch.bool)
            inside[channels.reshape(-1)] = True
            self.read.setdefault(layer, set()).add(tuple(inside.tolist()))


def _equal_parts(read: Iterable[tuple[bool, ...]]) -> int:
    """How many equal runs of channels are read together; 1 if they are not equal."""
    together = list(zip(*read, strict=True))  # of each channel, who reads it
    ends = [i for i, (one, two) in enumerate(pairwise(together), 1) if one != two]
    runs = {end - start for start, end in pairwise([0, *ends, len(together)])}
    return len(ends) + 1 if len(runs) == 1 else 1
