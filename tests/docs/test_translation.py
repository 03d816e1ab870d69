"""The tutorial on translation runs, and both exported formats say the same without archsmith."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "translation.md").read_text(encoding="utf-8")
BLOCK = r"<!-- tests/docs/test_translation.py runs this -->\n```(bash|python)\n(.*?)```"
#: What makes a program fail that needs archsmith.
WITHOUT = "import sys\nsys.modules['archsmith'] = None\n"


@pytest.mark.slow
@pytest.mark.processes
def test_the_tutorial_runs(tmp_path: Path) -> None:
    (_, commands), (_, program) = re.findall(BLOCK, PAGE, re.DOTALL)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}
    printed = []
    for command in (["bash", "-ec", commands], [sys.executable, "-c", WITHOUT + program]):
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        printed.append(done.stdout)
    predicted = re.findall(r'"translation": "(.*?)"', printed[0])
    agreement, said = printed[1].split(maxsplit=1)
    assert float(agreement) == 1.0
    assert len(predicted) == 2
    assert all(one in said for one in predicted)
