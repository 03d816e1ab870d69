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
    """Read a text and its alphabet, see :func:`raw_text`.

    Raises:
        DataError: it cannot be read.
    """
    text = raw_text(path)
    alphabet = alphabet_of(text)
    return Text(path.name.partition(".")[0], coded(text, alphabet), tuple(alphabet))


def raw_text(path: Path) -> str:
    """A plain text file in UTF-8, optionally compressed by gzip; of a folder the text files in it,
    by name, with an empty line between them.

    Raises:
        DataError: no text file, or one that cannot be read, is not UTF-8, or is empty.
    """
    if path.is_dir():
        files = text_files(path)
        if not files:
            raise DataError(str(path), f"text files ({', '.join(SUFFIXES)})", "none in the folder")
        return "\n\n".join(map(raw_text, files))
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(str(path), "a text file in UTF-8", str(error)) from error
    if not text.strip():
        raise DataError(str(path), "a text", "an empty file")
    return text


def text_files(folder: Path) -> list[Path]:
    """The text files that lie directly in a folder, by name."""
    return sorted(p for p in folder.iterdir() if p.name.lower().endswith(SUFFIXES) and p.is_file())


def alphabet_of(text: str, other: str = "") -> list[str]:
    """The characters of a text, the most frequent first; with an unknown character for the rarest
    of more than :data:`LARGEST`, and for those of another text that are none of them."""
    counts = Counter(text)
    ranked = sorted(counts, key=lambda c: (-counts[c], c))
    kept = ranked if len(ranked) <= LARGEST else ranked[: LARGEST - 1]
    unknown = len(kept) < len(ranked) or not set(other) <= set(kept)
    return [*kept, UNKNOWN] if unknown and UNKNOWN not in kept else kept


def coded(text: str, alphabet: Sequence[str]) -> NDArray[np.int64]:
    """Indices into the alphabet, (characters,); other characters become the unknown character, or
    the last one if the alphabet has none."""
    place = {character: index for index, character in enumerate(alphabet)}
    other = place.get(UNKNOWN, len(alphabet) - 1)
    return np.array([place.get(character, other) for character in text], dtype=np.int64)
