"""Texts as numbers: a file of plain text and its alphabet."""

from __future__ import annotations

import gzip
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .._support.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SUFFIXES = (".txt", ".text", ".txt.gz")
#: Maximum size of an alphabet; rarer characters become the unknown character.
LARGEST = 1024
#: Replaces every character outside the alphabet.
UNKNOWN = "\ufffd"


@dataclass(frozen=True)
class Text:
    """A text and its alphabet.

    Attributes:
        codes: int64 (characters,), indices into ``alphabet``.
        alphabet: single characters, the most frequent first.
    """

    name: str
    codes: NDArray[np.int64]
    alphabet: tuple[str, ...]


def read_text(path: Path) -> Text:
    """Read a plain text file in UTF-8, optionally compressed by gzip.

    Raises:
        DataError: the file cannot be read, is not UTF-8, or is empty.
    """
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(str(path), "a text file in UTF-8", str(error)) from error
    if not text.strip():
        raise DataError(str(path), "a text", "an empty file")
    counts = Counter(text)
    ranked = sorted(counts, key=lambda c: (-counts[c], c))
    alphabet = ranked if len(ranked) <= LARGEST else [*ranked[: LARGEST - 1], UNKNOWN]
    return Text(path.name.partition(".")[0], coded(text, alphabet), tuple(alphabet))


def coded(text: str, alphabet: Sequence[str]) -> NDArray[np.int64]:
    """Indices into the alphabet, (characters,); other characters become the unknown character, or
    the last one if the alphabet has none."""
    place = {character: index for index, character in enumerate(alphabet)}
    other = place.get(UNKNOWN, len(alphabet) - 1)
    return np.array([place.get(character, other) for character in text], dtype=np.int64)
