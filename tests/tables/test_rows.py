"""Rows of a file: what is chosen, and that errors name the place in the file."""

import math
from pathlib import Path

import numpy as np
import pytest

from archsmith._support.errors import InputError, SpaceError
from archsmith.space import Architecture
from archsmith.tables.base import relative
from archsmith.tables.rows import Rows, metrics, whole_numbers

PATH = Path("table.parquet")


def columns(**others):
    return {
        "task": np.array(["a", "b", "b", "b"]),
        "arch": np.array(["x", "x", "y", "z"]),
        "acc": np.array([np.nan, 1.0, 2.0, 3.0]),
        **others,
    }


def decode(text):
    if text not in "xyz":
        raise SpaceError("arch", "a letter from x to z", repr(text))
    return Architecture({"letter": text})


def test_rows_are_chosen():
    rows = Rows(PATH, columns(), task="b")
    assert rows.texts("arch") == ["x", "y", "z"]
    assert rows.numbers("acc").tolist() == [1.0, 2.0, 3.0]  # NaN in other rows is no matter
    found = rows.architectures("arch", decode, "")
    assert [a["letter"] for a in found] == ["x", "y", "z"]
    assert Rows(PATH, columns()).distinct("task") == ["a", "b"]


def test_what_is_not_there_is_told():
    with pytest.raises(InputError, match=r"column task: expected rows with c, got a, b"):
        Rows(PATH, columns(), task="c")
    with pytest.raises(InputError, match=r"table.parquet: expected the columns kind, got only"):
        Rows(PATH, columns(), kind="c")
    with pytest.raises(InputError, match=r"the columns params, got only acc, arch, task"):
        Rows(PATH, columns()).numbers("params")
    with pytest.raises(InputError, match=r"got no rows at all"):
        Rows(PATH, {"task": np.array([], dtype=str)}, task="c")


def test_nan_is_told_by_its_row_in_the_file():
    broken = columns(acc=np.array([1.0, 1.0, np.nan, 3.0]))
    with pytest.raises(InputError, match=r"column acc, row 2: expected a finite number, got nan"):
        Rows(PATH, broken, task="b").numbers("acc")


def test_words_are_no_numbers():
    broken = columns(acc=np.array(["1", "high", "3", "4"]))
    with pytest.raises(InputError, match=r"column acc: expected numbers, got"):
        Rows(PATH, broken, task="b").numbers("acc")


def test_unknown_and_repeated_architectures_are_told_by_their_rows():
    broken = columns(arch=np.array(["x", "x", "q", "z"]))
    with pytest.raises(InputError, match=r"column arch, row 2: expected a letter.*got q") as told:
        Rows(PATH, broken, task="b").architectures("arch", decode, "letters, one a row")
    assert "hint: letters, one a row" in str(told.value)
    broken = columns(arch=np.array(["x", "y", "z", "y"]))
    with pytest.raises(InputError, match=r"row 3: expected each.*once, got y again, as in row 1"):
        Rows(PATH, broken, task="b").architectures("arch", decode, "")


def test_other_columns_are_those_of_finite_numbers():
    more = columns(
        snip=np.array([np.nan, 1.0, 2.0, 3.0]),
        flat=np.array([1, 2, 3, 4]),
        jacov=np.array([1.0, 2.0, np.nan, 4.0]),
        snip_time_s=np.ones(4),
    )
    more["lat (ms)"] = np.arange(4.0)
    found = Rows(PATH, more, task="b").others(("acc",), ending="_time_s")
    assert {name: column.tolist() for name, column in found.items()} == {
        "snip": [1.0, 2.0, 3.0],
        "flat": [2.0, 3.0, 4.0],
        "lat_ms": [1.0, 2.0, 3.0],
    }
    left_out = Rows(PATH, more, task="b").left_out(("acc",), ending="_time_s")
    assert left_out == {"jacov": "nan in row 2"}


@pytest.mark.parametrize("text", ["", "(1, 2", "[1, 2]", "(1.0, 2)", "(True, 1)", "12", "abs(1)"])
def test_only_tuples_of_whole_numbers_are_read(text):
    with pytest.raises(SpaceError, match="integers in parentheses"):
        whole_numbers(text)
    assert whole_numbers("(1, 0, 22)") == (1, 0, 22)


def test_small_things():
    assert relative("t, flops", np.array([1.0, 3.0])).tolist() == [0.5, 1.5]
    assert metrics(["acc", "params"], "params")["params"].direction == "minimize"


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.nan, math.inf])
def test_time_goes_by_what_is_above_nothing(wrong):
    with pytest.raises(InputError, match="t, flops, row 1: expected a number above 0"):
        relative("t, flops", np.array([1.0, wrong, 3.0]))
