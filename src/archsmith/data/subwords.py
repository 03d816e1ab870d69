"""Subwords by byte-pair encoding (Sennrich et al. 2016, arXiv:1508.07909).

Merges are learned over the characters of words, each word with the space before it, so that
subwords can be decoded to the original text.
"""

from __future__ import annotations

import heapq
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

#: Padding, start and end of a sentence, and unknown characters.
PAD, BEGIN, END, UNKNOWN = range(4)
_SPECIAL = 4
#: Text of an unknown character in :meth:`Subwords.decode`.
_UNKNOWN_TEXT = "\ufffd"
_WORD = re.compile(r" ?\w+| ?[^\w\s]")

Pair = tuple[str, str]


@dataclass(frozen=True)
class Subwords:
    """A vocabulary of subwords.

    Attributes:
        alphabet: the characters of the training texts, sorted.
        merges: pairs of adjacent subwords to merge, in order of priority.
        cased: whether case is kept.
    """

    alphabet: tuple[str, ...]
    merges: tuple[Pair, ...]
    cased: bool = False
    _pieces: list[str] = field(init=False, repr=False, compare=False)
    _places: dict[str, int] = field(init=False, repr=False, compare=False)
    _ranks: dict[Pair, int] = field(init=False, repr=False, compare=False)
    _known: dict[str, list[int]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Different merges may give the same subword, which has one index.
        pieces = list(dict.fromkeys([*self.alphabet, *(one + two for one, two in self.merges)]))
        places = {piece: place for place, piece in enumerate(pieces, start=_SPECIAL)}
        ranks = {pair: rank for rank, pair in enumerate(self.merges)}
        for name, value in (
            ("_pieces", pieces),
            ("_places", places),
            ("_ranks", ranks),
            ("_known", {}),
        ):
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        """The size of the vocabulary, including the special indices."""
        return _SPECIAL + len(self._pieces)

    def encode(self, text: str) -> list[int]:
        """Indices of the subwords of a text, followed by END."""
        indices = []
        for word in words_of(text, self.cased):
            if word not in self._known:
                self._known[word] = [self._places.get(p, UNKNOWN) for p in self._split_word(word)]
            indices += self._known[word]
        return [*indices, END]

    def decode(self, indices: Iterable[int]) -> str:
        """The text of indices, up to END; indices outside the vocabulary are shown as unknown."""
        pieces = []
        for index in indices:
            if index == END:
                break
            if index not in (PAD, BEGIN):
                inside = _SPECIAL <= index < len(self)
                pieces.append(self._pieces[index - _SPECIAL] if inside else _UNKNOWN_TEXT)
        return "".join(pieces).strip()

    def _split_word(self, word: str) -> list[str]:
        parts, last = list(word), len(self._ranks)
        while len(parts) > 1:
            ranks = [self._ranks.get(pair, last) for pair in pairwise(parts)]
            best = min(ranks)
            if best == last:
                break
            parts = _join_pair(parts, self.merges[best])
        return parts


def words_of(text: str, cased: bool = False) -> list[str]:
    """Words and punctuation marks, each with the space before it if there is one."""
    text = " ".join(text.split())
    return _WORD.findall(f" {text if cased else text.lower()}")


def learn_subwords(texts: Iterable[str], merges: int, cased: bool = False) -> Subwords:
    """Repeatedly merge the most frequent adjacent pair, until all remaining pairs occur once.

    Args:
        texts: of the training part only.
        merges: maximum number of subwords added to the characters.
    """
    counts = Counter(word for text in texts for word in words_of(text, cased))
    words = [list(word) for word in counts]
    frequencies = list(counts.values())
    pairs: Counter[Pair] = Counter()
    holders: defaultdict[Pair, set[int]] = defaultdict(set)
    for number, parts in enumerate(words):
        for pair in pairwise(parts):
            pairs[pair] += frequencies[number]
            holders[pair].add(number)
    queue = [(-count, pair) for pair, count in pairs.items()]
    heapq.heapify(queue)
    learned: list[Pair] = []
    while queue and len(learned) < merges:
        count, best = heapq.heappop(queue)
        if -count != pairs[best]:
            continue  # outdated: the new count has its own entry
        if -count < 2:
            break
        learned.append(best)
        affected: set[Pair] = set()
        for number in holders.pop(best):
            parts, words[number] = words[number], _join_pair(words[number], best)
            for sign, word in ((-1, parts), (1, words[number])):
                for pair in pairwise(word):
                    pairs[pair] += sign * frequencies[number]
                    affected.add(pair)
                    if sign > 0:
                        holders[pair].add(number)
        for pair in affected:
            if pairs[pair] > 0 and pair != best:
                heapq.heappush(queue, (-pairs[pair], pair))
    return Subwords(tuple(sorted({c for word in counts for c in word})), tuple(learned), cased)


def _join_pair(parts: Sequence[str], pair: Pair) -> list[str]:
    """The parts with each occurrence of the pair merged."""
    joined: list[str] = []
    place = 0
    while place < len(parts):
        both = tuple(parts[place : place + 2]) == pair
        joined.append(pair[0] + pair[1] if both else parts[place])
        place += 2 if both else 1
    return joined
