"""The components of AZ-NAS that analyse blocks (Lee & Ham 2024, AZ-NAS: Assembling Zero-Cost
Proxies for Network Architecture Search, arXiv:2403.19232)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .._support.trees import call, first_tensor
from .base import Proxy
from .layers import NORMS, TABLES, channels_last, channels_second, kaiming
from .passes import Passes

_SMALL = 1e-6
#: Score of a block that passes no gradient back, and of one that passes it back unchanged.
_DEAD = 2 - 1 / _SMALL
_TRANSPARENT = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
#: Highest number of levels of the model that are searched for blocks.
_DEPTH = 6
#: Number of blocks at which the search ends.
_ENOUGH = 3


class Expressivity(Proxy):
    """Sum over blocks of the entropy of the principal components of their features.

    Weights are Kaiming normal (fan-in) and inputs standard normal: the model's own weights do not
    matter. The features of a block are its output, with all positions of all examples as rows.
    Constant features have an entropy of 0.
    """

    name = "expressivity"
    smallest = 2

    def value(self, passes: Passes) -> float:
        return float(sum(_block_statistics(passes, self).entropies))


class Progressivity(Proxy):
    """Smallest increase of the entropy of features from a block to the next one."""

    name = "progressivity"
    smallest = 2

    def value(self, passes: Passes) -> float:
        statistics = _block_statistics(passes, self)
        return float(
            min(statistics.entropies[i + 1] - statistics.entropies[i] for i in statistics.back)
        )


class Trainability(Proxy):
    """Mean over blocks of 2 - s - 1/s, which measures how close s is to 1.

    Random signs are propagated back through a block; s is the largest singular value of the mean
    over positions of (gradient at the input) x (gradient at the output). A block that returns the
    signs unchanged is the identity, which scores as low as one that returns nothing. If a block
    reduces the resolution, the input positions of one output position count as channels.
    """

    name = "trainability"
    smallest = 2

    def value(self, passes: Passes) -> float:
        scores = _block_statistics(passes, self).back.values()
        return sum(scores) / len(scores)


@dataclass(frozen=True)
class _BlockStatistics:
    """Results of one pass through the blocks.

    Attributes:
        entropies: of each block's features.
        back: trainability of each block that directly follows another, by the index of the block
            before it.
    """

    entropies: list[float]
    back: dict[int, float]


@dataclass
class _Feature:
    """A block's output: the tensor itself, the copy that was passed on, and (n, positions,
    channels); whether its channels are the second dimension, and whether the block's input was the
    output of the block before it."""

    raw: Tensor
    passed: Tensor
    channels: Tensor
    second: bool
    follows: bool


def _block_statistics(passes: Passes, proxy: Proxy) -> _BlockStatistics:
    """Statistics of the blocks from one pass that all three proxies share."""
    statistics: _BlockStatistics | None = passes.told.get("blocks")
    if statistics is None:
        features = _block_features(passes, proxy)
        entropies = [_entropy(feature.channels.detach()) for feature in features]
        statistics = passes.told["blocks"] = _BlockStatistics(
            entropies, _trainabilities(passes, features)
        )
    if not statistics.back:
        raise proxy.refuse("blocks that follow each other", "none that do")
    return statistics


def _block_features(passes: Passes, proxy: Proxy) -> list[_Feature]:
    model, longest, block_count = passes.fresh(), list[_Feature](), 0
    for depth in range(1, _DEPTH + 1):
        blocks = blocks_of(model, depth)
        if len(blocks) > block_count:
            block_count, copy = len(blocks), passes.fresh()
            recorded = _record_features(passes, copy, blocks_of(copy, depth))
            longest = max(longest, recorded, key=len)
        if len(longest) >= _ENOUGH:
            break
    if len(longest) < 2:
        raise proxy.refuse("two blocks or more", f"{len(longest)} in {type(model).__name__}")
    return longest


def blocks_of(model: nn.Module, depth: int = 1) -> list[nn.Module]:
    """The modules whose outputs count as features, in the order of their registration.

    The model itself and plain containers are searched; other modules with children are blocks, at
    level ``depth`` and above. A layer with weights is a block, too; a normalisation layer that
    follows it takes its place.
    """
    blocks: list[nn.Module] = []
    parts = list(model.children())
    for part in parts:
        inner = list(part.children())
        if isinstance(part, _TRANSPARENT) or (inner and depth > 1):
            below = blocks_of(part, depth if isinstance(part, _TRANSPARENT) else depth - 1)
            blocks += below
        elif inner or isinstance(part, nn.RNNBase):
            blocks.append(part)
        elif isinstance(part, NORMS) and blocks and not list(blocks[-1].children()):
            blocks[-1] = part
        elif isinstance(part, TABLES) or _has_weights(part):
            blocks.append(part)
    return blocks


def _has_weights(module: nn.Module) -> bool:
    return not isinstance(module, NORMS) and any(p.dim() > 1 for p in module.parameters())


def _record_features(passes: Passes, model: nn.Module, blocks: list[nn.Module]) -> list[_Feature]:
    """The features of one pass, without the model's own output, if the last block returns it."""
    features: list[_Feature] = []

    def keep(module: nn.Module, inputs: Any, output: Any) -> Any:
        tensor = first_tensor(output)
        if tensor is None or tensor.dim() < 2 or not tensor.is_floating_point():
            return None
        whole = isinstance(output, Tensor)
        passed = tensor.clone() if whole else tensor  # the next layer may write into it
        follows = bool(features) and any(part is features[-1].passed for part in inputs)
        second = channels_second(module, tensor)
        features.append(_Feature(tensor, passed, channels_last(module, tensor), second, follows))
        return passed if whole else None

    for block in blocks:
        block.register_forward_hook(keep)
    with passes.running():
        kaiming(model)
        final = first_tensor(call(model, passes.noise()))
    if features and (final is features[-1].passed or final is features[-1].raw):
        features.pop()
    return features


