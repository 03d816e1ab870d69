"""Numbers as people write them: a column is read in one way or asked about."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import numpy as np
import pytest

from archsmith._support.errors import DataError
from archsmith.data import lines
from archsmith.data.numerals import Notation, decide, narrowed, notations
from archsmith.data.tables import kind_of, read_table
from archsmith.task import task_for
from archsmith.task.base import ReadOptions


def written(path: Path, column: list[str], delimiter: str, other: list[str] | None = None) -> Path:
    """A file of a quoted column, one of plain or given numbers and a class."""
    others = other or [str(20 + i) for i in range(len(column))]
    rows = [delimiter.join(("it", "age", "label"))]
    for i, (cell, more) in enumerate(zip(column, others, strict=True)):
        rows.append(delimiter.join((f'"{cell}"', f'"{more}"', str(i % 2))))
    (path / "t.csv").write_text("\n".join(rows), encoding="utf-8")
    return path / "t.csv"


@pytest.mark.parametrize("delimiter", [";", ",", "\t", "|"])
@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1.5", "2", "-3e2"], [1.5, 2, -300]),
        (["1,5", "2", "-,25"], [1.5, 2, -0.25]),
        (["1,234.5", "7", "2,000"], [1234.5, 7, 2000]),
        (["1.234,5", "7", "2.000"], [1234.5, 7, 2000]),
        (["1,234,567", "31,403"], [1234567, 31403]),
        (["1.234.567", "31.403"], [1234567, 31403]),
        (["0.123", "1.234"], [0.123, 1.234]),
        (["0,123", "1,234"], [0.123, 1.234]),
        (["1 234", "1\u00a0234", "12\u202f345"], [1234, 1234, 12345]),
        (["1'234.5", "971"], [1234.5, 971]),
        (["1\u2019234,5", "971"], [1234.5, 971]),
        (["\u22125", "5"], [-5, 5]),
        (["12%", "7.5 %"], [12, 7.5]),
        (["$1,234.50", "-$7", "$ 20"], [1234.5, -7, 20]),
        (["3,50 €", "12,00 €"], [3.5, 12]),
        (["1E3", "2e-1"], [1000, 0.2]),
    ],
)
def test_a_column_is_read_as_its_cells_say(
    tmp_path: Path, cells: list[str], values: list[float], delimiter: str
) -> None:
    table = read_table(written(tmp_path, cells, delimiter))
    assert table.values[:, 0].tolist() == values
    assert table.columns[0].categories is None


@pytest.mark.parametrize(
    "cells",
    [
        ["1_2", "2_1", "1_000"],
        ["007", "012", "123"],
        ["0x1F", "0x20", "0x21"],
        ["1,23,4", "5", "6"],
        ["$5", "€5", "5"],
        ["12%", "7", "8"],
        ["1.2.3", "1.2.4", "2.0.0"],
        ["true", "false", "true"],
        ["1,2345.6", "2", "3"],
    ],
)
def test_texts_with_digits_stay_texts(tmp_path: Path, cells: list[str]) -> None:
    table = read_table(written(tmp_path, cells, ";"))
    assert table.columns[0].categories == tuple(sorted(set(cells)))


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
@pytest.mark.parametrize("sign", [",", "."])
def test_doubtful_numbers_are_asked_about_and_the_answer_helps(
    tmp_path: Path, delimiter: str, sign: str
) -> None:
    whole = ["971", "1_288", "31_403", "26_965"]
    path = written(tmp_path, [cell.replace("_", sign) for cell in whole], delimiter)
    with pytest.raises(DataError, match=rf"(?s)'1[{sign}]288', which is .*--decimal comma"):
        read_table(path)
    with pytest.raises(DataError, match="--decimal point"):
        task_for(str(path), ReadOptions(target="it"))
    thousands = "point" if sign == "," else "comma"
    for decimal in ("point", "comma"):
        read = read_table(path, decimal=decimal).values[:, 0]
        scale = 1000 if decimal == thousands else 1
        assert read.tolist() == [971, 1.288 * scale, 31.403 * scale, 26.965 * scale]


@pytest.mark.parametrize(
    ("cells", "other", "delimiter", "first"),
    [
        (["1.288", "31.403"], ["1,5", "2"], ";", 1288),  # the other column has a decimal comma
        (["1.288", "31.403"], ["1.5", "2"], ";", 1.288),
        (["1,288", "31,403"], ["1.5", "2"], "\t", 1288),
        (["1.288", "971", "26.960"], None, ";", 1288),  # a fraction would have lost its zero
        (["1.288", "1234", "26.965"], None, ";", 1.288),  # thousands would be parted in 1234
        (["1,288", "31,403"], None, ",", 1288),  # a comma that parts cells is no decimal sign
        (["1.288", "31.403"], None, ",", 1.288),
    ],
)
def test_evidence_decides_and_is_told(
    tmp_path: Path, cells: list[str], other: list[str] | None, delimiter: str, first: float
) -> None:
    table = read_table(written(tmp_path, cells, delimiter, other))
    assert table.values[0, 0] == first
    usual = delimiter == "," and "." in cells[0]
    assert any("'it' (1" in note for note in table.notes) is not usual


@pytest.mark.parametrize(
    ("cells", "other", "delimiter"),
    [
        (["1,288", "31,403"], ["1,5", "2"], ","),
        (["1,288", "1234"], None, ","),
        (["1.288", "31.403"], ["1.5", "1,5"], ";"),  # the other column is of texts
    ],
)
def test_evidence_that_disagrees_is_no_answer(
    tmp_path: Path, cells: list[str], other: list[str] | None, delimiter: str
) -> None:
    path = written(tmp_path, cells, delimiter, other)
    with pytest.raises(DataError, match="in one way"):
        read_table(path)


def test_an_answer_that_the_column_contradicts_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, ["1,5", "2,25"], ";")
    with pytest.raises(DataError, match="decimal point, as requested, got '1,5'"):
        read_table(path, decimal="point")


def test_any_amount_is_read_back_from_any_dialect(tmp_path: Path) -> None:
    rng = random.Random(0)
    for decimal, group, delimiter in itertools.product(".,", ["", " ", "'", "other"], ",;\t|"):
        sign = {"other": ".,".replace(decimal, "")}.get(group, group)
        amounts = [round(rng.uniform(-1e6, 1e6), 2) for _ in range(20)] + [0.01]
        spelled = [f"{a:,.2f}".replace(",", "_").replace(".", decimal) for a in amounts]
        cells = [text.replace("_", sign) for text in spelled]
        table = read_table(written(tmp_path, cells, delimiter))
        assert table.values[:, 0].tolist() == amounts, (decimal, group, delimiter)


def test_columns_of_a_parquet_file_say_themselves_what_they_are(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pa.table({"a": [1.288, 31.403], "b": [1_700_000_000, 1_700_000_001], "y": [0.5, 1.0]})
    parquet.write_table(table, tmp_path / "t.parquet")
    read = read_table(tmp_path / "t.parquet")
    assert read.values.tolist() == [[1.288, 1_700_000_000], [31.403, 1_700_000_001]]
    assert read.notes == ()


def test_a_few_texts_among_numbers_are_asked_about(tmp_path: Path) -> None:
    rows = "".join(f"{i}.5,{i},{i % 2}\n" for i in range(400))
    path = tmp_path / "t.csv"
    path.write_text("a,b,label\n" + rows + "unknown,7,1\n")
    with pytest.raises(DataError, match=r"(?s)'a'.*such as 'unknown'.*--columns a=KIND"):
        read_table(path)
    table = read_table(path, kinds="a=numeric")
    assert np.isnan(table.values[:, 0]).tolist() == [False] * 400 + [True]
    assert "column 'a': 1 texts count as missing" in table.notes


def test_whole_numbers_that_become_alike_are_told(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,a,label\n" + "".join(f"{2**60 + i},{i},{i % 2}\n" for i in range(10)))
    assert any("beyond 2**53 are rounded, 9 become equal" in n for n in read_table(path).notes)


def test_rows_of_another_file_are_read_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a;y\n" + "".join(f"{i},5;{i * i},25\n" for i in range(40)))
    task = task_for(str(path))
    facts = task.read(str(path), ReadOptions()).facts
    other = tmp_path / "other.csv"
    for text, value in (("a\n1,75\n", 1.75), ("a;b\n2.000,5;0\n", 2000.5), ("a\n1.5\n", 1.5)):
        other.write_text(text)
        if "\n" in text and text.startswith("a\n1,"):
            other.write_text("a;b\n1,75;0\n")
        assert task.load_input(other, facts).tolist() == [[value]]
    other.write_text("a;b\n1,288;0\n")
    assert task.load_input(other, facts).tolist() == [[pytest.approx(1.288)]]
    other.write_text('a,b\n"1,288",0\n')
    with pytest.raises(DataError, match="write the numbers as in the data"):
        task.load_input(other, facts)


def test_only_columns_that_float32_would_spoil_stay_wide() -> None:
    usual = np.random.RandomState(0).rand(50, 2)
    assert narrowed(usual).dtype == np.float32
    seconds = 1_700_000_000 + np.arange(50.0)
    assert narrowed(np.stack([usual[:, 0], seconds], axis=1)).dtype == np.float64
    assert narrowed(np.full((50, 1), 0.1)).dtype == np.float32


def test_a_file_is_parsed_once_for_all_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, ["1.5", "2.5", "3.5", "1", "2", "3"] * 5, ",")
    parsed = []
    real = lines._lines
    monkeypatch.setattr(lines, "_lines", lambda p: parsed.append(p) or real(p))
    task_for(str(path)).read(str(path), ReadOptions())
    assert len(parsed) == 1
    assert kind_of(path) == "classes"
    path.write_text(path.read_text().replace("label", "labels"))
    assert read_table(path).target_name == "labels"
    assert len(parsed) == 3


def test_notations() -> None:
    assert notations(["1.5", "2"]) == (Notation(),)
    assert notations(["1.288"]) == (Notation(), Notation("comma"))
    assert notations(["12"]) == (Notation(),)
    assert notations(["x"]) == notations([]) == ()
    assert decide("f", {"a": ["", "?"]}) == {"a": None}
