from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from archsmith._support.errors import InputError
from archsmith.task.base import ReadOptions
from archsmith.task.problem import open_problem
from archsmith.workflow.reopening import reopen


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    images, labels = np.zeros((40, 8, 8), np.uint8), np.arange(40) % 2
    np.savez("x.npz", x=images, y=labels)
    parts = {
        f"{n}_{part}": v
        for n, v in (("x", images), ("y", labels))
        for part in ("train", "val", "test")
    }
    np.savez("parts.npz", **parts)  # type: ignore[arg-type]
    np.savez("rows.npz", x=np.random.RandomState(0).rand(40, 3), y=labels)
    Path("t.csv").write_text("a,label\n" + "".join(f"{i}.5,{i % 2}\n" for i in range(40)))
    Path("t.txt").write_text("some words " * 100)
    for name in "ab":
        Path("pictures", name).mkdir(parents=True)
        for i in range(12):
            Image.new("L", (8, 8), i).save(Path("pictures", name, f"{i}.png"))
    return tmp_path


@pytest.mark.parametrize(
    ("source", "task", "options", "flag"),
    [
        ("digits", None, {"unreadable": "skip"}, "--unreadable"),
        ("digits", None, {"decimal": "comma"}, "--decimal"),
        ("x.npz", None, {"unreadable": "skip"}, "--unreadable"),
        ("pictures", None, {"channels": "last"}, "--channels"),
        ("iris", None, {"image_size": 16}, "--image-size"),
        ("iris", None, {"decimal": "point"}, "--decimal"),
        ("rows.npz", None, {"decimal": "point"}, "--decimal"),
        ("t.csv", None, {"image_size": 16}, "--image-size"),
        ("t.csv", None, {"channels": "first"}, "--channels"),
        ("t.txt", "masked-prediction", {"target": "a"}, "--target"),
        ("x.npz", "self-supervised", {"target": "y"}, "--target"),
        ("parts.npz", None, {"seed": 1}, "--split-seed"),
        ("parts.npz", None, {"validation": 0.3}, "--validation"),
        ("parts.npz", None, {"test": 0.3}, "--test"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(
    here: Path, source: str, task: str | None, options: dict[str, object], flag: str
) -> None:
    with pytest.raises(InputError, match=rf"(?s)would have no effect\n.*leave {flag} out"):
        open_problem(None, source, task=task, options=ReadOptions(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("source", "options"),
    [
        ("pictures", {"unreadable": "skip", "image_size": 8, "seed": 2}),
        ("x.npz", {"image_size": 4, "target": "y", "validation": 0.3}),
        ("rows.npz", {"unreadable": "skip"}),
        ("t.csv", {"unreadable": "skip", "decimal": "point", "target": "label"}),
        ("digits", {"image_size": 4}),
    ],
)
def test_an_option_that_does_something_is_taken(
    here: Path, source: str, options: dict[str, object]
) -> None:
    problem = open_problem(None, source, options=ReadOptions(**options))  # type: ignore[arg-type]
    assert len(problem.data.train) > 0


def test_a_study_of_before_goes_on_with_the_options_that_it_had(here: Path) -> None:
    meta = open_problem(None, "t.csv").to_json()
    assert "decimal" not in meta["read"]
    kept = meta | {"read": meta["read"] | {"image_size": 16}, "arguments": {}}
    assert reopen(kept, data="t.csv").options.image_size == 16
