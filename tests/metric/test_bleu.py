from __future__ import annotations

import math

import pytest

from archsmith.metric.bleu import bleu, tokens_of


def test_by_hand_and_as_sacrebleu_has_it():
    # 5 of 6 words, 3 of 5 pairs, 1 of 4 triples; of 3 quadruples none, which counts as a half.
    by_hand = 100 * (5 / 6 * 3 / 5 * 1 / 4 * 0.5 / 3) ** 0.25
    found = bleu(["the cat sat on the mat"], ["the cat is on the mat"])
    assert found == pytest.approx(by_hand)
    assert found == pytest.approx(37.9918, abs=1e-4)


def test_a_word_counts_as_often_as_the_reference_has_it():
    # Section 2.1 of the paper: 2 of 7. Nothing longer matches.
    by_hand = 100 * (2 / 7 * (1 / 2) / 6 * (1 / 4) / 5 * (1 / 8) / 4) ** 0.25
    found = bleu(["the the the the the the the"], ["The cat is on the mat."])
    assert found == pytest.approx(by_hand)


def test_counts_are_those_of_the_whole_corpus():
    one, two = ("a b c d e", "a b c d e"), ("a b c x y z", "a b c d e f")
    by_hand = 100 * (8 / 11 * 6 / 9 * 4 / 7 * 2 / 5) ** 0.25
    found = bleu([one[0], two[0]], [one[1], two[1]])
    assert found == pytest.approx(by_hand)
    assert found != pytest.approx((bleu([one[0]], [one[1]]) + bleu([two[0]], [two[1]])) / 2)


def test_too_short_is_punished_and_too_long_is_not_praised():
    whole = "one two three four five six seven eight nine ten"
    assert bleu(["one two three four five"], [whole]) == pytest.approx(100 * math.exp(1 - 10 / 5))
    assert bleu([whole], ["one two three four five"]) < 100


@pytest.mark.parametrize("text", ["a", "a b", "A man, asleep.", "a b c d e f"])
def test_the_reference_itself_is_100(text):
    assert bleu([text, text], [text, text]) == pytest.approx(100)
    assert bleu([text.upper()], [text]) == pytest.approx(100)


@pytest.mark.parametrize("texts", [[""], ["x y"], []])
def test_nothing_right_is_0(texts):
    assert bleu(texts, ["a b c"] * len(texts)) == 0.0


def test_punctuation_stands_alone():
    assert tokens_of("Don't stop, Über-Mann!") == [
        *["don", "'", "t", "stop", ",", "über", "-", "mann", "!"]
    ]
