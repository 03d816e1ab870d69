"""The tutorials on series run, and exported models give the same without archsmith."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "series.md").read_text(encoding="utf-8")
BLOCK = r"<!-- tests/docs/test_series.py runs this -->\n```(bash|python)\n(.*?)```"
#: What makes a program fail that needs archsmith.
WITHOUT = "import sys\nsys.modules['archsmith'] = None\n"


def blocks(heading: str) -> list[tuple[str, str]]:
    """Language and text of the blocks of a section that are run."""
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    found: list[tuple[str, str]] = re.findall(BLOCK, section, re.DOTALL)
    assert [language for language, _ in found[-2:]] == ["bash", "python"]
    return found


@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.parametrize("heading", ["Classification", "Forecasting", "Sounds"])
def test_a_tutorial_runs(heading: str, tmp_path: Path) -> None:
    if "ARCHSMITH_DATA" in dict(blocks(heading))["bash"] and "ARCHSMITH_DATA" not in os.environ:
        pytest.skip("needs the data that ARCHSMITH_DATA names")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}
    printed = ""
    for language, text in blocks(heading):
        command = ["bash", "-ec", text]
        if language == "python":
            command = [sys.executable, "-c", WITHOUT + text]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        printed = done.stdout
    # The last program printed how well the formats agree.
    assert float(printed.split()[0]) < 1e-4
