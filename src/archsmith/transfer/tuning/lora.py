"""Low-rank adaptation: frozen weights with a small trained product added to them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils import parametrize

from ..._support.errors import InputError
from .blocks import no_match


class LowRank(nn.Module):
    """A weight plus ``scale · up @ down``, zero at first (Hu et al. 2021, arXiv:2106.09685).

    Args:
        weight: (outputs, ...); the dimensions after the first count as one. A fused projection
            is ``parts`` weights of equal size above each other, each with factors of its own.
        rank: of the product; limited to what the weight allows.
        scale: factor of the product (alpha / rank in the paper).
    """

    def __init__(self, weight: Tensor, rank: int, scale: float = 1.0, parts: int = 1) -> None:
        super().__init__()
        outside, inside = weight.shape[0] // parts, weight[0].numel()
        rank = min(rank, outside, inside)
        self.scale = scale
        like = {"dtype": weight.dtype, "device": weight.device}
        self.down = nn.Parameter(torch.randn(parts, rank, inside, **like) / math.sqrt(inside))  # type: ignore[call-overload]
        self.up = nn.Parameter(torch.zeros(parts, outside, rank, **like))  # type: ignore[call-overload]

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.scale * (self.up @ self.down).reshape(weight.shape)


def add_lora(
    model: nn.Module,
    places: str | Sequence[str] = "*",
    *,
    rank: int = 8,
    alpha: float | None = None,
) -> list[str]:
    """Add a low-rank product to the weights of layers; returns the names of these weights.

    The weights are frozen, the products are trained; until then the model's output is unchanged.
    Layers are ``nn.Linear``, convolutions that are not depthwise, and the projections of
    ``nn.MultiheadAttention`` (query, key and value separately). The first factors are drawn
    from torch's global generator, as layers draw theirs.

    Args:
        places: names of layers, where ``*`` matches anything; a name includes what is inside.
        rank: of the products; lower where the weight does not allow it.
        alpha: products are scaled by alpha / rank; by default alpha is the rank.

    Raises:
        InputError: a rank below 1, a pattern that matches no layer, or a weight that already has a
            parametrisation.
    """
    if rank < 1:
        raise InputError("rank", "1 or more", str(rank))
    patterns = [places] if isinstance(places, str) else list(places)
    layers = {name: module for name, module in model.named_modules() if adaptable(module)}
    chosen: dict[str, nn.Module] = {}
    for pattern in patterns:
        matches = [name for name in layers if inside(name, pattern)]
        if not matches:
            raise no_match(pattern, layers)
        chosen |= {name: layers[name] for name in matches}
    names = []
    for name, layer in chosen.items():
        for role, parts in adaptable(layer):
            if parametrize.is_parametrized(layer, role):
                raise InputError(
                    f"{name}.{role}",
                    "a weight without a parametrisation",
                    "one that has it",
                    "merge(model) folds earlier products into their weights",
                )
            weight = layer.get_parameter(role).requires_grad_(False)
            scale = (rank if alpha is None else alpha) / rank
            product = LowRank(weight, rank, scale, parts)
            parametrize.register_parametrization(layer, role, product)
            names.append(f"{name}.{role}".lstrip("."))
    return names


def merge(model: nn.Module) -> nn.Module:
    """Fold all low-rank products into their weights; returns ``model``, with plain layers again.

    It computes the same, and can be pickled, exported and read by other programs. The merged
    weights stay frozen, as they were with the products.
    """
    for module in model.modules():
        if not parametrize.is_parametrized(module):
            continue
        lists = module.parametrizations
        assert isinstance(lists, nn.ModuleDict)
        for role, products in list(lists.items()):
            if all(isinstance(p, LowRank) for p in products.children()):
                parametrize.remove_parametrizations(module, role, leave_parametrized=True)
                module.get_parameter(role).requires_grad_(False)
    return model


def inside(name: str, pattern: str) -> bool:
    """Whether a pattern matches a module: by its own name or by that of a module around it."""
    parts = name.split(".")
    return any(fnmatchcase(".".join(parts[:n]), pattern) for n in range(1, len(parts) + 1))


def adaptable(module: nn.Module) -> list[tuple[str, int]]:
    """Weights of a layer to which products can be added, and how many parts each one has."""
    return list(_weights(module))


def _weights(module: nn.Module) -> Iterator[tuple[str, int]]:
    if isinstance(module, nn.MultiheadAttention):
        if module._qkv_same_embed_dim:
            yield "in_proj_weight", 3
        else:
            yield from (("q_proj_weight", 1), ("k_proj_weight", 1), ("v_proj_weight", 1))
    elif isinstance(module, nn.Linear) or _is_dense(module):
        yield "weight", 1


def _is_dense(module: nn.Module) -> bool:
    return isinstance(module, _ConvNd) and module.groups == 1 and not module.transposed
