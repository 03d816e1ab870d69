"""The tutorial on translation runs, and both exported formats say the same without archsmith."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .tutorial import page_blocks, run_blocks


@pytest.mark.slow
@pytest.mark.processes
def test_the_tutorial_runs(tmp_path: Path) -> None:
    found = page_blocks("translation")
    assert [language for language, _ in found] == ["bash", "python"]
    printed = run_blocks(found, tmp_path)
    predicted = re.findall(r'"translation": "(.*?)"', printed[0])
    agreement, said = printed[1].split(maxsplit=1)
    assert float(agreement) == 1.0
    assert len(predicted) == 2
    assert all(one in said for one in predicted)
