"""The tutorial on tables runs, and exported models give the same without archsmith."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .tutorial import page_blocks, run_blocks


@pytest.mark.slow
@pytest.mark.processes
def test_the_tutorial_runs(tmp_path: Path) -> None:
    found = page_blocks("tables")
    assert [language for language, _ in found] == ["python", "bash", "python"]
    printed = run_blocks(found, tmp_path)
    assert "gradient-boosting" in printed[1]
    predicted = json.loads(
        printed[1][printed[1].index("\n{\n" if "\n{\n" in printed[1] else "[") :]
    )
    answers = predicted["predictions"] if isinstance(predicted, dict) else predicted
    assert len(answers) == 4
    assert all(200 < answer["rent"] < 2000 for answer in answers)
    assert float(printed[2].splitlines()[1].split()[0]) < 1e-4