def _entropy(features: Tensor) -> float:
    """Entropy of the principal components of features (n, positions, channels)."""
    rows = features.flatten(0, 1)
    rows = rows - rows.mean(0, keepdim=True)
    values = torch.linalg.eigvalsh(rows.T @ rows / len(rows)).clamp(min=0)
    total = values.sum()
    if total <= 0:
        return 0.0
    shares = values / total
    return float(-(shares * torch.log(shares + 1e-8)).sum())


def _trainabilities(passes: Passes, features: list[_Feature]) -> dict[int, float]:
    """Trainability of blocks, from the last to the first: signs are drawn in this order."""
    scores: dict[int, float] = {}
    with passes.running():
        for place in reversed(range(len(features) - 1)):
            before, after = features[place], features[place + 1]
            signs = torch.randint(0, 2, after.raw.shape).to(after.raw) * 2 - 1
            back = _propagate_back(before.raw, after.raw, signs)
            if back is None and not after.follows:
                continue  # parallel blocks, or blocks that run in another order than registered
            if back is None or (back.shape == signs.shape and torch.equal(back, signs)):
                scores[place] = _DEAD
                continue
            matrix = _channel_products(back, signs, (before.second, after.second))
            if matrix is not None:
                largest = torch.linalg.matrix_norm(matrix, ord=2).item()
                scores[place] = 2 - largest - 1 / (largest + _SMALL)
    return scores


def _propagate_back(before: Tensor, after: Tensor, signs: Tensor) -> Tensor | None:
    """The gradient at a block's input for ``signs`` at its output; ``None`` if there is no path."""
    if not (after.requires_grad and before.requires_grad):
        return None
    gradients = torch.autograd.grad(after, before, signs, retain_graph=True, allow_unused=True)
    back: Tensor | None = gradients[0]
    return back


def _channel_products(back: Tensor, sent: Tensor, second: tuple[bool, bool]) -> Tensor | None:
    """Mean over positions of the products of channels, (channels before, channels after).

    ``second``: whether the channels of each are the second dimension. ``None`` if the positions do
    not fit together.
    """
    after = sent.shape[2:] if second[1] else sent.shape[1:-1]
    if second == (True, True) and back.dim() == sent.dim():
        rows = _fold_tiles(back, after)
    else:
        rows = _rows(back, second[0])
    columns = _rows(sent, second[1])
    if len(rows) != len(columns) or rows.shape[1] % columns.shape[1]:
        return None
    rows = rows.reshape(len(rows), columns.shape[1], -1)
    return rows.flatten(0, 1).T @ columns.flatten(0, 1) / (len(columns) * columns.shape[1])


def _rows(tensor: Tensor, second: bool) -> Tensor:
    """A tensor as (n, positions, channels)."""
    if second:
        return tensor.flatten(2).transpose(1, 2)
    return tensor.reshape(len(tensor), -1, tensor.shape[-1])


def _fold_tiles(back: Tensor, sizes: torch.Size) -> Tensor:
    """(n, channels, ...) as (n, positions of ``sizes``, channels x tile), with the tile of input
    positions that the stride maps to each output position."""
    strides = [max(1, old // new) for old, new in zip(back.shape[2:], sizes, strict=True)]
    kept = [size - size % stride for size, stride in zip(back.shape[2:], strides, strict=True)]
    inside = [min(k, s * n) for k, s, n in zip(kept, strides, sizes, strict=True)]
    for axis, (length, stride) in enumerate(zip(inside, strides, strict=True)):
        place = 2 + 2 * axis
        back = back.narrow(place, 0, length)
        back = back.reshape(*back.shape[:place], -1, stride, *back.shape[place + 1 :])
    positions, tiles = range(2, back.dim(), 2), range(3, back.dim(), 2)
    moved = back.permute(0, *positions, 1, *tiles)
    return moved.flatten(1 + len(sizes)).flatten(1, len(sizes))
