"""BLEU of a corpus (Papineni et al. 2002, https://aclanthology.org/P02-1040)."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

#: Longest n-grams that are compared.
ORDER = 4
_TOKEN = re.compile(r"\w+|[^\w\s]")


def tokens_of(text: str) -> list[str]:
    """Words and signs of punctuation; spaces and capitals are no matter."""
    return _TOKEN.findall(text.lower())


def bleu(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """BLEU-4 of texts against one reference each, 0 to 100.

    Texts are lower-cased and cut into words and signs of punctuation, so the figure compares with
    others of that kind alone. A precision of no match counts as one half, one quarter, ... of a
    match, as in NIST's mteval (method 3 of Chen and Cherry 2014,
    https://aclanthology.org/W14-3346): without that, a model that begins to learn has 0. Where all
    four precisions are above 0, the value is the paper's.
    """
    matches, totals = [0] * ORDER, [0] * ORDER
    length = wanted = 0
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        given, truth = tokens_of(hypothesis), tokens_of(reference)
        length, wanted = length + len(given), wanted + len(truth)
        for n in range(1, ORDER + 1):
            found, there = _ngrams(given, n), _ngrams(truth, n)
            matches[n - 1] += (found & there).total()
            totals[n - 1] += found.total()
    if not matches[0]:
        return 0.0
    logs, missed = [], 1.0
    for match, total in zip(matches, totals, strict=True):
        if not total:
            continue  # no hypothesis is so long
        missed *= 1.0 if match else 0.5
        logs.append(math.log((match or missed) / total))
    brevity = min(0.0, 1.0 - wanted / length)
    return 100.0 * math.exp(brevity + sum(logs) / len(logs))


def _ngrams(tokens: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(tokens[start:] for start in range(n))))
