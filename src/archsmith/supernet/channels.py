"""Which channels a layer reads, found by following channel numbers through an example's pass."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.overrides import TorchFunctionMode

from .._support.trees import Tree, call, leaves
from .concatenation import Run, Runs
from .fused import MOVES
from .lending import Place, distinct

_CATS = {torch.cat, torch.concat, torch.concatenate}
#: Functions that make new channels from old ones.
_MIXES = {
    getattr(owner, name)
    for owner in (torch, Tensor, F)
    for name in (
        "addmm",
        "baddbmm",
        "bilinear",
        "bmm",
        "conv1d",
        "conv2d",
        "conv3d",
        "conv_transpose1d",
        "conv_transpose2d",
        "conv_transpose3d",
        "cumsum",
        "einsum",
        "embedding",
        "flip",
        "gather",
        "index_select",
        "linear",
        "matmul",
        "mm",
        "multi_head_attention_forward",
        "roll",
        "scaled_dot_product_attention",
        "sort",
        "take_along_dim",
        "tensordot",
        "unfold",
        "pixel_shuffle",
        "pixel_unshuffle",
        "__matmul__",
        "__rmatmul__",
    )
    if hasattr(owner, name)
}
_FOLDS = {
    getattr(owner, name)
    for owner in (torch, Tensor)
    for name in ("mean", "sum", "amax", "amin", "std", "var", "logsumexp")
}


def joined_runs(model: nn.Module, keys: Mapping[str, str], example: Tree) -> Runs:
    """For each weight of layers that read channels: the dimension it reads along, and its runs."""
    places = list(distinct(model, keys))
    follow = _Following(places)
    handles = []
    for layer in {id(place.layer): place.layer for _, place in places}.values():
        if _axis(layer) is not None:
            handles.append(layer.register_forward_pre_hook(follow.enter))
            handles.append(layer.register_forward_hook(follow.leave))
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad(), follow:
            call(model, example)
    finally:
        model.train(was_training)
        for handle in handles:
            handle.remove()
    runs_of: Runs = {}
    for key, place in places:
        dim = _read_dim(place)
        if dim is not None and id(place.layer) in follow.read:
            runs_of[key] = dim, follow.read[id(place.layer)]
    return runs_of


def _axis(layer: nn.Module) -> int | None:
    """The axis of a layer's channels; ``None`` for other layers."""
    if isinstance(layer, _ConvNd | _NormBase | nn.GroupNorm | nn.PReLU):
        return 1
    if isinstance(layer, nn.RMSNorm | nn.LayerNorm) and len(layer.normalized_shape) > 1:
        return None
    if isinstance(layer, nn.Linear | nn.RMSNorm | nn.LayerNorm):
        return -1
    return None


def keeps_channels(layer: nn.Module) -> bool:
    """Whether the layer treats each channel separately and keeps its identity."""
    if isinstance(layer, _ConvNd):
        return 1 < layer.groups == layer.in_channels == layer.out_channels
    return not isinstance(layer, nn.Linear)


def _read_dim(place: Place) -> int | None:
    """The dimension of a tensor along which the channels that its layer reads lie."""
    layer, tensor = place.layer, place.tensor
    if _axis(layer) is None or not tensor.ndim or place.role.startswith("num_"):
        return None
    if keeps_channels(layer):
        return 0
    if tensor.ndim < 2 or (isinstance(layer, _ConvNd) and layer.groups > 1):
        return None
    return 0 if isinstance(layer, _ConvTransposeNd) else 1


