"""Subwords by byte-pair encoding (Sennrich et al. 2016, arXiv:1508.07909).

Merges are learned over characters of words, each word with the space before it, so that texts come
back from their subwords as they were.
"""

from __future__ import annotations

import heapq
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

#: Fills up shorter sentences, starts a sentence, ends one, and stands for unseen characters.
PAD, BEGIN, END, UNKNOWN = range(4)
_SPECIAL = 4
#: What :meth:`Subwords.decode` shows of an unseen character.
_UNSEEN = "\ufffd"
_WORD = re.compile(r" ?\w+| ?[^\w\s]")

Pair = tuple[str, str]


@dataclass(frozen=True)
class Subwords:
    """A vocabulary of subwords.

    Attributes:
        alphabet: the characters of the training texts, sorted.
        merges: pairs of neighbours that become one subword, the first to be merged first.
        cased: whether capitals are kept.
    """

    alphabet: tuple[str, ...]
    merges: tuple[Pair, ...]
    cased: bool = False
    _pieces: list[str] = field(init=False, repr=False, compare=False)
    _places: dict[str, int] = field(init=False, repr=False, compare=False)
    _ranks: dict[Pair, int] = field(init=False, repr=False, compare=False)
    _known: dict[str, list[int]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Two ways of merging may lead to one subword; it has one index.
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
        """How many indices there are, the special ones included."""
        return _SPECIAL + len(self._pieces)

    def encode(self, text: str) -> list[int]:
        """Indices of the subwords of a text, and the end."""
        found = []
        for word in words_of(text, self.cased):
            if word not in self._known:
                self._known[word] = [self._places.get(p, UNKNOWN) for p in self._merged(word)]
            found += self._known[word]
        return [*found, END]

    def decode(self, indices: Iterable[int]) -> str:
        """The text of indices, up to the end; indices beyond the vocabulary are unseen."""
        found = []
        for index in indices:
            if index == END:
                break
            if index not in (PAD, BEGIN):
                inside = _SPECIAL <= index < len(self)
                found.append(self._pieces[index - _SPECIAL] if inside else _UNSEEN)
        return "".join(found).strip()

    def _merged(self, word: str) -> list[str]:
        parts, last = list(word), len(self._ranks)
        while len(parts) > 1:
            ranks = [self._ranks.get(pair, last) for pair in pairwise(parts)]
            best = min(ranks)
            if best == last:
                break
            parts = _joined(parts, self.merges[best])
        return parts


def words_of(text: str, cased: bool = False) -> list[str]:
    """Words and signs of punctuation, each with the space before it where there is one."""
    text = " ".join(text.split())
    return _WORD.findall(f" {text if cased else text.lower()}")


def learn_subwords(texts: Iterable[str], merges: int, cased: bool = False) -> Subwords:
    """Merge the most frequent pair of neighbours, so many times or until all pairs are rare.

    Args:
        texts: of the training part alone.
        merges: how many subwords are added to the characters, at most.
    """
    counts = Counter(word for text in texts for word in words_of(text, cased))
    words = [list(word) for word in counts]
    often = list(counts.values())
    pairs: Counter[Pair] = Counter()
    holders: defaultdict[Pair, set[int]] = defaultdict(set)
    for place, parts in enumerate(words):
        for pair in pairwise(parts):
            pairs[pair] += often[place]
            holders[pair].add(place)
    queue = [(-count, pair) for pair, count in pairs.items()]
    heapq.heapify(queue)
    found: list[Pair] = []
    while queue and len(found) < merges:
        count, best = heapq.heappop(queue)
        if -count != pairs[best]:
            continue  # it has changed since; the new count has an entry of its own
        if -count < 2:
            break
        found.append(best)
        changed: set[Pair] = set()
        for place in holders.pop(best):
            parts, words[place] = words[place], _joined(words[place], best)
            for sign, now in ((-1, parts), (1, words[place])):
                for pair in pairwise(now):
                    pairs[pair] += sign * often[place]
                    changed.add(pair)
                    if sign > 0:
                        holders[pair].add(place)
        for pair in changed:
            if pairs[pair] > 0 and pair != best:
                heapq.heappush(queue, (-pairs[pair], pair))
    return Subwords(tuple(sorted({c for word in counts for c in word})), tuple(found), cased)


def _joined(parts: Sequence[str], pair: Pair) -> list[str]:
    """The parts with each such pair of neighbours as one."""
    found: list[str] = []
    place = 0
    while place < len(parts):
        both = tuple(parts[place : place + 2]) == pair
        found.append(pair[0] + pair[1] if both else parts[place])
        place += 2 if both else 1
    return found
