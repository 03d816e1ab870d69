"""BLEU of a corpus (Papineni et al. 2002, https://aclanthology.org/P02-1040)."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

#: Length of the longest n-grams.
ORDER = 4
_TOKEN = re.compile(r"\w+|[^\w\s]")


def tokens_of(text: str) -> list[str]:
    """Words and punctuation marks; spaces and case are ignored."""
    return _TOKEN.findall(text.lower())


def bleu(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """BLEU-4 of texts against one reference each, 0 to 100.

    Texts are lower-cased and split into words and punctuation marks, so the value is only
    comparable with others computed that way. A precision without a match counts as one half, one
    quarter, ... of a match, as in NIST's mteval (method 3 of Chen and Cherry 2014,
    https://aclanthology.org/W14-3346); otherwise a model that begins to learn would have 0. If all
    four precisions are above 0, the value is that of the paper.

    Example:
        >>> bleu(["the cat sat on the mat"], ["the cat sat on the mat"])
        100.0
    """
    matches, totals = [0] * ORDER, [0] * ORDER
    length = reference_length = 0
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        tokens, reference_tokens = tokens_of(hypothesis), tokens_of(reference)
        length, reference_length = length + len(tokens), reference_length + len(reference_tokens)
        for n in range(1, ORDER + 1):
            counts, reference_counts = _ngrams(tokens, n), _ngrams(reference_tokens, n)
            matches[n - 1] += (counts & reference_counts).total()
            totals[n - 1] += counts.total()
    if not matches[0]:
        return 0.0
    logs, missed = [], 1.0
    for match, total in zip(matches, totals, strict=True):
        if not total:
            continue  # no hypothesis is that long
        missed *= 1.0 if match else 0.5
        logs.append(math.log((match or missed) / total))
    brevity = min(0.0, 1.0 - reference_length / length)
    return 100.0 * math.exp(brevity + sum(logs) / len(logs))


def _ngrams(tokens: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(tokens[start:] for start in range(n))))
