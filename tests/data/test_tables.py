from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from archsmith._support.errors import DataError, UnknownNameError
from archsmith.data import lines
from archsmith.data.lines import open_rows
from archsmith.data.tables import kind_of, read_table

TABLE = "size,colour,id,label\n1.5,red,a,yes\n2,blue,b,no\n-3e2,red,c,yes\n"


def write(path: Path, text: str, name: str = "t.csv") -> Path:
    (path / name).write_text(text, encoding="utf-8")
    return path / name


def test_numbers_and_categories_are_told_apart(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, TABLE))
    assert [(c.name, c.categories) for c in table.columns] == [
        ("size", None),
        ("colour", ("blue", "red")),
        ("id", ("a", "b", "c")),
    ]
    assert table.values.tolist() == [[1.5, 1, 0], [2, 0, 1], [-300, 1, 2]]
    assert table.target_name == "label"
    assert table.target.tolist() == ["yes", "no", "yes"]


def test_target_is_the_one_named_or_a_usual_name_or_the_last(tmp_path: Path) -> None:
    path = write(tmp_path, "y,a,b\n1,2,3\n2,3,5\n")
    assert read_table(path).target_name == "y"
    assert read_table(path, target="a").target_name == "a"
    assert read_table(write(tmp_path, "p,a,b\n1,2,3\n2,3,5\n")).target_name == "b"
    with pytest.raises(UnknownNameError, match="did you mean 'colour'"):
        read_table(write(tmp_path, TABLE), target="color")


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_delimiters(tmp_path: Path, delimiter: str) -> None:
    table = read_table(write(tmp_path, TABLE.replace(",", delimiter)))
    assert len(table.columns) == 3


@pytest.mark.parametrize(
    "text", ["1,2,0\n3,4,1\n", "1,2,yes\n3,4,no\n", "1,2,yes\n3,4,no\n,4,no\n"]
)
def test_a_first_row_of_numbers_is_data(tmp_path: Path, text: str) -> None:
    table = read_table(write(tmp_path, text), unreadable="skip")
    assert [c.name for c in table.columns] == ["column1", "column2"]
    assert table.target_name == "column3"
    assert table.values[:2].tolist() == [[1, 2], [3, 4]]
    assert any("no header" in note for note in table.notes)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("0,1,2,label\n5,6,7,yes\n8,9,7.5,no\n", ["0", "1", "2"]),
        ("a,2020,label\n5,6,yes\n8,9,no\n", ["a", "2020"]),
        ("12,kind,label\n5,x,yes\n8,y,no\n", ["12", "kind"]),
    ],
)
def test_numbers_among_names_leave_a_header_one(
    tmp_path: Path, text: str, names: list[str]
) -> None:
    table = read_table(write(tmp_path, text))
    assert [c.name for c in table.columns] == names
    assert len(table.values) == 2
    assert table.notes == ()


@pytest.mark.parametrize(
    ("head", "rows", "header"),
    [
        ("id,2018,2019,2020", ["1,5.5,6,7", "2,8,9,9.5", "3,1,2,3"], True),  # years above amounts
        ("2018,2019,2020", ["5.5,6.5,7.5", "8.5,9.5,9.1"], True),
        ("5.1,3.5,red", ["4.9,3.0,blue", "4.7,3.2,red", "4.6,3.1,red"], False),
        ("5.1,anna,yes", ["4.9,bert,no", "4.7,carl,yes", "4.6,dora,no"], False),
        ("e,x,s", ["p,x,y", "e,b,s", "e,x,s", "p,b,y"], False),  # letters, which come again
        ("class,cap,gill", ["p,x,y", "e,b,s", "e,x,s", "p,b,y"], True),
        ("name,city", ["anna,rome", "bert,oslo", "carl,bonn"], True),
        ("a,b", ["x,1", "y,2"], True),
        ("7,8,yes", ["1,2,no", "3,4,no", "5,6,yes"], False),
        ("0.5,x", ["100,x", "101,y", "102,x"], False),
    ],
)
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_header_is_told_by_what_stands_below_it(
    tmp_path: Path, head: str, rows: list[str], header: bool, delimiter: str
) -> None:
    text = "\n".join([head, *rows]).replace(",", delimiter)
    opened = open_rows(write(tmp_path, text))
    assert len(opened.lines) == len(rows) + (not header)
    assert opened.header == (
        head.split(",") if header else [f"column{i + 1}" for i in range(head.count(",") + 1)]
    )


