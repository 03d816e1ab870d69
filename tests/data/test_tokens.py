"""Tokens learned from texts: the text comes back, whatever is in it."""

from __future__ import annotations

import importlib
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsmith._support.errors import MissingExtraError
from archsmith.data.tokens import BEGIN, END, PAD, UNKNOWN, Tokens, learn_tokens

#: The example of the paper of byte-pair encoding (figure 1).
TEXTS = ["low " * 5, "lower " * 2, "newest " * 6, "widest " * 3]


@given(st.text(max_size=30))
def test_a_text_comes_back(text: str):
    words = learn_tokens([text, "and more of it"], 20, cased=True)
    assert words.decode(words.encode(text)) == " ".join(text.split())


def test_frequent_words_become_one_token_and_the_same_ones_again():
    words = learn_tokens(TEXTS, 30)
    assert words.pieces(words.encode("Low newest lowest")) == [" low", " newest", " low", "est"]
    assert words.text == learn_tokens(TEXTS, 30).text
    assert learn_tokens(TEXTS, 3).text != words.text


def test_without_merges_tokens_are_characters():
    words = learn_tokens(TEXTS, 0)
    assert words.pieces(words.encode("low west")) == list(" low west")
    assert len(words) == 4 + len(set(" lowernstid"))


def test_special_and_unknown_tokens():
    words = learn_tokens(["ab ab ab"], 5)
    assert words.encode("") == [END]
    assert UNKNOWN in words.encode("ax")
    assert words.decode(words.encode("ax")) == "a\ufffd"
    assert words.decode([BEGIN, PAD, len(words) + 3, END, 4]) == "\ufffd"


def test_names_of_special_tokens_in_a_text_are_text():
    text = "a [PAD] b [END]"
    words = learn_tokens([text], 0, cased=True)
    assert words.encode(text).index(END) == len(text) + 1
    assert words.decode(words.encode(text)) == text


def test_the_file_is_all_there_is():
    words = learn_tokens(TEXTS, 8)
    for again in (Tokens(words.text), pickle.loads(pickle.dumps(words))):
        assert again.encode_all(TEXTS) == [words.encode(text) for text in TEXTS]
    from tokenizers import Tokenizer

    plain = Tokenizer.from_str(words.text).encode("Lower  newest")
    assert plain.ids == words.encode("lower newest")


def test_without_the_package_it_says_which_extra(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(MissingExtraError, match=r"pip install 'archsmith\[text\]'"):
        learn_tokens(TEXTS, 8)
