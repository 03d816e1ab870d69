"""A small tower for short texts: the mean of word embeddings (loads torch)."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..._support.errors import InputError


def words_of(text: str) -> list[str]:
    """Letters and digits in lower case, split at everything else."""
    return re.findall(r"\w+", text.casefold())


class WordTower(nn.Module):
    """Texts to rows (n, width): the mean of embeddings of their words, then one hidden layer.

    The order of words is ignored (a deep averaging network, Iyyer et al. 2015). Words that are
    not in the vocabulary are skipped.

    Args:
        texts: their words are the vocabulary.
        width: of embeddings and of the output.

    Raises:
        InputError: no words, or a width below 1.
    """

    def __init__(self, texts: Sequence[str], width: int = 64) -> None:
        super().__init__()
        self.vocabulary = sorted({word for text in texts for word in words_of(text)})
        if not self.vocabulary or width < 1:
            raise InputError("word tower", "texts with words, and a width of 1 or more", str(width))
        self._places = {word: place for place, word in enumerate(self.vocabulary)}
        self.mean = nn.EmbeddingBag(len(self.vocabulary), width, mode="mean")
        self.read = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, texts: Sequence[str]) -> Tensor:
        """Rows for texts, (n, width).

        Raises:
            InputError: a text without a known word.
        """
        places = [[self._places[w] for w in words_of(t) if w in self._places] for t in texts]
        for text, own in zip(texts, places, strict=True):
            if not own:
                expected = "a text with one word or more of the vocabulary"
                raise InputError("word tower", expected, repr(text))
        flat = torch.tensor([place for own in places for place in own])
        starts = torch.tensor([0, *(len(own) for own in places[:-1])]).cumsum(0)
        place = self.mean.weight.device
        out: Tensor = self.mean(flat.to(place), starts.to(place))
        read: Tensor = self.read(out)
        return out + read
