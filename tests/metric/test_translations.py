"""BLEU and chrF by sacrebleu, from what single sentences give to them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sacrebleu.metrics import BLEU, CHRF

from archsmith.metric.translations import bleu_counts, bleu_of, chrf, signature

SAID = ["The cat sat on the mat.", "A man, asleep!", "two dogs run", ""]
WANTED = ["The cat is on the mat.", "A man is asleep.", "Two dogs run fast .", "Nothing"]


def of(hypotheses: list[str], references: list[str]) -> float:
    return float(bleu_of(bleu_counts(hypotheses, references).sum(0)))


def test_sums_over_sentences_give_the_bleu_of_the_corpus():
    expected = BLEU().corpus_score(SAID, [WANTED]).score
    assert 0 < expected < 100
    assert of(SAID, WANTED) == pytest.approx(expected, rel=1e-9)
    assert chrf(SAID, WANTED) == pytest.approx(CHRF().corpus_score(SAID, [WANTED]).score)


def test_counts_by_hand():
    # 5 of 6 words, 3 of 5 pairs, 1 of 4 triples; of 3 quadruples none, which counts as a half.
    (counts,) = bleu_counts(["the cat sat on the mat"], ["the cat is on the mat"])
    assert counts.tolist() == [5, 3, 1, 0, 6, 5, 4, 3, 6, 6]
    by_hand = 100 * (5 / 6 * 3 / 5 * 1 / 4 * 0.5 / 3) ** 0.25
    assert float(bleu_of(counts)) == pytest.approx(by_hand)


def test_too_short_is_punished_and_case_counts():
    whole = "one two three four five six seven eight nine ten"
    assert of(["one two three four five"], [whole]) == pytest.approx(100 * math.exp(1 - 10 / 5))
    assert of([whole], [whole]) == pytest.approx(100)
    assert of([whole.upper()], [whole]) == 0.0


def test_many_sums_at_once_keep_their_shape():
    counts = bleu_counts(SAID, WANTED)
    drawn = np.stack([[counts[:2].sum(0), counts[1:].sum(0)], [counts.sum(0), counts[:3].sum(0)]])
    found = bleu_of(drawn.astype(float))
    assert found.shape == (2, 2)
    assert found[1, 0] == pytest.approx(of(SAID, WANTED))
    assert found[0, 0] == pytest.approx(of(SAID[:2], WANTED[:2]))


def test_without_sentences_there_is_nothing_right():
    assert bleu_counts([], []).shape == (0, 10)
    assert of([], []) == chrf([], []) == 0.0


def test_the_signature_says_how_it_is_done():
    assert signature().startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
