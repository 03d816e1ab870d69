"""The tutorials on series run, and exported models give the same without archsmith."""

from __future__ import annotations

from pathlib import Path

import pytest

from .tutorials import agreement, blocks


@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.parametrize("heading", ["Classification", "Forecasting", "Sounds"])
def test_a_tutorial_runs(heading: str, tmp_path: Path) -> None:
    assert agreement(blocks("series.md", "test_series.py", heading), tmp_path) < 1e-4
