"""Pairs of sentences from tables and from aligned text files."""

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
        (ROWS[2:], ("de", "en"), "a part 'train', got only 'test_a', 'val'"),
        ([*ROWS, "train, ,a bird"], ("de", "en"), r"row 6, column 'de'.*1 of 5 rows"),
        ([], ("de", "en"), "rows below the header"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, rows, columns, told):
    with pytest.raises((DataError, UnknownNameError), match=told):
        read_pairs(table(tmp_path, rows), *columns)


def test_other_files_are_refused(tmp_path: Path):
    (tmp_path / "text.txt").write_text("a sentence")
    with pytest.raises(DataError, match=r"a table .*or a folder of text files, got \.txt"):
        read_pairs(tmp_path / "text.txt", "de", "en")
    with pytest.raises(UnknownNameError, match=r"pairs\.csv, test part: expected one of: test_a"):
        read_pairs(table(tmp_path, ROWS), "de", "en", "test_2016")


def files(folder: Path, **texts: str) -> Path:
    """Files named ``part_ending``."""
    for name, text in texts.items():
        part, ending = name.rsplit("_", 1)
        (folder / f"{part}.{ending}").write_text(text, encoding="utf-8")
    return folder


WHOLE = {
    "train_de": "ein hund\neine\u2028katze\r\n",  # other separators do not end a line
    "train_en": "a dog\na cat\n",
    "val_de": "ein haus\n",
    "val_en": "a house",
    "test_2016_de": "x\n",
    "test_2016_en": "y\n",
}


def test_a_folder_of_aligned_files_is_read(tmp_path: Path):
    pairs = read_pairs(files(tmp_path, **WHOLE, train_fr="un chien\n"), "de", "en")
    assert pairs.train.sources == ["ein hund", "eine\u2028katze"]
    assert pairs.train.targets == ["a dog", "a cat"]
    assert (pairs.validation.targets, pairs.test.targets) == (["a house"], ["y"])
    assert pairs.name == tmp_path.name
    assert pairs.notes == ("test part: test_2016",)
    assert pairs.drawn == ()


def test_of_two_files_parts_are_drawn(tmp_path: Path):
    texts = ("\n".join(f"{word}{i}" for i in range(20)) for word in ("wort", "word"))
    pairs = read_pairs(files(tmp_path, **dict(zip(("all_de", "all_en"), texts))), "en", "de")
    assert (len(pairs.train), len(pairs.validation), len(pairs.test)) == (12, 4, 4)
    assert pairs.drawn == ("validation", "test")
    assert [s.replace("wort", "word") for s in pairs.test.targets] == pairs.test.sources


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        ({"train_en": "a dog\n"}, r"train\.de and train\.en: expected as many .*, got 2 and 1"),
        ({"val_en": "\n"}, r"val\.de and val\.en: expected as many lines in both, got 1 and 0"),
        ({"train_de": "\nein hund"}, r"train\.de line 1: expected a sentence.*1 of 4 rows"),
        ({"dev_de": "x"}, r"dev\.de: expected a file dev\.en beside it"),
        ({"dev_en": "x"}, r"dev\.en: expected a file dev\.de beside it"),
    ],
)
def test_what_is_wrong_with_files_is_told(tmp_path: Path, texts, told):
    with pytest.raises(DataError, match=told):
        read_pairs(files(tmp_path, **(WHOLE | texts)), "de", "en")


def test_files_that_are_missing_or_no_text_are_told(tmp_path: Path):
    files(tmp_path, **{name: text for name, text in WHOLE.items() if "train" not in name})
    with pytest.raises(DataError, match=r"a part 'train', got .*\n?.*rename the parts"):
        read_pairs(tmp_path, "de", "en")
    with pytest.raises(UnknownNameError, match=r"ending of files in .*: expected one of: de, en"):
        read_pairs(tmp_path, "de", "nl")
    files(tmp_path, **WHOLE)
    (tmp_path / "train.de").write_bytes(b"\xff\n")
    with pytest.raises(DataError, match=r"train\.de: expected a text file in UTF-8"):
        read_pairs(tmp_path, "de", "en")
    for name in ("train", "val", "test_2016"):
        for ending in ("de", "en"):
            (tmp_path / f"{name}.{ending}").write_text("")
    with pytest.raises(
        DataError, match="expected sentences, got empty files test_2016, train, val"
    ):
        read_pairs(tmp_path, "de", "en")
