"""The tutorial on tables runs, and exported models give the same without archsmith."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "tables.md").read_text(encoding="utf-8")
BLOCK = r"<!-- tests/docs/test_tables.py runs this -->\n```(bash|python)\n(.*?)```"
#: What makes a program fail that needs archsmith.
WITHOUT = "import sys\nsys.modules['archsmith'] = None\n"


@pytest.mark.slow
@pytest.mark.processes
def test_the_tutorial_runs(tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}
    blocks = re.findall(BLOCK, PAGE, re.DOTALL)
    assert [language for language, _ in blocks] == ["python", "bash", "python"]
    printed = []
    for language, text in blocks:
        command = ["bash", "-ec", text]
        if language == "python":
            command = [sys.executable, "-c", WITHOUT + text]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        printed.append(done.stdout)
    assert "gradient-boosting" in printed[1]
    predicted = json.loads(
        printed[1][printed[1].index("\n{\n" if "\n{\n" in printed[1] else "[") :]
    )
    answers = predicted["predictions"] if isinstance(predicted, dict) else predicted
    assert len(answers) == 4
    assert all(200 < answer["rent"] < 2000 for answer in answers)
    assert float(printed[2].splitlines()[1].split()[0]) < 1e-4
