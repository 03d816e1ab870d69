"""Texts as tokens and back without loss: characters, or subwords of bytes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from .._support.errors import unknown
from .text import UNKNOWN, alphabet_of, coded
from .tokens import tokenizers


class Coding(ABC):
    """A vocabulary that a text is coded with."""

    @property
    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """JSON values that :func:`coding_of` makes it of again; ``vocabulary`` is its size."""

    @property
    @abstractmethod
    def characters(self) -> Tensor:
        """How many characters begin in each token, int64 (vocabulary,)."""

    @property
    def never(self) -> tuple[int, ...]:
        """Tokens that are no text."""
        return ()

    @abstractmethod
    def encode(self, text: str) -> Tensor:
        """The tokens of a text, int64 (t,).

        Raises:
            UnknownNameError: a character that cannot be coded.
        """

    @abstractmethod
    def decode(self, tokens: Iterable[int]) -> str:
        """The text of tokens."""


class Characters(Coding):
    """Each character of an alphabet is a token."""

    def __init__(self, alphabet: list[str]) -> None:
        self.alphabet = alphabet

    @property
    def facts(self) -> dict[str, Any]:
        return {"alphabet": self.alphabet, "vocabulary": len(self.alphabet)}

    @property
    def characters(self) -> Tensor:
        return torch.ones(len(self.alphabet), dtype=torch.int64)

    @property
    def never(self) -> tuple[int, ...]:
        return (self.alphabet.index(UNKNOWN),) if UNKNOWN in self.alphabet else ()

    def encode(self, text: str) -> Tensor:
        if not self.never:
            for character in sorted(set(text) - set(self.alphabet)):
                raise unknown("character", character, sorted(self.alphabet))
        return torch.from_numpy(coded(text, self.alphabet))

    def decode(self, tokens: Iterable[int]) -> str:
        return "".join(self.alphabet[token] for token in tokens)


class ByteSubwords(Coding):
    """Byte-pair encoding of the bytes of UTF-8 (Radford et al. 2019), by ``tokenizers``.

    Args:
        text: its ``tokenizer.json``.

    Raises:
        MissingExtraError: the package is not installed.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._tokenizer = tokenizers().Tokenizer.from_str(text)

    @property
    def facts(self) -> dict[str, Any]:
        return {"tokenizer": self.text, "vocabulary": self._tokenizer.get_vocab_size()}

    @property
    def characters(self) -> Tensor:
        # The package writes a byte as itself if that is a visible character of Latin-1.
        seen = [*range(33, 127), *range(161, 173), *range(174, 256)]
        hidden = [byte for byte in range(256) if byte not in seen]
        bytes_of = {chr(b): b for b in seen} | {chr(256 + n): b for n, b in enumerate(hidden)}
        counts = [0] * self._tokenizer.get_vocab_size()
        for token, place in self._tokenizer.get_vocab().items():
            counts[place] = sum(bytes_of[c] & 0xC0 != 0x80 for c in token)
        return torch.tensor(counts)

    def encode(self, text: str) -> Tensor:
        return torch.tensor(self._tokenizer.encode(text).ids, dtype=torch.int64)

    def decode(self, tokens: Iterable[int]) -> str:
        text: str = self._tokenizer.decode(list(tokens))
        return text


def learn_characters(text: str, later: str) -> Characters:
    """The characters of the training text; with an unknown one if a later text has others."""
    return Characters(alphabet_of(text, later))


def learn_bytes(text: str, vocabulary: int) -> ByteSubwords:
    """Subwords of the training text.

    Args:
        vocabulary: number of tokens: 256 bytes, and merges of the most frequent pairs.

    Raises:
        MissingExtraError: the package ``tokenizers`` is not installed.
    """
    package = tokenizers()
    tokenizer = package.Tokenizer(package.models.BPE())
    tokenizer.pre_tokenizer = package.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = package.decoders.ByteLevel()
    trainer = package.trainers.BpeTrainer(
        vocab_size=vocabulary,
        initial_alphabet=package.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([text], trainer)
    return ByteSubwords(tokenizer.to_str())


def coding_of(facts: Mapping[str, Any]) -> Coding:
    """The vocabulary from the facts of the data."""
    if "tokenizer" in facts:
        return ByteSubwords(facts["tokenizer"])
    return Characters(facts["alphabet"])
