"""The tutorials on images run, and exported models give the same without archsmith."""

from __future__ import annotations

from pathlib import Path

import pytest

from .tutorial import run_section


@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.parametrize("heading", ["Classification", "Segmentation", "Detection", "Generation"])
def test_a_tutorial_runs(heading: str, tmp_path: Path) -> None:
    # The last program printed how well the formats agree.
    agreement = float(run_section("vision", heading, tmp_path).split()[0])
    assert agreement > 0.999 if heading == "Segmentation" else agreement < 1e-4
