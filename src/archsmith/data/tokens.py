"""Subwords and characters, learned from texts by the package ``tokenizers``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

from .._support.extras import require

#: Padding, start and end of a text, and unknown characters.
PAD, BEGIN, END, UNKNOWN = range(4)
_SPECIAL = ["[PAD]", "[BEGIN]", "[END]", "[UNKNOWN]"]
#: Text of an unknown character in :meth:`Tokens.decode`.
_UNKNOWN_TEXT = "\ufffd"
#: Python counts the separators U+001C to U+001F as white space; the package does not.
_SPACES = r"[\s\x1c-\x1f]+"
_WORD = r" ?\w+| ?[^\w\s]"


class Tokens:
    """A vocabulary of subwords, made by byte-pair encoding (Sennrich et al. 2016,
    arXiv:1508.07909) of words, each with the space before it.

    Args:
        text: its ``tokenizer.json``, which the package ``tokenizers`` reads on its own, too.

    Raises:
        MissingExtraError: the package is not installed.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._tokenizer = tokenizers().Tokenizer.from_str(text)
        # A text may contain the name of a special token; the setting is not kept in the file.
        self._tokenizer.encode_special_tokens = True

    def __len__(self) -> int:
        """The size of the vocabulary, including the special tokens."""
        size: int = self._tokenizer.get_vocab_size()
        return size

    def __reduce__(self) -> tuple[Any, ...]:
        return Tokens, (self.text,)

    def encode(self, text: str) -> list[int]:
        """Indices of the tokens of a text, followed by END."""
        return self.encode_all([text])[0]

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        """As :meth:`encode`, for many texts, which is faster."""
        return [found.ids for found in self._tokenizer.encode_batch(list(texts))]

    def decode(self, indices: Iterable[int]) -> str:
        """The text of indices, up to END; indices outside the vocabulary are shown as unknown."""
        return "".join(self.pieces(indices)).strip()

    def pieces(self, indices: Iterable[int]) -> list[str]:
        """The text of each index, up to END; a word begins with a space."""
        pieces = []
        for index in indices:
            if index == END:
                break
            if index not in (PAD, BEGIN):
                piece = self._tokenizer.id_to_token(index) if index >= len(_SPECIAL) else None
                pieces.append(_UNKNOWN_TEXT if piece is None else piece)
        return pieces


def cut(tokens: Sequence[int], length: int) -> list[int]:
    """The tokens, those of a longer text up to ``length`` with END as the last."""
    return [*tokens] if len(tokens) <= length else [*tokens[: length - 1], END]


def learn_tokens(texts: Iterable[str], merges: int, cased: bool = False) -> Tokens:
    """Repeatedly merge the most frequent adjacent pair, until all remaining pairs occur once.

    Runs of white space become one space; characters that the texts do not contain are unknown.

    Args:
        texts: of the training part only.
        merges: maximum number of subwords added to the characters; with 0 there are only these.
        cased: whether case is kept.

    Raises:
        MissingExtraError: the package ``tokenizers`` is not installed.
    """
    package = tokenizers()
    steps = package.normalizers
    tokenizer = package.Tokenizer(package.models.BPE(unk_token=_SPECIAL[UNKNOWN]))
    tokenizer.normalizer = steps.Sequence(
        [steps.Replace(package.Regex(_SPACES), " "), steps.Strip()]
        + [steps.Lowercase()] * (not cased)
        + [steps.Prepend(" ")]
    )
    words = package.pre_tokenizers.Split(package.Regex(_WORD), "isolated")
    tokenizer.pre_tokenizer = words
    plain = [tokenizer.normalizer.normalize_str(text) for text in texts]
    alphabet = {character for text in plain for character in text}
    trainer = package.trainers.BpeTrainer(
        vocab_size=len(_SPECIAL) + len(alphabet) + merges,
        min_frequency=2,
        special_tokens=_SPECIAL,
        show_progress=False,
    )
    tokenizer.train_from_iterator(plain, trainer)
    tokenizer.post_processor = package.processors.TemplateProcessing(
        single=f"$A {_SPECIAL[END]}", special_tokens=[(_SPECIAL[END], END)]
    )
    parts = package.decoders
    tokenizer.decoder = parts.Sequence([parts.Fuse(), parts.Strip(" ", 1, 0)])
    return Tokens(tokenizer.to_str())


def tokenizers() -> Any:
    """The package of this name.

    Raises:
        MissingExtraError: it is not installed.
    """
    # Its threads would make a later fork of the process warn, and trials use the other cores.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    return require("tokenizers", "text", "texts as tokens")
