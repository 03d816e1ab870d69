"""The tutorials on texts run, and exported models give the same without archsmith."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "language.md").read_text(encoding="utf-8")
BLOCK = r"<!-- tests/docs/test_language.py runs this -->\n```(bash|python)\n(.*?)```"
#: What makes a program fail that needs archsmith.
WITHOUT = "import sys\nsys.modules['archsmith'] = None\n"


@pytest.mark.slow
@pytest.mark.processes
def test_the_tutorial_runs(tmp_path: Path) -> None:
    if "ARCHSMITH_DATA" not in os.environ:
        pytest.skip("needs the data that ARCHSMITH_DATA names")
    blocks = re.findall(BLOCK, PAGE, re.DOTALL)
    assert [language for language, _ in blocks] == ["bash", "python"]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}
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
    # A sample begins with its prompt, on the screen and in a file; both are the same text.
    written = (tmp_path / "romeo.txt").read_text(encoding="utf-8")
    assert len(written) == 206
    assert written in printed[0]
    # The last program printed how well the formats agree.
    assert float(printed[1].split()[0]) < 1e-4
