"""What docs/few-shot.md shows is what works."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from archsmith.transfer.fewshot import learners

PAGE = (Path(__file__).parents[2] / "docs" / "few-shot.md").read_text(encoding="utf-8")


@pytest.mark.processes
def test_the_example_runs(tmp_path):
    (code,) = re.findall(
        r"<!-- tests/docs/test_few_shot.py runs this -->\n```python\n(.*?)```", PAGE, re.DOTALL
    )
    (tmp_path / "example.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "example.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    accuracy = re.search(r"4-way 1-shot: ([\d.]+) \+- [\d.]+ % over 1000 episodes", done.stdout)
    assert accuracy
    assert float(accuracy[1]) > 50
    *_, before, after = re.findall(r"\[['a-z, ]+\]", done.stdout)
    assert before == after


@pytest.mark.parametrize("name", learners.names())
def test_every_learner_is_in_the_table(name):
    assert f"`{name}`" in PAGE
    if learners.get(name).__module__.startswith("archsmith."):
        row = next(
            line for line in PAGE.splitlines() if line.startswith("| `") and f"`{name}`" in line
        )
        for problem in learners.get(name).settings:
            assert f"`{problem}`" in row
