"""Pairs of sentences from tables, and the subwords that are learned from them."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsmith._support.errors import DataError, UnknownNameError
from archsmith.data.sentences import read_pairs
from archsmith.data.subwords import END, UNKNOWN, Subwords, learn_subwords, words_of

TEXTS = ["low " * 5, "lower " * 2, "newest " * 6, "widest " * 3]


def table(folder: Path, rows: list[str], header: str = "split,de,en") -> Path:
    path = folder / "pairs.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


ROWS = ["train,ein hund,a dog", "train,eine katze,a cat", "val,ein haus,a house", "test_a,x,y"]


def test_merges_are_those_of_the_paper():
    # Its example (figure 1); of equally frequent pairs the first one by letters goes first.
    merges = learn_subwords(TEXTS, 8).merges
    assert merges[:2] == (("e", "s"), ("es", "t"))
    assert {" low", "est"} <= {one + two for one, two in merges}


def plainly(texts: list[str], merges: int) -> list[tuple[str, str]]:
    """The same by counting all pairs anew after each merge."""
    words = Counter(tuple(word) for text in texts for word in words_of(text))
    found: list[tuple[str, str]] = []
    while len(found) < merges:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, count in words.items():
            for pair in pairwise(word):
                pairs[pair] += count
        best = min(pairs, key=lambda pair: (-pairs[pair], pair), default=None)
        if best is None or pairs[best] < 2:
            break
        found.append(best)
        again: Counter[tuple[str, str]] = Counter()
        for word, count in words.items():
            parts, place = [], 0
            while place < len(word):
                both = word[place : place + 2] == best
                parts.append("".join(best) if both else word[place])
                place += 2 if both else 1
            again[tuple(parts)] += count
        words = again
    return found


@given(st.lists(st.text("ab c", min_size=1, max_size=12), min_size=1, max_size=6))
def test_merges_are_as_if_pairs_were_counted_anew(texts: list[str]):
    assert list(learn_subwords(texts, 10).merges) == plainly(texts, 10)


@given(st.text(max_size=30))
def test_a_text_comes_back(text: str):
    words = learn_subwords([text, "and more of it"], 20, cased=True)
    assert words.decode(words.encode(text)) == " ".join(text.split())


def test_what_training_has_not_seen_is_unknown():
    words = learn_subwords(["ab ab ab"], 5)
    assert words.encode("aB")[-1] == END
    assert UNKNOWN in words.encode("ax")
    assert words.decode(words.encode("ax")) == "a\ufffd"
    assert words.decode([len(words) + 3, END, 4]) == "\ufffd"
    assert Subwords(words.alphabet, words.merges) == words


def test_parts_and_columns_are_found(tmp_path: Path):
    path = table(tmp_path, [*ROWS, "test_b,u,v", "test_b,,v"])
    pairs = read_pairs(path, "de", "en")
    assert pairs.train.sources == ["ein hund", "eine katze"]
    assert pairs.train.targets == ["a dog", "a cat"]
    assert pairs.test.sources == ["x"]
    assert pairs.notes == ("test part: test_a; not used: test_b",)
    assert pairs.drawn == ()
    with pytest.raises(DataError, match=r"row 7, column 'de': expected a sentence"):
        read_pairs(path, "de", "en", "test_b")
    read = read_pairs(path, "en", "de", "test_b", unreadable="skip")
    assert (read.test.sources, read.test.targets) == (["v"], ["u"])
    assert "1 of 5 pairs with an empty sentence skipped" in read.notes


def test_parts_are_drawn_where_there_are_none(tmp_path: Path):
    path = table(tmp_path, [f"wort{i},word{i}" for i in range(50)], "de,en")
    pairs = read_pairs(path, "de", "en", shares=(0.1, 0.2))
    assert (len(pairs.train), len(pairs.validation), len(pairs.test)) == (35, 5, 10)
    assert pairs.drawn == ("validation", "test")
    for part in (pairs.train, pairs.validation, pairs.test):
        assert [s.replace("wort", "word") for s in part.sources] == part.targets
    assert read_pairs(path, "de", "en", seed=1).train != pairs.train


@pytest.mark.parametrize(
    ("rows", "columns", "told"),
    [
        (ROWS, ("de", "fr"), "column of pairs.csv: expected one of: de, en, split, got 'fr'"),
        ([ROWS[0], ROWS[3]], ("de", "en"), "rows of a part 'val', got only 'test_a', 'train'"),
        (ROWS[:3], ("de", "en"), "rows of a part 'test'"),
        ([*ROWS, "train, ,a bird"], ("de", "en"), r"row 6, column 'de'.*1 of 5 pairs"),
        ([], ("de", "en"), "rows below the header"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, rows, columns, told):
    with pytest.raises((DataError, UnknownNameError), match=told):
        read_pairs(table(tmp_path, rows), *columns)


def test_other_files_are_refused(tmp_path: Path):
    (tmp_path / "text.txt").write_text("a sentence")
    for path, got in ((tmp_path / "text.txt", "txt"), (tmp_path, "a folder")):
        with pytest.raises(DataError, match=f"a table of sentences .*{got}"):
            read_pairs(path, "de", "en")
    with pytest.raises(UnknownNameError, match=r"test part of pairs\.csv: expected one of: test_a"):
        read_pairs(table(tmp_path, ROWS), "de", "en", "test_2016")
