"""What a search begins with where the user says so, and the same architecture trained larger."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

import archsmith as nas
from archsmith._support.errors import InputError, SpaceError, UnknownNameError
from archsmith._support.options import values_of
from archsmith.cli.door import run as command
from archsmith.workflow.larger import enlarged
from archsmith.workflow.plan import SearchPlan


def net(channels: int, classes: int, layers: int = 1) -> nn.Module:
    width: int = nas.choose("width", [4, 8, 16])
    first = nn.Conv2d(channels, width, 3, padding=1)
    more = [nn.Conv2d(width, width, 3, padding=1) for _ in range(layers)]
    pool = nn.AdaptiveAvgPool2d(1), nn.Flatten()
    return nn.Sequential(first, *more, *pool, nn.Linear(width, classes))


SHORT = {"epochs": 1, "final_epochs": 1, "finalists": 1, "trials": 1}


def test_a_search_begins_with_the_answers_that_are_given():
    result = nas.search(net, "digits", start={"width": 8}, share=0.1, **{**SHORT, "finalists": 0})
    assert [trial.architecture["width"] for trial in result.history.trials] == [8]


def test_a_published_architecture_brings_its_space_and_arguments(tmp_path):
    result = nas.search(data="digits", start="resnet20", share=0.1, **{**SHORT, "finalists": 0})
    (trial,) = result.history.trials
    assert trial.architecture["block.basic.shortcut"] == "padded"
    assert trial.metrics["params"] == pytest.approx(269_722 - 2 * 9 * 16, abs=0)  # one channel


@pytest.mark.parametrize(
    ("plan", "error", "words"),
    [
        ({"start": "resnet21"}, UnknownNameError, "architecture"),
        ({"start": "resnet20", "space": "convnet"}, InputError, "leave the space out"),
        ({"start": '{"width"'}, InputError, "JSON object"),
        ({"start": {"depth": 3}, "space": net}, SpaceError, "width"),
        ({"start": {"width": 5}, "space": net}, SpaceError, r"\[4, 8, 16\]"),
        ({"arguments": "layers"}, InputError, "name=value"),
        ({"arguments": "cells=2", "space": net}, SpaceError, "layers"),
    ],
)
def test_what_cannot_be_begun_with_is_refused(plan, error, words):
    with pytest.raises(error, match=words):
        nas.search(data="digits", **plan, **SHORT)


def test_values_are_json_or_words():
    text = "cells=3, widths=[8, 16],kind=small,none=null"
    found = {"cells": 3, "widths": [8, 16], "kind": "small", "none": None}
    assert values_of(text, "arguments") == found
    for wrong in ("cells", "=3", "a=1,a=2", "a="):
        with pytest.raises(InputError, match="separated by commas"):
            values_of(wrong, "arguments")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "small"
    data = tmp_path_factory.mktemp("data")
    write_images(data)
    search = {**SHORT, "start": {"width": 8}, "run": folder, "arguments": {"layers": 2}}
    nas.search(net, str(data), **search, read=nas.ReadOptions(image_size=8))
    return folder


def write_images(folder: Path) -> None:
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for name, shade in (("dark", 60), ("light", 190)):
        (folder / name).mkdir()
        for number in range(30):
            pixels = rng.integers(shade - 50, shade + 50, (12, 12), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")


def test_what_was_found_small_is_trained_large(small, tmp_path):
    run = nas.Run(small, space=net)
    plan = enlarged(run, {"layers": 3, "resolution": 12}, tmp_path / "large")
    assert plan.own_arguments == {"layers": 3}
    assert plan.read.image_size == 12
    from dataclasses import replace

    from archsmith.workflow.search import run_plan

    result = run_plan(replace(plan, space=net, final_epochs=1))
    assert result.best.architecture["width"] == 8
    assert sum(isinstance(m, nn.Conv2d) for m in result.best.model.modules()) == 4
    assert result.problem.data.facts["height"] == 12
    assert result.best.test["accuracy"] > 0.4


def test_a_larger_training_needs_changes_and_a_folder_of_its_own(small, tmp_path):
    run = nas.Run(small, space=net)
    with pytest.raises(InputError, match="resolution"):
        enlarged(run, {}, tmp_path / "large")
    with pytest.raises(InputError, match="another run folder"):
        enlarged(run, {"layers": 3}, small)
    assert isinstance(enlarged(run, {"layers": 3}, tmp_path / "large"), SearchPlan)


def test_the_command_names_what_is_missing(capsys, monkeypatch, small):
    monkeypatch.setattr("sys.argv", ["archsmith", "train", str(small), "--scale", "layers=3"])
    with pytest.raises(SystemExit) as ended:
        command()
    assert ended.value.code == 2
    assert "--to FOLDER" in capsys.readouterr().err
