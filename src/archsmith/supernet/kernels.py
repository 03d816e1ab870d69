"""Learned matrices between a large kernel and the smaller one inside it.

A small kernel that is only a part of a large one has to serve both. Once-for-All (Cai et
al. 2020, arXiv:1908.09791) puts a matrix between them, one for each step from a size to the next in
a layer, the same for all channels; it begins as the identity.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.modules.conv import _ConvNd

from .slicing import Layout, SlicingRule, take
from .survey_records import Survey

#: Stands between the key of a weight and the size of the kernel that a matrix makes.
MARK = "~"

#: Sizes of a kernel, the largest first.
Sizes = list[tuple[int, ...]]


def elastic_kernels(survey: Survey) -> dict[str, Sizes]:
    """Sizes of the convolution kernels whose size is chosen, by key.

    Left out are kernels whose number of groups is chosen too, and those of which one is not inside
    the next larger one.
    """
    sizes_of: dict[str, set[tuple[int, ...]]] = {}
    for seen in survey.seen.values():
        for key, shape in seen.shapes.items():
            facts = survey.stored[key]
            if issubclass(facts.kind, _ConvNd) and len(shape) > 2 and len(facts.groups) == 1:
                sizes_of.setdefault(key, set()).add(tuple(shape[2:]))
    kernels = {key: sorted(sizes, key=math.prod, reverse=True) for key, sizes in sizes_of.items()}
    return {key: sizes for key, sizes in kernels.items() if len(sizes) > 1 and _inside(sizes)}


def _inside(sizes: Sizes) -> bool:
    pairs = (zip(small, large, strict=True) for large, small in pairwise(sizes))
    return all(a <= b for pair in pairs for a, b in pair)


def matrices(kernels: Mapping[str, Sizes]) -> Iterator[tuple[str, Tensor]]:
    """The key of each matrix, and the identity."""
    for key, sizes in kernels.items():
        for size in sizes[1:]:
            yield name_of(key, size), torch.eye(math.prod(size))


def name_of(key: str, size: tuple[int, ...]) -> str:
    """The key of the matrix that makes a kernel of this size."""
    return f"{key}{MARK}{'x'.join(map(str, size))}"


def shrink(
    stored: Tensor,
    wanted: torch.Size,
    rule: SlicingRule,
    layout: Layout,
    sizes: Sizes,
    matrix: Callable[[tuple[int, ...]], Tensor | None],
) -> Tensor:
    """As :func:`~archsmith.supernet.slicing.take`, through the matrices of the sizes on the way."""
    kernel = tuple(wanted[2:])
    if kernel not in sizes or kernel == sizes[0]:
        return take(stored, wanted, rule, layout)
    part = take(stored, torch.Size((*wanted[:2], *stored.shape[2:])), rule, layout)
    for size in sizes[1 : sizes.index(kernel) + 1]:
        inside = take(part, torch.Size((*wanted[:2], *size)), SlicingRule(rule.align))
        weight = matrix(size)
        assert weight is not None
        part = (inside.flatten(2) @ weight.to(inside.dtype).T).view(inside.shape)
    return part
