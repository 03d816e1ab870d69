"""Pairs of sentences from tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from archsmith._support.errors import DataError, UnknownNameError
from archsmith.data.sentences import read_pairs


def table(folder: Path, rows: list[str], header: str = "split,de,en") -> Path:
    path = folder / "pairs.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


ROWS = ["train,ein hund,a dog", "train,eine katze,a cat", "val,ein haus,a house", "test_a,x,y"]


def test_parts_and_columns_are_found(tmp_path: Path):
    path = table(tmp_path, [*ROWS, "test_b,u,v", "test_b,,v"])
    pairs = read_pairs(path, "de", "en")
    assert pairs.train.sources == ["ein hund", "eine katze"]
    assert pairs.train.targets == ["a dog", "a cat"]
    assert pairs.test.sources == ["x"]
    assert pairs.notes == ("test part: test_a; not used: 'test_b'",)
    assert pairs.drawn == ()
    with pytest.raises(DataError, match=r"row 7, column 'de': expected a sentence"):
        read_pairs(path, "de", "en", "test_b")
    read = read_pairs(path, "en", "de", "test_b", unreadable="skip")
    assert (read.test.sources, read.test.targets) == (["v"], ["u"])
    assert "1 of 5 rows with an empty sentence skipped" in read.notes


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
        (ROWS[2:], ("de", "en"), "rows of a part 'train', got only 'test_a', 'val'"),
        ([*ROWS, "train, ,a bird"], ("de", "en"), r"row 6, column 'de'.*1 of 5 rows"),
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
    with pytest.raises(UnknownNameError, match=r"pairs\.csv, test part: expected one of: test_a"):
        read_pairs(table(tmp_path, ROWS), "de", "en", "test_2016")
