"""BLEU (Papineni et al. 2002, https://aclanthology.org/P02-1040) and chrF (Popović 2015,
https://aclanthology.org/W15-3049) of translations, by the package ``sacrebleu`` (Post 2018,
arXiv:1804.08771) with its default settings, so that values can be compared with others'."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._support.extras import require

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ORDER = 4


def bleu_counts(hypotheses: Sequence[str], references: Sequence[str]) -> NDArray[np.int64]:
    """What each sentence gives to BLEU, int64 (n, 10): its n-grams that the reference has (four
    orders), its n-grams, its words, and those of the reference.

    Raises:
        MissingExtraError: the package ``sacrebleu`` is not installed.
    """
    metric = _metrics().BLEU(effective_order=True)  # for single sentences; counts are the same
    rows = []
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        one = metric.sentence_score(hypothesis, [reference])
        rows.append([*one.counts, *one.totals, one.sys_len, one.ref_len])
    return np.array(rows, dtype=np.int64).reshape(len(rows), 2 * _ORDER + 2)


def bleu_of(counts: NDArray[Any]) -> NDArray[np.float64]:
    """BLEU (...,), 0 to 100, of sums (..., 10) of what sentences give to it.

    An order without a match counts as half a match, the next one as a quarter, and so on.
    """
    compute = _metrics().BLEU.compute_bleu
    flat = np.asarray(counts).reshape(-1, 2 * _ORDER + 2).astype(np.int64).tolist()
    values = [
        compute(row[:_ORDER], row[_ORDER:-2], *row[-2:], smooth_method="exp").score for row in flat
    ]
    return np.array(values, dtype=np.float64).reshape(np.shape(counts)[:-1])


def chrf(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """chrF of texts against one reference each, 0 to 100; 0 without texts."""
    if not hypotheses:
        return 0.0
    value: float = _metrics().CHRF().corpus_score(list(hypotheses), [list(references)]).score
    return value


def signature() -> str:
    """The settings of BLEU in the form that papers quote."""
    metric = _metrics().BLEU()
    metric.corpus_score([""], [[""]])  # the number of references is known afterwards
    return str(metric.get_signature())


def _metrics() -> Any:
    return require("sacrebleu.metrics", "text", "translation", "sacrebleu")
