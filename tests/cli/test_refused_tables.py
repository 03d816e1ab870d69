"""Tables that cannot be learned from are refused before any training, with status 2."""

from __future__ import annotations

import pytest

ROWS = 40
DAYS = [f"2024-03-{1 + i % 28:02}" for i in range(ROWS)]
HALF = ["no" if i % 2 else "yes" for i in range(ROWS)]
NUMBERS = [f"{i}.5" for i in range(ROWS)]

CASES = {
    "one class": ({"a": NUMBERS, "y": ["yes"] * ROWS}, [], "two classes"),
    "missing targets": ({"a": NUMBERS, "y": ["", *HALF[1:]]}, [], "--unreadable skip"),
    "no columns": ({"a": ["7"] * ROWS, "y": HALF}, [], "always '7'"),
    "mixed": ({"a": [*NUMBERS[:-1], "many"], "y": HALF}, [], "--columns a=KIND"),
    "no dates": (
        {"a": [*DAYS[:-1], "soon"], "y": HALF},
        ["--columns", "a=date"],
        "line 41: expected a date",
    ),
    "days or months": ({"a": ["3/4/2024", "4/5/2024"] * 20, "y": HALF}, [], "a=ignore"),
    "unknown column": ({"a": NUMBERS, "y": HALF}, ["--columns", "b=text"], "expected one of: a, y"),
    "unknown kind": ({"a": NUMBERS, "y": HALF}, ["--columns", "a=dates"], "did you mean 'date'"),
    "twice": ({"a": NUMBERS, "a ": NUMBERS, "y": HALF}, [], "'a' twice"),
    "few rows": ({"a": NUMBERS[:3], "y": HALF[:3]}, [], "expected"),
    "several classes": ({"a": NUMBERS, "b": HALF, "y": HALF}, ["--target", "b,y"], "one column"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_table_is_refused(case, archsmith, tmp_path):
    columns, options, said = CASES[case]
    rows = [",".join(columns), *map(",".join, zip(*columns.values(), strict=True))]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    asked = [] if "--target" in options else ["--target", "y"]
    done = archsmith("search", tmp_path / "t.csv", *asked, *options, "--run", tmp_path / "run")
    assert done.status == 2, done.out
    assert said in " ".join(done.err.split())
    assert "Traceback" not in done.err
    assert not (tmp_path / "run").exists()
