"""Which words of a text moved its answer: by how much the answer changes without each of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ..data.padding import trimmed
from ..data.tokens import END, PAD, UNKNOWN, Tokens


class Effect(NamedTuple):
    """A word, and how much of the answer's probability is owed to it: positive if it speaks for the
    answer, negative if it speaks against it."""

    word: str
    effect: float


@torch.no_grad()
def word_effects(
    run: Callable[[Tensor], Tensor], tokens: Tensor, answer: int, words: Tokens
) -> list[Effect]:
    """The effects of the words of a text, in order (occlusion, Zeiler and Fergus 2014,
    arXiv:1311.2901).

    Args:
        run: from tokens (n, length) to probabilities (n, classes).
        tokens: of the text, (length,).
        answer: the class whose probability counts.
    """
    text = trimmed(tokens[None])[0]
    inside = text[(text != END) & (text != PAD)]
    pieces = words.pieces(inside.tolist())
    begins = torch.tensor([piece.startswith(" ") or not i for i, piece in enumerate(pieces)])
    if not pieces:
        return []
    owners = begins.long().cumsum(0) - 1  # the word of each token
    count = int(owners[-1]) + 1
    variants = text.repeat(count + 1, 1)
    hidden = torch.zeros(variants.shape, dtype=torch.bool)
    hidden[1:, : len(inside)] = owners == torch.arange(count)[:, None]
    chances = run(variants.masked_fill(hidden.to(text.device), UNKNOWN))[:, answer].double().cpu()
    spelled = [""] * count
    for owner, piece in zip(owners.tolist(), pieces, strict=True):
        spelled[owner] += piece
    changes = (chances[0] - chances[1:]).tolist()
    return [Effect(word.strip(), change) for word, change in zip(spelled, changes, strict=True)]
