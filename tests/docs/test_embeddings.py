"""What docs/embeddings.md shows is what works."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .test_readme import run

TEXT = (Path(__file__).parents[2] / "docs" / "embeddings.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    pattern = rf"<!-- tests/docs/test_embeddings.py runs th\w+ -->\n```{language}\n(.*?)```"
    (found,) = re.findall(pattern, TEXT, re.DOTALL)
    return str(found)


def drawn(rng: np.random.Generator, letter: int) -> Image.Image:
    """A pattern of its own for each letter, and noise."""
    pattern = np.random.default_rng(letter).random((4, 4)).repeat(3, 0).repeat(3, 1)
    noisy = np.clip(pattern + 0.1 * rng.standard_normal((12, 12)), 0, 1)
    return Image.fromarray((255 * noisy).astype(np.uint8))


@pytest.mark.slow
def test_a_new_class_from_one_example(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for letter in range(30):
        place = tmp_path / "letters" / f"letter {letter}"
        place.mkdir(parents=True)
        for number in range(8):
            drawn(rng, letter).save(place / f"{number}.png")
    for letter in (100, 101, 102):  # unknown to the search
        place = tmp_path / "examples" / f"new {letter}"
        place.mkdir(parents=True)
        drawn(rng, letter).save(place / "one.png")
    drawn(rng, 101).save(tmp_path / "asked.png")
    for command in block("bash").strip().splitlines():
        out = run("bash", "-c", command, cwd=tmp_path)
    (answer,) = json.loads(out)
    assert answer["class"] == "new 101"


@pytest.mark.slow
def test_search_without_labels(tmp_path: Path) -> None:
    (tmp_path / "example.py").write_text(block("python"))
    out = run(sys.executable, "example.py", cwd=tmp_path)
    assert re.search(r"0\.\d+ torch\.Size\(\[100, \d+\]\)", out)
