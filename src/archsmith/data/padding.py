"""Sequences of tokens of different lengths in one tensor, and batches that need little padding."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .batches import shuffled
from .tokens import PAD

#: Batches whose examples are sorted by length together: if all were, batches would not vary.
_BLOCK = 32


def padded(sequences: Sequence[Sequence[int]], width: int) -> Tensor:
    """Sequences as padded rows of one tensor, int64 (n, width)."""
    rows = [[*sequence, *[PAD] * (width - len(sequence))] for sequence in sequences]
    return torch.tensor(rows, dtype=torch.int64)


def trimmed(tokens: Tensor) -> Tensor:
    """The tokens without trailing columns that are padding in every row; at least one column."""
    used = (tokens != PAD).any(0).nonzero()
    return tokens[:, : int(used[-1]) + 1 if len(used) else 1]


def of_like_length(
    index: Tensor, lengths: Tensor, size: int, generator: torch.Generator
) -> Sequence[Tensor]:
    """Batches of examples of similar length, in random order, which need less padding.

    Args:
        index: (n,) int64 indices; each occurs once.
        lengths: of every example, by index.
        size: of a batch.
    """
    batches = shuffled(index, size, generator)
    order = torch.cat(list(batches))
    blocks = torch.split(order, _BLOCK * size)
    ordered = torch.cat([block[lengths[block].argsort(stable=True)] for block in blocks])
    drawn = torch.split(ordered, [len(batch) for batch in batches])
    return [drawn[i] for i in torch.randperm(len(drawn), generator=generator)]
