"""At which end a smaller kernel lies in a larger one: found by trial where padding is unclear.

A convolution that is padded evenly keeps the centre. One whose padding does not follow its kernel
is padded elsewhere, or not at all: a causal one (van den Oord et al. 2016, arXiv:1609.03499) sees
the present by its last tap. A network with the small kernel and one with the large kernel, zero
but for the small one inside it, compute the same only if it lies where it should; so each place is
tried on an example, or on noise through the modules around the convolution.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from .._support.trees import Tree, call, first_tensor, map_tensors
from ..space.architecture import Architecture
from ..space.building import parameter_keys
from .lending import Place, distinct
from .slicing import SlicingRule, aligned_by_default, take

if TYPE_CHECKING:
    from ..space import Space

#: Which end of each dimension is kept.
Align = tuple[tuple[int, str], ...]

_ENDS = ("centre", "end", "start")
_LENGTH = 24  # of noise in each dimension that a kernel moves in; more than most kernels have


@dataclass(frozen=True, slots=True)
class Kernel:
    """A convolution as the survey saw it: its kernel, and how the padding relates to it.

    Attributes:
        size: of the kernel.
        spare: by dimension, how far the kernel reaches to both sides, less the padding; ``None``
            where the layer itself keeps the size.
    """

    size: tuple[int, ...]
    spare: tuple[int, ...] | None


def kernel_of(place: Place) -> Kernel | None:
    """What is to be known of a convolution's kernel; ``None`` for other tensors."""
    layer = place.layer
    if not isinstance(layer, _ConvNd) or place.role != "weight" or place.tensor.ndim < 3:
        return None
    size = tuple(place.tensor.shape[2:])
    if isinstance(layer.padding, str) or not aligned_by_default(layer):
        return Kernel(size, None)
    reach = zip(size, layer.dilation, layer.padding, strict=True)
    return Kernel(size, tuple(d * (k - 1) - 2 * p for k, d, p in reach))


def unclear(kernels: Iterable[Kernel]) -> bool:
    """Whether a layer's padding does not follow its kernel, so that the centre may be wrong."""
    padded = [kernel for kernel in kernels if kernel.spare is not None]
    sizes, spares = {kernel.size for kernel in padded}, {kernel.spare for kernel in padded}
    return len(sizes) > 1 and len(spares) > 1


def alignment(
    space: Space, small: Architecture, large: Architecture, example: Tree | None
) -> dict[str, Align]:
    """Where the kernels of one architecture lie in those of another, which differs in them alone.

    Returns:
        By key; empty where no trial decides it, or where it is the centre.
    """
    pair = _pair(space, small, large)
    if pair is None:
        return {}
    one, two, kernels = pair
    dims = len(next(iter(kernels.values()))[0].shape) - 2
    for few, many, example_ in _settings(one, two, kernels, example):
        fits = []
        for ends in itertools.product(_ENDS, repeat=dims):
            _place_small_kernels(kernels, _align(ends))
            if _same_outputs(few, many, example_):
                fits.append(ends)
        if fits and len(fits) < len(_ENDS) ** dims:
            return {} if set(fits[0]) == {"centre"} else dict.fromkeys(kernels, _align(fits[0]))
    return {}


def _align(ends: tuple[str, ...]) -> Align:
    return tuple((2 + place, end) for place, end in enumerate(ends))


#: By key, the small kernel, the large one, and the path of their layer.
_Kernels = Mapping[str, tuple[Tensor, Tensor, str]]


def _pair(
    space: Space, small: Architecture, large: Architecture
) -> tuple[nn.Module, nn.Module, _Kernels] | None:
    """Two models with equal weights but for the kernels, which the caller fills in the second."""
    (run_a, one), (run_b, two) = (space.read(a, seed=0) for a in (small, large))
    mine = dict(distinct(one.eval(), parameter_keys(run_a, one)))
    others = dict(distinct(two.eval(), parameter_keys(run_b, two)))
    if mine.keys() != others.keys():
        return None
    kernels: dict[str, tuple[Tensor, Tensor, str]] = {}
    with torch.no_grad():
        for key, place in mine.items():
            few, many = place.tensor, others[key].tensor
            if few.shape == many.shape:
                many.copy_(few)
            elif few.ndim > 2 and few.shape[:2] == many.shape[:2]:
                if any(a > b for a, b in zip(few.shape, many.shape, strict=True)):
                    return None
                kernels[key] = few, many, place.path
            else:
                return None
    same_rank = len({few.ndim for few, _, _ in kernels.values()}) == 1
    return (one, two, kernels) if same_rank else None


def _settings(
    one: nn.Module, two: nn.Module, kernels: _Kernels, example: Tree | None
) -> Iterator[tuple[nn.Module, nn.Module, Tensor]]:
    """Both models with an input; then the modules around their first kernel with noise."""
    noise = torch.Generator().manual_seed(0)
    if example is not None:
        yield one, two, noisy(example, noise)
    few, _, path = next(iter(kernels.values()))
    names = path.split(".")[:-1]
    layer = next((m for m in _modules_on_path(one, names) if isinstance(m, _ConvNd)), None)
    if layer is None:
        return
    shape = (2, layer.in_channels, *[_LENGTH] * (few.ndim - 2))
    outer = zip(_modules_on_path(one, names), _modules_on_path(two, names), strict=True)
    for inner_one, inner_two in outer:
        if not isinstance(inner_one, _ConvNd):
            yield inner_one, inner_two, torch.randn(shape, generator=noise)


def noisy(example: Tree, generator: torch.Generator) -> Tree:
    """Noise in the shape of an example, which may be all zeros; whole numbers stay."""

    def noise(tensor: Tensor) -> Tensor:
        if not tensor.is_floating_point():
            return tensor
        return torch.randn(tensor.shape, generator=generator).to(tensor.dtype)

    return map_tensors(noise, example)


def _modules_on_path(model: nn.Module, names: list[str]) -> list[nn.Module]:
    """The modules on a path, from the inside out."""
    return [model.get_submodule(".".join(names[:n])) for n in range(len(names), -1, -1)]


def _place_small_kernels(kernels: _Kernels, align: Align) -> None:
    """Make the large kernels zero but for the small ones that lie in them."""
    with torch.no_grad():
        for few, many, _ in kernels.values():
            many.zero_()
            take(many, few.shape, SlicingRule(align)).copy_(few)


def _same_outputs(one: nn.Module, two: nn.Module, example: Tree) -> bool:
    """Whether both compute the same; false where one of them does not run."""
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            first = call(one, example)
            torch.manual_seed(0)
            second = call(two, example)
    except Exception:
        return False
    first, second = first_tensor(first), first_tensor(second)
    if first is None or second is None:
        return False
    near = 1e-4 * float(first.abs().max().clamp(min=1e-6)) if first.numel() else 0.0
    return first.shape == second.shape and torch.allclose(first, second, rtol=1e-4, atol=near)
