"""The components of AZ-NAS that look at blocks (Lee & Ham 2024, AZ-NAS: Assembling Zero-Cost
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
#: What a block scores that passes nothing back, and one that passes everything on unchanged.
_DEAD = 2 - 1 / _SMALL
_TRANSPARENT = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
#: Levels of the model that are opened in search of blocks.
_DEPTH = 6
#: Blocks at which that ends.
_ENOUGH = 3


class Expressivity(Proxy):
    """Sum over blocks of the entropy of the principal components of their features.

    Weights are Kaiming normal (fan-in) and inputs standard normal: the model's own weights do not
    matter. Features of a block are its output, all positions of all examples being rows. Features
    that are all alike have no entropy.
    """

    name = "expressivity"
    smallest = 2

    def value(self, passes: Passes) -> float:
        return float(sum(_read(passes, self).entropies))


class Progressivity(Proxy):
    """Smallest growth of that entropy from a block to one that follows upon it."""

    name = "progressivity"
    smallest = 2

    def value(self, passes: Passes) -> float:
        found = _read(passes, self)
        return float(min(found.entropies[i + 1] - found.entropies[i] for i in found.back))


class Trainability(Proxy):
    """Mean over blocks of 2 - s - 1/s: how near s is to 1.

    Random signs are sent back through a block; s is the largest singular value of the mean over
    positions of (what arrives) x (what was sent). A block that returns them unchanged is the
    identity, which is as bad as one that returns nothing. Where a block reduces the resolution,
    the positions that one comes from count as channels.
    """

    name = "trainability"
    smallest = 2

    def value(self, passes: Passes) -> float:
        scores = _read(passes, self).back.values()
        return sum(scores) / len(scores)


@dataclass(frozen=True)
class _Found:
    """What one pass through the blocks told.

    Attributes:
        entropies: of each block's features.
        back: trainability of each block that follows upon the one before it, by the place of the
            latter.
    """

    entropies: list[float]
    back: dict[int, float]


@dataclass
class _Feature:
    """A block's output: as it came, what was passed on, and as (n, positions, channels); whether
    it has its channels second, and whether the block was given what the one before it passed on."""

    raw: Tensor
    passed: Tensor
    channels: Tensor
    second: bool
    follows: bool


def _read(passes: Passes, proxy: Proxy) -> _Found:
    """One pass for all three."""
    found: _Found | None = passes.told.get("blocks")
    if found is None:
        features = _features(passes, proxy)
        entropies = [_entropy(feature.channels.detach()) for feature in features]
        found = passes.told["blocks"] = _Found(entropies, _backwards(passes, features))
    if not found.back:
        raise proxy.refuse("blocks that follow upon each other", "none that do")
    return found


def _features(passes: Passes, proxy: Proxy) -> list[_Feature]:
    model, most, before = passes.fresh(), list[_Feature](), 0
    for depth in range(1, _DEPTH + 1):
        blocks = blocks_of(model, depth)
        if len(blocks) > before:
            before, copied = len(blocks), passes.fresh()
            found = _run(passes, copied, blocks_of(copied, depth))
            most = max(most, found, key=len)
        if len(most) >= _ENOUGH:
            break
    if len(most) < 2:
        raise proxy.refuse("two blocks or more", f"{len(most)} in {type(model).__name__}")
    return most


def blocks_of(model: nn.Module, depth: int = 1) -> list[nn.Module]:
    """The modules whose outputs count as features, in the order in which they are registered.

    The model itself and plain containers are opened, other modules with parts are blocks down to
    ``depth``. A layer with weights is a block too; normalisation that follows it takes its place.
    """
    found: list[nn.Module] = []
    parts = list(model.children())
    for part in parts:
        inner = list(part.children())
        if isinstance(part, _TRANSPARENT) or (inner and depth > 1):
            below = blocks_of(part, depth if isinstance(part, _TRANSPARENT) else depth - 1)
            found += below
        elif inner or isinstance(part, nn.RNNBase):
            found.append(part)
        elif isinstance(part, NORMS) and found and not list(found[-1].children()):
            found[-1] = part
        elif isinstance(part, TABLES) or _weighted(part):
            found.append(part)
    return found


def _weighted(module: nn.Module) -> bool:
    return not isinstance(module, NORMS) and any(p.dim() > 1 for p in module.parameters())


def _run(passes: Passes, model: nn.Module, blocks: list[nn.Module]) -> list[_Feature]:
    """One pass; the model's own output, if the last block gives it, is no feature."""
    seen: list[_Feature] = []

    def keep(module: nn.Module, given: Any, output: Any) -> Any:
        tensor = first_tensor(output)
        if tensor is None or tensor.dim() < 2 or not tensor.is_floating_point():
            return None
        whole = isinstance(output, Tensor)
        passed = tensor.clone() if whole else tensor  # what comes next may write into it
        follows = bool(seen) and any(part is seen[-1].passed for part in given)
        second = channels_second(module, tensor)
        seen.append(_Feature(tensor, passed, channels_last(module, tensor), second, follows))
        return passed if whole else None

    for block in blocks:
        block.register_forward_hook(keep)
    with passes.running():
        kaiming(model)
        final = first_tensor(call(model, passes.noise()))
    if seen and (final is seen[-1].passed or final is seen[-1].raw):
        seen.pop()
    return seen


