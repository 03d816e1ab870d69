"""Weights that a run folder keeps: damage is noticed, told and mended; no winner changes unsaid."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

import archsmith as nas
from archsmith.errors import InputError
from archsmith.weights import header, read, write

BUDGET = {"trials": 4, "epochs": 1, "final_epochs": 3, "finalists": 2}


def net(features: int, classes: int) -> nn.Module:
    width = nas.choose("width", [4, 6, 8, 10, 12])
    return nn.Sequential(nn.Linear(features, width), nn.ReLU(), nn.Linear(width, classes))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished") / "run"
    nas.search(net, "iris", run=folder, **BUDGET)
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def finals(run: Path) -> list[Path]:
    found = sorted((run / "final").glob("*.safetensors"))
    return [path for path in found if path.stem != "examples"]


def noise(path: Path) -> None:
    path.write_bytes(random.Random(0).randbytes(50))


def one_bit(path: Path) -> None:
    """Still a safetensors file, of the right names and shapes: nothing but a checksum can tell."""
    content = bytearray(path.read_bytes())
    content[-3] ^= 0x40
    path.write_bytes(bytes(content))


def swapped(path: Path) -> None:
    """A whole file, with tensors that fit, from elsewhere."""
    tensors, meta = read(path)
    write(path, {name: torch.zeros_like(tensor) for name, tensor in tensors.items()}, meta)


@pytest.mark.parametrize("damage", [noise, one_bit, swapped, Path.unlink])
def test_damaged_finals_are_trained_again_and_the_winner_stays(damage, run, archsmith, tmp_path):
    before = nas.Run(run).record.notes
    whole = {path.name: path.read_bytes() for path in finals(run)}
    assert len(whole) >= 2
    for path in finals(run):
        damage(path)
    done = archsmith("export", run, "--to", tmp_path / "out")
    assert done.status == 2
    assert f"archsmith train {run}" in done.err
    result = nas.search(net, "iris", run=run, **BUDGET)
    again = [problem for problem in result.problems if "to the end again" in problem]
    assert len(again) >= 2
    notes = nas.Run(run).record.notes
    assert (notes["winner"], notes["default"]) == (before["winner"], before["default"])
    assert result.best is not None
    assert result.best.test == before[f"final.{before['winner']}"]["test"]
    assert {path.name: path.read_bytes() for path in finals(run)} == whole
    assert "to the end again" in (run / "report.html").read_text()


def test_a_training_tells_that_the_file_was_damaged(run, archsmith, tmp_path):
    winner = nas.Run(run).record.notes["winner"]
    path = run / "final" / f"{winner}.safetensors"
    one_bit(path)
    done = archsmith("train", run)
    assert done.status == 0
    assert "to the end again" in done.err
    assert "changed since" in done.err
    assert archsmith("train", run).err.count("again") == 0
    assert archsmith("export", run, "--to", tmp_path / "out", "--no-onnx").status == 0


def test_notes_of_an_older_archsmith_have_no_checksum(run):
    opened = nas.Run(run)
    winner = opened.record.notes["winner"]
    note = dict(opened.record.notes[f"final.{winner}"])
    del note["checksum"]
    path = run / "final" / f"{winner}.safetensors"
    from safetensors.torch import load_file, save_file

    from archsmith.study import SqliteStore

    save_file(load_file(path), path)  # as older ones wrote it
    with SqliteStore(run) as store:
        store.note(f"final.{winner}", note)
    assert nas.Run(run).train().number == note["number"]


@pytest.mark.parametrize("damage", [noise, one_bit])
def test_damaged_shared_weights_are_refused(damage: Callable[[Path], None], tmp_path):
    space = nas.Space(net, features=4, classes=3)
    supernet = nas.Supernet(space)
    path = tmp_path / "supernet.safetensors"
    supernet.save(path)
    assert nas.Supernet.load(path, space)
    damage(path)
    with pytest.raises(InputError, match="supernet"):
        nas.Supernet.load(path, space)


def test_a_file_carries_the_checksum_of_all_that_is_in_it(tmp_path):
    path = tmp_path / "w.safetensors"
    tensors = {
        "a": torch.arange(6.0).view(2, 3), "b": torch.tensor(7), "c": torch.empty(0, 4),
        "d": torch.ones(3, dtype=torch.bfloat16), "e": torch.tensor([True, False]),
    }  # fmt: skip
    made = write(path, tensors, {"about": "x"})
    back, meta = read(path, made)
    assert meta == {"about": "x"}
    assert all(torch.equal(back[name], tensor) for name, tensor in tensors.items())
    assert made in header(path).values()
    assert made != write(path, tensors, {"about": "y"})
    assert made != write(path, tensors | {"b": torch.tensor(8)}, {"about": "x"})
    assert made != write(path, tensors | {"a": torch.arange(6.0).view(3, 2)}, {"about": "x"})
    with pytest.raises(InputError, match="another one"):
        read(path, made)
    content = path.read_bytes().replace(json.dumps("about").encode(), b'"abovt"')
    path.write_bytes(content)
    with pytest.raises(InputError, match="changed since"):
        read(path)
