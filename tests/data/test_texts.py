"""Texts with classes: which columns are meant, and what is wrong with a file."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from archsmith._support.errors import DataError, UnknownNameError
from archsmith.data.texts import holds_texts, read_texts

WORDS = ["good", "bad", "film", "story", "very", "not", "actor", "plot", "dull", "fine"]
RNG = random.Random(0)


def prose(words: int = 6) -> str:
    return " ".join(RNG.choices(WORDS, k=words))


def table(folder: Path, header: str, rows: list[str], name: str = "texts.csv") -> Path:
    path = folder / name
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def plain(count: int = 40) -> list[str]:
    return [f"{prose()},{'pos' if i % 2 else 'neg'}" for i in range(count)]


def test_columns_are_told_by_their_cells(tmp_path: Path):
    path = table(tmp_path, "review,mood", plain())
    texts = read_texts(path)
    assert (texts.column, texts.target) == ("review", "mood")
    assert texts.class_names == ("neg", "pos")
    assert texts.labels.tolist() == [0, 1] * 20
    assert holds_texts(path)


def test_of_several_columns_a_usual_name_decides(tmp_path: Path):
    rows = [f"{prose()},{prose()},{i % 3},{i % 2}" for i in range(40)]
    path = table(tmp_path, "text,title,label,stars", rows)
    texts = read_texts(path)
    assert (texts.column, texts.target) == ("text", "label")
    assert texts.class_names == ("0", "1", "2")
    assert read_texts(path, "title", "stars").column == "title"
    assert "columns not used: title, stars" in texts.notes


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("head,abstract,label,stars", "text-classification:text=COLUMN"),
        ("text,abstract,mood,stars", "--target COLUMN"),
    ],
)
def test_what_is_ambiguous_is_asked(tmp_path: Path, header: str, told: str):
    rows = [f"{prose()},{prose()},{i % 3},{i % 2}" for i in range(40)]
    path = table(tmp_path, header, rows)
    with pytest.raises(DataError, match=told):
        read_texts(path)
    assert not holds_texts(path)


def test_rows_of_a_value_are_a_file_of_their_own(tmp_path: Path):
    rows = [f"{'ab'[i % 2]},{prose()},{i % 3}" for i in range(60)]
    path = table(tmp_path, "dataset,text,label", rows)
    texts = read_texts(path, where="dataset=b")
    assert (len(texts.texts), texts.name) == (30, "texts b")
    alone = table(tmp_path, "text,label", [row[2:] for row in rows[1::2]], "alone.csv")
    assert read_texts(alone).texts == texts.texts
    with pytest.raises(UnknownNameError, match="one of: a, b, got 'c'"):
        read_texts(path, where="dataset=c")
    with pytest.raises(UnknownNameError, match=r"column of texts\.csv"):
        read_texts(path, where="data=c")
    with pytest.raises(DataError, match="expected column=value, got 'dataset'"):
        read_texts(path, where="dataset")


def test_parts_are_named_or_drawn(tmp_path: Path):
    rows = [f"{'train' if i < 30 else 'test'},{row}" for i, row in enumerate(plain())]
    texts = read_texts(table(tmp_path, "split,text,label", rows))
    assert texts.parts.tolist() == [0] * 30 + [2] * 10
    assert "test part: test" in texts.notes
    unnamed = read_texts(table(tmp_path, "split,text,label", [f",{row}" for row in plain()]))
    assert set(unnamed.parts.tolist()) == {0}


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([*plain(), " ,neg"], r"row 42, column 'text': expected a sentence.*1 of 41 rows"),
        ([*plain(), f"{prose()},"], "line 42, column 'label': expected a target in every row"),
        ([f"{prose()},neg" for _ in range(40)], "at least two classes"),
        ([f"{prose()},{i}.5" for i in range(40)], "classes that repeat, got 40 different"),
        ([], "rows below the header"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, rows: list[str], told: str):
    with pytest.raises(DataError, match=told):
        read_texts(table(tmp_path, "text,label", rows), "text", "label")


def test_empty_texts_are_skipped_if_asked(tmp_path: Path):
    path = table(tmp_path, "text,label", [*plain(), " ,neg"])
    texts = read_texts(path, unreadable="skip")
    assert len(texts.texts) == 40
    assert "1 of 41 rows with an empty sentence skipped" in texts.notes


def test_other_tables_are_no_texts(tmp_path: Path):
    passengers = [f"{prose(4)},{i},{i * 7 % 11},{i % 2}" for i in range(60)]
    assert not holds_texts(table(tmp_path, "name,age,fare,label", passengers))
    pairs = [f"{prose()},{prose()}" for _ in range(60)]
    assert not holds_texts(table(tmp_path, "de,en", pairs))
    numbers = [f"{i},{i * 7 % 11},{i % 2}" for i in range(60)]
    assert not holds_texts(table(tmp_path, "a,b,label", numbers))
    with pytest.raises(DataError, match="one column of texts"):
        read_texts(table(tmp_path, "a,b,label", numbers))


def test_folders_of_texts(tmp_path: Path):
    for part, count in (("train", 4), ("test", 2)):
        for name in ("neg", "pos"):
            folder = tmp_path / "reviews" / part / name
            folder.mkdir(parents=True)
            for i in range(count):
                (folder / f"{i}.txt").write_text(f"{name} {prose()}\nand more")
    root = tmp_path / "reviews"
    assert holds_texts(root)
    texts = read_texts(root)
    assert texts.class_names == ("neg", "pos")
    assert sorted(texts.parts.tolist()) == [0] * 8 + [2] * 4
    assert all(t.startswith(texts.class_names[n]) for t, n in zip(texts.texts, texts.labels))
    (root / "train" / "pos" / "0.txt").write_text(" \n")
    with pytest.raises(DataError, match="a text, got an empty file"):
        read_texts(root)
    assert len(read_texts(root, unreadable="skip").texts) == 11
    (root / "train" / "pos" / "0.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(DataError, match="UTF-8"):
        read_texts(root)
