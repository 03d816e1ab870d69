"""Composing the batches of an epoch."""

from __future__ import annotations

import torch
from torch import Tensor


def batches(order: Tensor, size: int) -> tuple[Tensor, ...]:
    """Split indices into batches; a final batch of one joins the previous (BatchNorm needs two)."""
    if len(order) > size and len(order) % size == 1:
        *whole, last = torch.split(order[:-1], size)
        return (*whole, torch.cat([last, order[-1:]]))
    return torch.split(order, size)


def shuffled(index: Tensor, size: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Batches of the indices in random order; each index occurs once."""
    return batches(index[torch.randperm(len(index), generator=generator)], size)


def balanced(
    index: Tensor,
    targets: Tensor,
    size: int,
    each: int,
    generator: torch.Generator,
    groups: Tensor | None = None,
    together: float = 0.0,
) -> tuple[Tensor, ...]:
    """Batches with ``each`` examples of every class in them, for losses over pairs.

    The examples of a class are shuffled and split into pieces of ``each``, and the pieces are
    distributed so that no batch has two of one class while there are enough other classes. The
    remainder of a class is left for another epoch; a class with fewer than ``each`` examples gives
    all of them, if it has at least two.

    Args:
        index: (n,) int64 indices to draw from.
        targets: class of every example, by index.
        size: approximate batch size: a whole number of pieces, at least two.
        each: examples per class in a batch, 2 or more.
        groups: (classes,) the group of each class, such as its alphabet.
        together: share of the rounds through all classes in which classes of a group are adjacent,
            so that a batch has classes that are hard to distinguish.

    Returns:
        Index tensors of ``size // each`` pieces, except perhaps the last.
    """
    mixed = index[torch.randperm(len(index), generator=generator)]
    labels = targets[mixed]
    order = torch.argsort(labels, stable=True)  # by class, shuffled within
    mixed, counts = mixed[order], torch.unique_consecutive(labels[order], return_counts=True)[1]
    ranked: list[tuple[int, float, Tensor]] = []
    for group in torch.split(mixed, counts.tolist()):
        group_size = min(each, len(group))
        if group_size < 2:
            continue
        pieces = torch.split(group[: len(group) // group_size * group_size], group_size)
        keys = torch.rand(len(pieces), generator=generator).tolist()
        ranked += zip(range(len(pieces)), keys, pieces, strict=True)
    if groups is not None and together:
        ranked = _cluster_groups(ranked, groups[targets.cpu()], together, generator)
    # Every class occurs once before any occurs twice, which separates pieces of one class.
    ranked.sort(key=lambda item: item[:2])
    pieces = tuple(piece for _, _, piece in ranked)
    groups_per_batch = max(2, size // each)
    chunks = [
        list(pieces[start : start + groups_per_batch])
        for start in range(0, len(pieces), groups_per_batch)
    ]
    if len(chunks) > 1 and len(chunks[-1]) < 2:
        last = chunks.pop()
        chunks[-1] += last
    return tuple(torch.cat(chunk) for chunk in chunks)


def _cluster_groups(
    ranked: list[tuple[int, float, Tensor]],
    group: Tensor,
    together: float,
    generator: torch.Generator,
) -> list[tuple[int, float, Tensor]]:
    """The same pieces, with keys that make pieces of one group adjacent in some rounds.

    Args:
        group: of every example, by index.
    """
    rounds = 1 + max((round_ for round_, _, _ in ranked), default=-1)
    chosen = (torch.rand(rounds, generator=generator) < together).tolist()
    # A random integer for each group and round, to which the key of each piece is added.
    group_count = int(group.max()) + 1
    order = torch.stack([torch.randperm(group_count, generator=generator) for _ in range(rounds)])
    return [
        (round_, key + float(order[round_, group[piece[0]]]) * chosen[round_], piece)
        for round_, key, piece in ranked
    ]
