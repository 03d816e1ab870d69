"""Kinds of columns: inferred, asked for, and refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from archsmith._support.errors import DataError, InputError, UnknownNameError
from archsmith.data.dates import days, orders
from archsmith.data.kinds import asked_kinds, kinds_line, words
from archsmith.data.raw import RawTable
from archsmith.data.tables import read_table


def table_of(folder: Path, cells: list[str], kinds: str | None = None) -> RawTable:
    rows = "".join(f'"{cell}",{i % 5},{i % 2}\n' for i, cell in enumerate(cells))
    (folder / "t.csv").write_text("it,a,label\n" + rows)
    return read_table(folder / "t.csv", kinds=kinds)


@pytest.mark.parametrize(
    ("cell", "order", "expected"),
    [
        ("1970-01-01", "ymd", 0.0),
        ("2000-03-01", "ymd", 11017.0),
        ("1.3.2000", "dmy", 11017.0),
        ("03/01/2000", "mdy", 11017.0),
        ("1969-12-31 06:00", "ymd", -0.75),
        ("1970-01-02T00:00:00Z", "ymd", 1.0),
        ("1970-01-02 01:00:00+01:00", "ymd", 1.0),
        ("1970-01-01 23:00:00-01:00", "ymd", 1.0),
        ("2001-02-29", "ymd", None),
        ("1970-01-01 25:00", "ymd", None),
        ("70-01-01", "ymd", None),
        ("1970-01/01", "ymd", None),
    ],
)
def test_days_since_1970(cell, order, expected):
    assert days(cell, order) == expected


def test_the_order_is_that_of_all_cells():
    assert orders(["3/4/2020", "13/4/2020"]) == ("dmy",)
    assert orders(["3/4/2020", "4/13/2020"]) == ("mdy",)
    assert orders(["3/4/2020", "4/5/2020"]) == ("dmy", "mdy")
    assert orders(["4/4/2020", "5/5/2020"]) == ("dmy",)  # both mean the same
    assert orders(["3/4/2020", "soon"]) == ()


def test_dates_are_found(tmp_path):
    table = table_of(tmp_path, [f"2020-01-{1 + i % 28:02}" for i in range(60)])
    assert [column.kind for column in table.columns] == ["date", "numeric"]
    assert table.values[0, 0] == 18262
    assert kinds_line(table.columns) == "date: it; numeric: a"


def test_dates_in_doubt_are_asked_about(tmp_path):
    with pytest.raises(DataError, match=r"(?s)'it'.*day and month.*it=ignore"):
        table_of(tmp_path, ["3/4/2020", "4/5/2020", "5/6/2021"] * 4)


def test_dates_that_are_none_are_told_by_line(tmp_path):
    cells = [f"2020-01-{i + 1:02}" for i in range(12)]
    cells[5] = "2020-02-30"
    with pytest.raises(DataError, match=r"line 7: expected a date.*'2020-02-30'"):
        table_of(tmp_path, cells, "it=date")


def test_texts_become_their_common_words(tmp_path):
    cells = [f"{'Good' if i % 2 else 'bad'} wine, number {i}" for i in range(80)]
    table = table_of(tmp_path, cells)
    assert [column.word for column in table.columns] == ["bad", "good", ""]
    assert table.values[:3, :2].tolist() == [[1, 0], [0, 1], [1, 0]]
    assert any("80 different texts, read as 2 common words" in note for note in table.notes)
    assert words("Naïve x, ÉTÉ 12!") == {"naïve", "été"}


def test_many_categories_stay_if_the_frequent_ones_are_half(tmp_path):
    cells = [f"city{i % 3}" if i % 2 else f"village {chr(97 + i % 26)}{i}" for i in range(200)]
    assert table_of(tmp_path, cells).columns[0].kind == "categorical"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("categorical", ("1", "2")), ("numeric", None), ("ignore", "gone")],
)
def test_a_kind_that_is_asked_for_is_kept(tmp_path, kind, expected):
    table = table_of(tmp_path, ["1", "2"] * 10, f"it={kind}")
    if expected == "gone":
        assert [column.name for column in table.columns] == ["a"]
        assert "column 'it' left out, as requested" in table.notes
    else:
        assert table.columns[0].categories == expected


def test_texts_that_are_asked_for_as_numbers(tmp_path):
    table = table_of(tmp_path, ["1", "2", "many", ""] * 5, "it=numeric")
    assert np.isnan(table.values[:4, 0]).tolist() == [False, False, True, True]
    with pytest.raises(DataError, match="numbers, as requested"):
        table_of(tmp_path, ["few", "many"] * 5, "it=numeric")


def test_what_is_asked_for_wrongly(tmp_path):
    assert asked_kinds('"a, b=c"=text, d=date', ["a, b=c", "d"]) == {"a, b=c": "text", "d": "date"}
    assert asked_kinds(None, ["a"]) == {}
    with pytest.raises(UnknownNameError, match="did you mean 'colour'"):
        asked_kinds("color=text", ["colour"])
    with pytest.raises(UnknownNameError, match="did you mean 'numeric'"):
        asked_kinds("a=numerical", ["a"])
    with pytest.raises(InputError, match="name=kind"):
        asked_kinds("a", ["a"])
    with pytest.raises(DataError, match="the target"):
        table_of(tmp_path, ["1", "2"] * 5, "label=text")
