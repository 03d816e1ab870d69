"""The tutorials on texts run, and exported models give the same without archsmith."""

from __future__ import annotations

from pathlib import Path

import pytest

from .tutorial import page_blocks, run_blocks


@pytest.mark.slow
@pytest.mark.processes
def test_the_tutorial_runs(tmp_path: Path) -> None:
    found = page_blocks("language")
    assert [language for language, _ in found] == ["bash", "python"]
    printed = run_blocks(found, tmp_path)
    # A sample begins with its prompt, on the screen and in a file; both are the same text.
    written = (tmp_path / "romeo.txt").read_text(encoding="utf-8")
    assert len(written) == 206
    assert written in printed[0]
    # The last program printed how well the formats agree.
    assert float(printed[1].split()[0]) < 1e-4
