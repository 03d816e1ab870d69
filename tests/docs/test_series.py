"""The tutorials on series run, and exported models give the same without archsmith."""

from __future__ import annotations

from pathlib import Path

import pytest

from .tutorial import run_section


@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.parametrize("heading", ["Classification", "Forecasting", "Sounds"])
def test_a_tutorial_runs(heading: str, tmp_path: Path) -> None:
    assert float(run_section("series", heading, tmp_path).split()[0]) < 1e-4
