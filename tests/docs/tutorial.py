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
    found: list[tuple[str, str]] = re.findall(_marked(page), section, re.DOTALL)
    assert [language for language, _ in found][-2:] == ["bash", "python"]
    return found


def page_blocks(page: str) -> list[tuple[str, str]]:
    """As :func:`blocks`, of the whole page."""
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    return re.findall(_marked(page), text, re.DOTALL)


def run_section(page: str, heading: str, folder: Path) -> str:
    """Run the blocks of a section in a folder; what the last one printed."""
    return run_blocks(blocks(page, heading), folder)[-1]


def run_blocks(found: list[tuple[str, str]], folder: Path) -> list[str]:
    """Run blocks in a folder, programs in Python without archsmith; what each printed."""
    if any("ARCHSMITH_DATA" in text for _, text in found) and "ARCHSMITH_DATA" not in os.environ:
        pytest.skip("needs the data that ARCHSMITH_DATA names")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}
    printed = []
    for language, text in found:
        command = ["bash", "-ec", text]
        if language == "python":
            command = [sys.executable, "-c", WITHOUT + text]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        printed.append(done.stdout)
    return printed


def _marked(page: str) -> str:
    return rf"<!-- tests/docs/test_{page}.py runs this -->\n```(bash|python)\n(.*?)```"
