"""The components of AZ-NAS that look at blocks (Lee & Ham 2024, AZ-NAS: Assembling Zero-Cost
Proxies for Network Architecture Search, arXiv:2403.19232)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .base import Proxy
from .layers import NORMS, TABLES, channels_last, first_tensor, kaiming
from .passes import Passes, gradient

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
        return float(sum(_entropies(passes, self)))


class Progressivity(Proxy):
    """Smallest growth of that entropy from a block to the next."""

    name = "progressivity"
    smallest = 2

    def value(self, passes: Passes) -> float:
        return float(min(after - before for before, after in pairwise(_entropies(passes, self))))


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
        scores: list[float] = _read(passes, self)["trainability"]
        if not scores:
            raise self.refuse("blocks that follow upon each other", "none that do")
        return sum(scores) / len(scores)


def _entropies(passes: Passes, proxy: Proxy) -> list[float]:
    found: list[float] = _read(passes, proxy)["entropies"]
    return found


def _read(passes: Passes, proxy: Proxy) -> dict[str, Any]:
    """Entropies (blocks,) and trainability (blocks that follow a block,); one pass for all."""
    if "blocks" not in passes.told:
        features = _features(passes, proxy)
        passes.told["blocks"] = {
            "entropies": [_entropy(tensor.detach()) for _, tensor in features],
            "trainability": _backwards(passes, features),
        }
    found: dict[str, Any] = passes.told["blocks"]
    return found


def _features(passes: Passes, proxy: Proxy) -> list[tuple[Tensor, Tensor]]:
    """Raw outputs of the blocks and the same as (n, positions, channels)."""
    model, most, before = passes.fresh(), list[tuple[Tensor, Tensor]](), 0
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


def _run(passes: Passes, model: nn.Module, blocks: list[nn.Module]) -> list[tuple[Tensor, Tensor]]:
    """One pass; the model's own output, if the last block gives it, is no feature."""
    seen: list[tuple[Tensor, Tensor]] = []

    def keep(module: nn.Module, _: Any, output: Any) -> Any:
        tensor = first_tensor(output)
        if tensor is None or tensor.dim() < 2 or not tensor.is_floating_point():
            return None
        seen.append((tensor, channels_last(module, tensor)))
        return tensor.clone() if isinstance(output, Tensor) else None

    for block in blocks:
        block.register_forward_hook(keep)
    with passes.running():
        kaiming(model)
        final = first_tensor(model(passes.noise()))
    if seen and final is not None and final.shape == seen[-1][0].shape:
        with torch.no_grad():
            if torch.equal(final, seen[-1][0]):
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


def _backwards(passes: Passes, features: list[tuple[Tensor, Tensor]]) -> list[float]:
    scores = []
    with passes.running():
        for (before, _), (after, _) in reversed(list(pairwise(features))):
            signs = torch.randint(0, 2, after.shape).to(after) * 2 - 1
            (back,) = _slope(after, before, signs)
            if back.shape == signs.shape and torch.equal(back, signs):
                scores.append(_DEAD)
                continue
            matrix = _matrix(back, signs)
            if matrix is not None:
                largest = torch.linalg.matrix_norm(matrix, ord=2).item()
                scores.append(2 - largest - 1 / (largest + _SMALL))
    return scores


def _slope(after: Tensor, before: Tensor, signs: Tensor) -> list[Tensor]:
    return gradient(after, [before], grad_outputs=signs, retain_graph=True)


def _matrix(back: Tensor, sent: Tensor) -> Tensor | None:
    """Mean over positions of the products of channels, (channels before, channels after)."""
    if back.dim() == sent.dim() == 4:
        stride = back.shape[2] // sent.shape[2]
        if stride > 1:
            height, width = (stride * size for size in sent.shape[2:])
            back = F.pixel_unshuffle(back[:, :, :height, :width], stride)
        if back.shape[2:] != sent.shape[2:]:
            return None
        back, sent = (t.flatten(2).transpose(1, 2).flatten(0, 1) for t in (back, sent))
    elif back.shape[:-1] == sent.shape[:-1]:
        back, sent = back.flatten(0, -2), sent.flatten(0, -2)
    elif sent.dim() == 2 and len(back) == len(sent):
        back = back.flatten(1)
    else:
        return None
    return back.T @ sent / len(sent)