class Counted(str):
    """A name that counts how often it is compared."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def test_wide_tables_are_read_in_linear_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    width = 400
    names = [*(f"g{i}" for i in range(width)), "label"]
    rows = [[*(f"{i % 7}.{row}" for i in range(width)), str(row % 2)] for row in range(8)]
    path = write(tmp_path, "\n".join(map(",".join, [names, *rows])))
    real = lines._lines

    def counted(path: Path) -> tuple[str, list[int], list[list[str]]]:
        delimiter, numbers, found = real(path)
        return delimiter, numbers, [list(map(Counted, found[0])), *found[1:]]

    monkeypatch.setattr(lines, "_lines", counted)
    Counted.compared = 0
    assert read_table(path).values.shape == (8, width)
    assert Counted.compared < 20 * width


@pytest.mark.parametrize("name", ["", "Unnamed: 0"])
@pytest.mark.parametrize("index", [(0, 1, 2), (7, 3, 5)])
def test_the_index_of_pandas_is_left_out(tmp_path: Path, name: str, index: tuple[int, ...]) -> None:
    text = f"{name},a,label\n" + "".join(f"{i},{i * i},{i % 2}\n" for i in index)
    table = read_table(write(tmp_path, text))
    assert [c.name for c in table.columns] == ["a"]
    assert table.notes == (f"column {name!r} left out: it contains row numbers",)


def test_a_nameless_column_of_measures_stays(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, ",a,label\n0.5,1,0\n1.5,2,1\n"))
    assert [c.name for c in table.columns] == ["", "a"]


def test_an_empty_column_is_left_out(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "a,gone,label,\n1,,0,\n2,NA,1,\n"))
    assert [c.name for c in table.columns] == ["a"]
    assert table.target_name == "label"
    assert "column 'gone' left out: it is empty" in table.notes


@pytest.mark.parametrize("head", ["a;b;label\n", ""])
def test_the_decimal_comma(tmp_path: Path, head: str) -> None:
    path = write(tmp_path, head + "1,5;-,25;2,0\n2;1,5e2;3,5\n")
    table = read_table(path)
    assert table.values.tolist() == [[1.5, -0.25], [2, 150]]
    assert table.target.tolist() == [2, 3.5]


def test_tsv_is_parted_by_tabs_alone(tmp_path: Path) -> None:
    path = write(tmp_path, "a, b, c\tlabel\n1\tyes\n2\tno\n", "t.tsv")
    assert [c.name for c in read_table(path).columns] == ["a, b, c"]


def test_quotes_after_a_blank_are_quotes(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, 'a, b, label\n1, "x, y", 0\n2, "z", 1\n'))
    assert table.columns[1].categories == ("x, y", "z")


def test_names_and_constants_are_left_out_with_a_note(tmp_path: Path) -> None:
    rows = "".join(f"{i},person {i},same,{i % 2}\n" for i in range(400))
    table = read_table(write(tmp_path, "n,who,const,label\n" + rows))
    assert [c.name for c in table.columns] == ["n"]
    assert any("'who' left out: 400 different texts" in note for note in table.notes)
    assert any("'const' left out" in note for note in table.notes)


def test_missing_features_are_counted_by_column(tmp_path: Path) -> None:
    path = write(tmp_path, "a,b,label\n1,x,0\nNaN,x,1\n3,,0\n4,y,1\n?,y,inf_\n")
    table = read_table(path)
    assert np.isnan(table.values).tolist() == [[0, 0], [1, 0], [0, 1], [0, 0], [1, 0]]
    assert table.target.tolist() == ["0", "1", "0", "1", "inf_"]
    assert "missing values in 'a' (2), 'b' (1)" in table.notes


@pytest.mark.parametrize("cell", ["", "nan", "NA", "?"])
def test_a_missing_target_is_refused_or_skipped(tmp_path: Path, cell: str) -> None:
    path = write(tmp_path, f"a,label\n1,0\n2,{cell}\n3,1\n")
    with pytest.raises(DataError, match=r"line 3, column 'label'.*1 of 3 targets"):
        read_table(path)
    table = read_table(path, unreadable="skip")
    assert table.values.tolist() == [[1], [3]]
    assert any("1 of 3 targets are missing" in note for note in table.notes)
    with pytest.raises(DataError, match="2 of 2 targets"):
        read_table(write(tmp_path, "a,label\n1,\n2,\n"), target="label", unreadable="skip")


def test_an_infinite_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 2 column 'a'"):
        read_table(write(tmp_path, "a,label\ninf,0\n2,1\n"))
    with pytest.raises(DataError, match="line 3, 'label'"):
        read_table(write(tmp_path, "a,label\n1,0\n2,inf\n"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "an empty file"),
        ("a,b\n", "rows below the header"),
        ("a,b\n1,2\n1\n", "line 3: expected 2 cells"),
        ("a,a,b\n1,2,3\n", "'a' twice"),
        ("a,b\n5,1\n5,0\n", "at least one column to predict from"),
    ],
)
def test_broken_tables_are_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_table(write(tmp_path, text))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"a,b\n\xff\xfe,1\n")
    with pytest.raises(DataError, match="UTF-8"):
        read_table(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["yes", "no"], "classes"),
        (["0", "1"], "classes"),
        (["0.5", "1"], "values"),
        ([str(i) for i in range(30)], "values"),
    ],
)
def test_kind_of_target(tmp_path: Path, cells: list[str], kind: str) -> None:
    path = write(tmp_path, "a,label\n" + "".join(f"1,{cell}\n" for cell in cells))
    assert kind_of(path) == kind
    assert kind_of(path, target="a") == "classes"


def test_parquet_reads_as_the_same_csv_does(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    csv = pytest.importorskip("pyarrow.csv")
    path = write(tmp_path, TABLE)
    parquet.write_table(csv.read_csv(path), tmp_path / "t.parquet")
    first, second = read_table(path), read_table(tmp_path / "t.parquet")
    assert first.columns == second.columns
    assert np.array_equal(first.values, second.values)
