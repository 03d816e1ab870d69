"""What docs/zero-shot.md shows is what works."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "zero-shot.md").read_text(encoding="utf-8")
MARKED = re.findall(
    r"<!-- tests/docs/test_zeroshot.py runs this[^\n]* -->\n```python\n(.*?)```", PAGE, re.DOTALL
)
#: Stands for the pretrained encoder: which of some words a text has.
ENCODER = """
import torch
def text_encoder(name):
    words = ("where", "place", "who", "person", "question")
    return lambda texts: torch.tensor([[float(w in t.lower()) for w in words] for t in texts])
"""


def run(code: str, folder: Path, *more: str) -> str:
    (folder / "example.py").write_text(code, encoding="utf-8")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *more, "example.py"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def percent(text: str, after: str) -> float:
    found = re.search(rf"{re.escape(after)} ([\d.]+)", text)
    assert found, text
    return float(found[1])


@pytest.mark.processes
def test_attributes(tmp_path):
    out = run(MARKED[0], tmp_path)
    assert percent(out, "unseen:") > 60
    assert "chance 33 %" in out
    assert percent(out, "AUSUC") > 0.4
    done = subprocess.run(
        [sys.executable, "-m", "archsmith.cli", "zeroshot", "segments.npz"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "of 3 unseen classes" in done.stdout


@pytest.mark.slow
def test_texts_with_an_encoder_of_its_own(tmp_path):
    line = next(line for line in MARKED[1].splitlines() if "text_encoder  " in line)
    code = (
        MARKED[1]
        .replace(line, ENCODER)
        .replace('"a question about a place"', '"where: a question about a place"')
        .replace('"a question about a person"', '"who: a question about a person"')
    )
    assert run(code, tmp_path).strip() == "['place', 'person']"


@pytest.mark.slow
def test_two_towers(tmp_path):
    assert percent(run(MARKED[2], tmp_path), "had:") > 25
