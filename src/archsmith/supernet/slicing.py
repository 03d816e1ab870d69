"""Which part of a stored tensor an architecture uses.

By default the leading entries of each dimension, and the centre of convolution kernels, as in
Slimmable networks (Yu et al. 2019, arXiv:1812.08928) and Once-for-All (Cai et al. 2020,
arXiv:1908.09791). A fused tensor holds several parts one after the other (queries, keys and
values; the gates of an LSTM; channels that were concatenated), and a prefix of it would mix them:
each part contributes its own prefix.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from .._support.errors import InputError


@dataclass(frozen=True, slots=True)
class SlicingRule:
    """How a tensor shrinks.

    Attributes:
        align: dimension to the end at which a smaller size lies in a larger one: ``"start"`` (the
            default of dimensions not named), ``"centre"`` or ``"end"``. A causal kernel,
            whose last tap sees the present, keeps its end: ``((2, "end"),)``.
        parts: dimension to the parts that lie in it in order, each of which contributes its own
            prefix: a number of equal parts, or the sizes that they have in this layer.
        groups: of a convolution whose number of groups is chosen: each group takes the columns
            that a dense kernel has for it.
    """

    align: tuple[tuple[int, str], ...] = ()
    parts: tuple[tuple[int, int | tuple[int, ...]], ...] = ()
    groups: int = 0

    def __post_init__(self) -> None:
        for dim, end in self.align:
            if end not in ("start", "centre", "end"):
                raise InputError(f"SlicingRule, dimension {dim}", "start, centre or end", repr(end))


#: Returns the rule of a layer's tensor, for the layer and the tensor's name in it.
SliceRule = Callable[[Any, str], SlicingRule]

#: Sizes of parts in a stored tensor, by dimension.
Layout = Mapping[int, tuple[int, ...]]

PREFIX = SlicingRule()
_KERNEL = tuple((dim, "centre") for dim in (2, 3, 4))
_CENTRED = SlicingRule(_KERNEL)
_registered: dict[type[nn.Module], SliceRule] = {}


def slice_rule(kind: type[nn.Module]) -> Callable[[SliceRule], SliceRule]:
    """Register how the tensors of a layer kind shrink, where a plain prefix would be wrong.

    Args:
        kind: a module class; its subclasses without a rule of their own follow it.

    Returns:
        A decorator for a function of the layer and the tensor's name in it, which returns a
        :class:`SlicingRule`.

    Raises:
        InputError: ``kind`` is not a module class.

    Example:
        >>> @nas.slice_rule(FusedAttention)
        ... def _(layer, name):  # rows are queries, keys, values
        ...     return nas.SlicingRule(parts=((0, 3),))
    """
    if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
        raise InputError("slice_rule", "a module class", repr(kind))

    def register(rule: SliceRule) -> SliceRule:
        _registered[kind] = rule
        _rule_for.cache_clear()
        return rule

    return register


def rule_of(layer: nn.Module, name: str) -> SlicingRule:
    """The rule of a layer's own tensor.

    Args:
        name: as registered; of a parametrised tensor (weight norm, …) its own name, ``weight``.
    """
    kind: Any = type(layer)
    return _rule_for(kind)(layer, name)


@cache
def _rule_for(kind: Any) -> SliceRule:
    for ancestor in kind.__mro__:
        if ancestor in _registered:
            return _registered[ancestor]
    return _prefix


def _prefix(layer: nn.Module, name: str) -> SlicingRule:
    return PREFIX


@slice_rule(_ConvNd)
def _conv(layer: _ConvNd, name: str) -> SlicingRule:
    weight = name.startswith("weight")
    depthwise = layer.groups == layer.in_channels
    if layer.groups == 1 or depthwise:
        return _CENTRED if weight else PREFIX
    # Output channels of a group lie together (of a transposed convolution, input channels too).
    return SlicingRule(_KERNEL if weight else (), ((0, layer.groups),))


def aligned_by_default(layer: nn.Module) -> bool:
    """Whether a kernel lies in the centre only because no rule was registered for it."""
    kind: Any = type(layer)
    return _rule_for(kind) is _conv


def rule_of_groups(layer: _ConvNd, name: str) -> SlicingRule:
    """The rule of a convolution whose number of groups is chosen."""
    if not name.startswith("weight"):
        return PREFIX
    return SlicingRule(_KERNEL, groups=layer.groups if layer.groups > 1 else 0)


@slice_rule(nn.RNNBase)
def _recurrent(layer: nn.RNNBase, name: str) -> SlicingRule:
    gates = {"LSTM": 4, "GRU": 3}.get(layer.mode, 1)
    if name.startswith("weight_hr"):
        return PREFIX
    parts: tuple[tuple[int, int], ...] = ((0, gates),) if gates > 1 else ()
    deeper = name.startswith("weight_ih") and not name.startswith("weight_ih_l0")
    if deeper and layer.bidirectional:
        parts = (*parts, (1, 2))  # both directions of the layer below, side by side
    return SlicingRule(parts=parts)


@slice_rule(nn.RNNCellBase)
def _cell(layer: nn.RNNCellBase, name: str) -> SlicingRule:
    gates = {nn.LSTMCell: 4, nn.GRUCell: 3}.get(type(layer), 1)
    return SlicingRule(parts=((0, gates),)) if gates > 1 else PREFIX


@slice_rule(nn.MultiheadAttention)
def _attention(layer: nn.MultiheadAttention, name: str) -> SlicingRule:
    return SlicingRule(parts=((0, 3),)) if name.startswith("in_proj") else PREFIX


def flaw(rule: SlicingRule, stored: torch.Size, wanted: torch.Size) -> str:
    """Why a tensor of the wanted shape is no part of the stored one; empty if it is one."""
    if len(stored) != len(wanted):
        return f"{len(wanted)} dimensions instead of {len(stored)}"
    for dim, parts in rule.parts:
        if not isinstance(parts, int):
            if dim < len(wanted) and sum(parts) != wanted[dim]:
                return f"dimension {dim} of {tuple(wanted)} does not consist of parts {parts}"
            continue
        for shape in (stored, wanted):
            if dim < len(shape) and shape[dim] % parts:
                return f"dimension {dim} of {tuple(shape)} does not hold {parts} equal parts"
    return ""


def take(
    stored: Tensor, wanted: torch.Size, rule: SlicingRule, layout: Layout = MappingProxyType({})
) -> Tensor:
    """The part of ``stored`` that a layer of the wanted shape uses; gradients reach ``stored``.

    A view, or a copy where parts make that impossible; ``stored`` itself if all of it is used.

    Args:
        layout: sizes of the parts in ``stored`` where a rule gives those in the layer.
    """
    if rule.groups:
        return _grouped(stored, wanted, rule.groups)
    if stored.shape == wanted:
        return stored
    part = stored
    for dim, parts in rule.parts:
        if dim >= len(wanted) or part.shape[dim] == wanted[dim]:
            continue
        if isinstance(parts, int):
            prefixes = _unflatten(part, dim, parts).narrow(dim + 1, 0, wanted[dim] // parts)
            part = prefixes.flatten(dim, dim + 1)
        else:
            part = _join_prefixes(part, dim, parts, layout.get(dim, parts))
    ends = dict(rule.align)
    for dim, size in enumerate(wanted):
        spare = part.shape[dim] - size
        if spare:
            start = {"start": 0, "centre": spare // 2, "end": spare}[ends.get(dim, "start")]
            part = part.narrow(dim, start, size)
    return part


def _join_prefixes(
    tensor: Tensor, dim: int, sizes: tuple[int, ...], whole: tuple[int, ...]
) -> Tensor:
    """The prefixes of parts of other sizes, in as few pieces as possible."""
    ranges: list[tuple[int, int]] = []
    start = 0
    for size, room in zip(sizes, whole, strict=False):
        if ranges and sum(ranges[-1]) == start:
            ranges[-1] = ranges[-1][0], ranges[-1][1] + size
        elif size:
            ranges.append((start, size))
        start += room
    pieces = [tensor.narrow(dim, *one) for one in ranges]
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim)


def fits_layout(rule: SlicingRule, layout: Layout) -> bool:
    """Whether each part whose size a rule gives has room in a stored tensor."""
    return all(
        size <= room
        for dim, parts in rule.parts
        if not isinstance(parts, int)
        for size, room in zip_longest(parts, layout.get(dim, ()), fillvalue=0)
    )


def enlarge(layout: Layout, rule: SlicingRule) -> dict[int, tuple[int, ...]]:
    """The layout that has room for the parts of a rule as well."""
    larger = dict(layout)
    for dim, parts in rule.parts:
        if not isinstance(parts, int):
            pairs = zip_longest(parts, layout.get(dim, ()), fillvalue=0)
            larger[dim] = tuple(max(pair) for pair in pairs)
    return larger


def _unflatten(tensor: Tensor, dim: int, parts: int) -> Tensor:
    shape = tensor.shape
    return tensor.reshape(*shape[:dim], parts, shape[dim] // parts, *shape[dim + 1 :])


def _grouped(stored: Tensor, wanted: torch.Size, groups: int) -> Tensor:
    """Block-diagonal entries of a dense kernel: each group sees its own input channels."""
    rows = torch.arange(wanted[0], device=stored.device)
    inside = wanted[1]
    starts = torch.div(rows, max(wanted[0] // groups, 1), rounding_mode="floor") * inside
    # Where the stored kernel is itself grouped, it has fewer columns than a dense one.
    starts = starts % stored.shape[1]
    starts = torch.where(starts + inside <= stored.shape[1], starts, 0)
    columns = starts[:, None] + torch.arange(inside, device=stored.device)
    kernel = stored[rows[:, None], columns]
    return take(kernel, wanted, _CENTRED)