def _entropy(features: Tensor) -> float:
    """Of (n, positions, channels)."""
    rows = features.flatten(0, 1)
    rows = rows - rows.mean(0, keepdim=True)
    values = torch.linalg.eigvalsh(rows.T @ rows / len(rows)).clamp(min=0)
    total = values.sum()
    if total <= 0:
        return 0.0
    shares = values / total
    return float(-(shares * torch.log(shares + 1e-8)).sum())


def _backwards(passes: Passes, features: list[_Feature]) -> dict[int, float]:
    """From the last block to the first: signs are drawn in this order."""
    scores: dict[int, float] = {}
    with passes.running():
        for place in reversed(range(len(features) - 1)):
            before, after = features[place], features[place + 1]
            signs = torch.randint(0, 2, after.raw.shape).to(after.raw) * 2 - 1
            back = _sent(before.raw, after.raw, signs)
            if back is None and not after.follows:
                continue  # side by side, or in an order of registration that nobody runs
            if back is None or (back.shape == signs.shape and torch.equal(back, signs)):
                scores[place] = _DEAD
                continue
            matrix = _matrix(back, signs, (before.second, after.second))
            if matrix is not None:
                largest = torch.linalg.matrix_norm(matrix, ord=2).item()
                scores[place] = 2 - largest - 1 / (largest + _SMALL)
    return scores


def _sent(before: Tensor, after: Tensor, signs: Tensor) -> Tensor | None:
    """What comes back at a block's input; ``None`` where nothing leads there."""
    if not (after.requires_grad and before.requires_grad):
        return None
    found = torch.autograd.grad(after, before, signs, retain_graph=True, allow_unused=True)
    back: Tensor | None = found[0]
    return back


def _matrix(back: Tensor, sent: Tensor, second: tuple[bool, bool]) -> Tensor | None:
    """Mean over positions of the products of channels, (channels before, channels after).

    ``second``: whether these two have their channels second. ``None`` where positions do not fit.
    """
    after = sent.shape[2:] if second[1] else sent.shape[1:-1]
    if second == (True, True) and back.dim() == sent.dim():
        rows = _folded(back, after)
    else:
        rows = _rows(back, second[0])
    columns = _rows(sent, second[1])
    if len(rows) != len(columns) or rows.shape[1] % columns.shape[1]:
        return None
    rows = rows.reshape(len(rows), columns.shape[1], -1)
    return rows.flatten(0, 1).T @ columns.flatten(0, 1) / (len(columns) * columns.shape[1])


def _rows(tensor: Tensor, second: bool) -> Tensor:
    """As (n, positions, channels)."""
    if second:
        return tensor.flatten(2).transpose(1, 2)
    return tensor.reshape(len(tensor), -1, tensor.shape[-1])


def _folded(back: Tensor, sizes: torch.Size) -> Tensor:
    """(n, channels, ...) as (n, positions of ``sizes``, channels x tile): the tile that each
    position comes from, as strides have it."""
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
