"""The tutorials on images run, and exported models give the same without archsmith."""

from __future__ import annotations

from pathlib import Path

import pytest

from .tutorials import agreement, blocks


@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.parametrize("heading", ["Classification", "Segmentation", "Detection", "Generation"])
def test_a_tutorial_runs(heading: str, tmp_path: Path) -> None:
    found = agreement(blocks("vision.md", "test_vision.py", heading), tmp_path)
    assert found > 0.999 if heading == "Segmentation" else found < 1e-4
