"""Running the blocks of a tutorial, in order, as a reader would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

_DOCS = Path(__file__).parents[2] / "docs"
#: What makes a program fail that needs archsmith.
_WITHOUT = "import sys\nsys.modules['archsmith'] = None\n"


def blocks(page: str, test: str, heading: str) -> list[tuple[str, str]]:
    """Language and text of the blocks of a section that a test runs; the last program, in Python,
    follows the commands."""
    text = (_DOCS / page).read_text(encoding="utf-8")
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    block = rf"<!-- tests/docs/{test} runs this -->\n```(bash|python)\n(.*?)```"
    found: list[tuple[str, str]] = re.findall(block, section, re.DOTALL)
    assert [language for language, _ in found[-2:]] == ["bash", "python"]
    return found


def agreement(steps: list[tuple[str, str]], folder: Path) -> float:
    """The number that the last program prints first: how well the exported formats agree.

    Programs in Python run without archsmith.
    """
    if "ARCHSMITH_DATA" in dict(steps)["bash"] and "ARCHSMITH_DATA" not in os.environ:
        pytest.skip("needs the data that ARCHSMITH_DATA names")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}
    printed = ""
    for language, text in steps:
        command = ["bash", "-ec", text]
        if language == "python":
            command = [sys.executable, "-c", _WITHOUT + text]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        printed = done.stdout
    return float(printed.split()[0])
