"""Which examples go into each step of an epoch."""

from __future__ import annotations

import torch
from torch import Tensor


def batches(order: Tensor, size: int) -> tuple[Tensor, ...]:
    """Indices in batches; a last batch of one joins the one before (BatchNorm needs two)."""
    if len(order) > size and len(order) % size == 1:
        *whole, last = torch.split(order[:-1], size)
        return (*whole, torch.cat([last, order[-1:]]))
    return torch.split(order, size)


def shuffled(index: Tensor, size: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Batches of the indices in random order; each index is in one of them."""
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
    """Batches of ``each`` examples of every class that is in them, for losses over pairs.

    The examples of a class are shuffled and cut into groups of ``each``, and the groups are dealt
    out so that no batch holds two of one class while there are enough others. What is left of a
    class over its last group waits for another epoch; a class with fewer than ``each`` gives what
    it has, from two examples on.

    Args:
        index: (n,) int64 indices that may be drawn.
        targets: class of every example, by index.
        size: examples a batch, about: a whole number of groups, two at least.
        each: examples of a class in a batch, 2 or more.
        groups: (classes,) a number for each class, such as that of its alphabet.
        together: share of the rounds through all classes in which those of one group follow each
            other, so that a batch holds classes that are hard to tell apart.

    Returns:
        Index tensors, all of ``size // each`` groups but perhaps the last.
    """
    mixed = index[torch.randperm(len(index), generator=generator)]
    labels = targets[mixed]
    order = torch.argsort(labels, stable=True)  # by class, shuffled within
    mixed, counts = mixed[order], torch.unique_consecutive(labels[order], return_counts=True)[1]
    dealt: list[tuple[int, float, Tensor]] = []
    for group in torch.split(mixed, counts.tolist()):
        per = min(each, len(group))
        if per < 2:
            continue
        pieces = torch.split(group[: len(group) // per * per], per)
        luck = torch.rand(len(pieces), generator=generator).tolist()
        dealt += zip(range(len(pieces)), luck, pieces, strict=True)
    if groups is not None and together:
        dealt = _neighbours(dealt, groups[targets.cpu()], together, generator)
    # Every class once before any comes twice: rounds keep groups of one class apart.
    dealt.sort(key=lambda item: item[:2])
    pieces = tuple(piece for _, _, piece in dealt)
    many = max(2, size // each)
    chunks = [list(pieces[start : start + many]) for start in range(0, len(pieces), many)]
    if len(chunks) > 1 and len(chunks[-1]) < 2:
        last = chunks.pop()
        chunks[-1] += last
    return tuple(torch.cat(chunk) for chunk in chunks)


def _neighbours(
    dealt: list[tuple[int, float, Tensor]],
    group: Tensor,
    together: float,
    generator: torch.Generator,
) -> list[tuple[int, float, Tensor]]:
    """The same, with places in some rounds that bring pieces of one group beside each other.

    Args:
        group: of every example, by index.
    """
    rounds = 1 + max((turn for turn, _, _ in dealt), default=-1)
    chosen = (torch.rand(rounds, generator=generator) < together).tolist()
    # A whole number of luck for each group and round, to which the pieces' own is added.
    kinds = int(group.max()) + 1
    order = torch.stack([torch.randperm(kinds, generator=generator) for _ in range(rounds)])
    return [
        (turn, luck + float(order[turn, group[piece[0]]]) * chosen[turn], piece)
        for turn, luck, piece in dealt
    ]