class _Following(TorchFunctionMode):
    """Follows the channels of layers' outputs through what moves, changes and joins them.

    Attributes:
        read: by ``id`` of a layer, the runs of channels that it read.
    """

    def __init__(self, places: Sequence[tuple[str, Place]]) -> None:
        super().__init__()
        self.read: dict[int, tuple[Run, ...] | None] = {}
        self._keys = {id(p.layer): key for key, p in places if p.role == "weight"}
        #: By number of the first channel of a source: its key, the dimension, how many.
        self._sources: dict[int, tuple[str, int, int]] = {}
        self._next = 0
        #: By ``id`` of a tensor: the tensor, kept alive so that its ``id`` stays its own, and its
        #: channels.
        self._followed: dict[int, tuple[Tensor, Tensor]] = {}

    def enter(self, layer: nn.Module, inputs: Any) -> None:
        """A forward pre-hook: what the layer reads."""
        axis = _axis(layer)
        followed = self._followed.get(id(inputs[0])) if inputs else None
        assert axis is not None
        runs = self._runs(followed[1], axis) if followed is not None else None
        before = self.read.setdefault(id(layer), runs)
        if before != runs:  # one layer, called on different things
            self.read[id(layer)] = None

    def leave(self, layer: nn.Module, inputs: Any, output: Any) -> None:
        """A forward hook: carries channels through the layer, or starts new ones."""
        axis = _axis(layer)
        if not isinstance(output, Tensor) or axis is None:
            return
        if keeps_channels(layer):
            followed = self._followed.get(id(inputs[0])) if inputs else None
            if followed is not None:
                self._spread(output, followed[1])
            return
        dim = 1 if isinstance(layer, _ConvTransposeNd) else 0
        key = self._keys.get(id(layer), "")
        if isinstance(layer, _ConvNd) and dim == 1 and layer.groups > 1:
            key = ""
        self._follow(output, self._begin(output, axis, key, dim))

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is Tensor.__iter__:
            return iter(self.__torch_function__(Tensor.unbind, types, args))
        out = func(*args, **kwargs)
        with contextlib.suppress(Exception):  # what cannot be followed merely stays unknown
            self._go_on(func, out, args, kwargs)
        return out

    def _go_on(self, func: Any, out: Any, args: Any, kwargs: Any) -> None:
        if func in _CATS:
            self._cat(out, *args, **kwargs)
            return
        ghosts = [
            self._followed[id(t)][1] for t in leaves((args, kwargs)) if id(t) in self._followed
        ]
        if not ghosts or func in _MIXES:
            return
        if func in MOVES:
            self._move(out, func(ghosts[0], *args[1:], **kwargs))
        elif func in _FOLDS:
            self._fold(out, ghosts[0], *args[1:], **kwargs)
        elif isinstance(out, Tensor):
            self._spread(out, next((g for g in ghosts if g.shape == out.shape), ghosts[0]))

    def _follow(self, tensor: Tensor, ghost: Tensor) -> None:
        self._followed[id(tensor)] = tensor, ghost

    def _begin(self, tensor: Tensor, axis: int, key: str, dim: int) -> Tensor:
        """New numbers for the channels of a tensor."""
        count = tensor.shape[axis]
        self._sources[self._next] = key, dim, count
        numbers = torch.arange(self._next, self._next + count)
        self._next += count
        return _expand_along(numbers, tensor, axis)

    def _cat(self, out: Tensor, tensors: Sequence[Tensor], dim: int = 0, **_: Any) -> None:
        if not any(id(t) in self._followed for t in tensors):
            return
        ghosts = [
            self._followed[id(t)][1] if id(t) in self._followed else self._begin(t, dim, "", 0)
            for t in tensors
        ]
        rows = [self._along(ghost, dim) for ghost in ghosts]
        if all(row is not None for row in rows):
            self._follow(
                out, _expand_along(torch.cat([r for r in rows if r is not None]), out, dim)
            )
        else:
            self._follow(out, torch.cat(ghosts, dim))

    def _move(self, out: Any, ghost: Any) -> None:
        if isinstance(out, Tensor):
            self._follow(out, ghost)
        else:
            for one, its in zip(out, ghost, strict=True):
                self._move(one, its)

    def _fold(self, out: Any, ghost: Tensor, *args: Any, **kwargs: Any) -> None:
        """A mean or the like: channels keep their identity unless they were reduced over."""
        dims = args[0] if args else kwargs.get("dim")
        if dims is None or not isinstance(out, Tensor):
            return
        keep = out.ndim == ghost.ndim
        high, low = ghost.amax(dims, keep), ghost.amin(dims, keep)
        if high.shape == out.shape and torch.equal(high, low):
            self._follow(out, high)

    def _spread(self, out: Tensor, ghost: Tensor) -> None:
        """Channels that keep their identity while the pixels change."""
        if out.shape == ghost.shape:
            self._follow(out, ghost)
            return
        if out.ndim != ghost.ndim:
            return
        varying = [axis for axis in range(ghost.ndim) if ghost.stride(axis)]
        for axis in varying if len(varying) == 1 else range(ghost.ndim):
            vector = self._along(ghost, axis)
            if vector is not None and out.shape[axis] == len(vector) > 1:
                self._follow(out, _expand_along(vector, out, axis))
                return

    @staticmethod
    def _along(ghost: Tensor, axis: int) -> Tensor | None:
        """The numbers along an axis, if they are the same everywhere else."""
        whole = ghost.movedim(axis, 0)
        if not any(whole.stride()[1:]) and whole.numel():  # the same everywhere: nothing to compare
            return whole.as_strided((len(whole),), (whole.stride(0),), whole.storage_offset())
        rows = whole.reshape(ghost.shape[axis], -1)
        if not rows.numel() or not bool((rows == rows[:, :1]).all()):
            return None
        return rows[:, 0]

    def _runs(self, ghost: Tensor, axis: int) -> tuple[Run, ...] | None:
        numbers = self._along(ghost, axis)
        return None if numbers is None else self._split(numbers.tolist())

    def _split(self, numbers: list[int]) -> tuple[Run, ...] | None:
        runs = list(self._whole_sources(numbers))
        return tuple(runs) if sum(run.size for run in runs) == len(numbers) else None

    def _whole_sources(self, numbers: list[int]) -> Iterator[Run]:
        """Runs from the front, as long as they cover whole sources."""
        place = 0
        while place < len(numbers) and numbers[place] in self._sources:
            key, dim, count = self._sources[numbers[place]]
            times = next(
                (n for n, number in enumerate(numbers[place:]) if number != numbers[place]),
                len(numbers) - place,
            )
            first = numbers[place]
            size = count * times
            expected = [first + n for n in range(count) for _ in range(times)]
            if numbers[place : place + size] != expected:
                return
            yield Run(key, dim, times, size)
            place += size


def _expand_along(numbers: Tensor, tensor: Tensor, axis: int) -> Tensor:
    """Numbers along an axis, the same everywhere else, in the shape of a tensor."""
    shape = [1] * tensor.ndim
    shape[axis] = len(numbers)
    return numbers.view(shape).expand(tensor.shape)
