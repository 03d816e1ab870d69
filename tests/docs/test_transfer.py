"""The tutorial on transfer learning runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "transfer.md").read_text(encoding="utf-8")


@pytest.mark.processes
def test_the_first_run_runs(tmp_path):
    pattern = r"<!-- tests/docs/test_transfer.py runs this -->\n```python\n(.*?)```"
    (code,) = re.findall(pattern, PAGE, re.DOTALL)
    (tmp_path / "example.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "example.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    accuracies, blocks = done.stdout.strip().splitlines()
    assert all(float(accuracy) > 0.5 for accuracy in accuracies.split())  # chance is a half
    assert "stem" in blocks


def test_every_backbone_is_in_the_table():
    from archsmith.transfer.pretrained import backbones

    for name in backbones.names():
        assert f"`{name}`" in PAGE or f"`-{name.rpartition('-')[2]}`" in PAGE
