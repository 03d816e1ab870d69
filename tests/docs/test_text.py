"""The tutorials on texts run, and exported models give the same without archsmith."""

from __future__ import annotations

from pathlib import Path

import pytest

from .tutorial import run_section


@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.parametrize("heading", ["Classification"])
def test_a_tutorial_runs(heading: str, tmp_path: Path) -> None:
    # The last program printed how well the formats agree.
    assert float(run_section("text", heading, tmp_path).split()[0]) < 1e-4
