"""Tutorials are run: the marked blocks of a section of a page, in order."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
#: What makes a program fail that needs archsmith.
WITHOUT = "import sys\nsys.modules['archsmith'] = None\n"


def blocks(page: str, heading: str) -> list[tuple[str, str]]:
    """Language and text of the blocks of a section that ``tests/docs/test_PAGE.py`` runs: commands,
    and a program that needs no archsmith."""
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    block = rf"<!-- tests/docs/test_{page}.py runs this -->\n```(bash|python)\n(.*?)```"
    found: list[tuple[str, str]] = re.findall(block, section, re.DOTALL)
    assert [language for language, _ in found][-2:] == ["bash", "python"]
    return found


def run_section(page: str, heading: str, folder: Path) -> str:
    """Run the blocks of a section in a folder; what the last one printed."""
    found = blocks(page, heading)
    if "ARCHSMITH_DATA" in dict(found)["bash"] and "ARCHSMITH_DATA" not in os.environ:
        pytest.skip("needs the data that ARCHSMITH_DATA names")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}
    printed = ""
    for language, text in found:
        command = ["bash", "-ec", text]
        if language == "python":
            command = [sys.executable, "-c", WITHOUT + text]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        printed = done.stdout
    return printed
