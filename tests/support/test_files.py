"""What archsmith deletes and replaces: names of its own, and nothing through a link."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from archsmith._support import files, weights
from archsmith._support.errors import InputError, RunFolderError
from archsmith.export import bundle
from archsmith.study import SqliteStore, checkpoint_path
from archsmith.study.checkpoints import sweep
from archsmith.supernet import checkpoint
from archsmith.testing.store import META


@pytest.fixture
def dear(tmp_path: Path) -> Path:
    """A folder outside, of somebody's own."""
    folder = tmp_path / "mymodels"
    folder.mkdir()
    for name in ("00007.safetensors", "best.safetensors", "old.safetensors.bak"):
        (folder / name).write_text("precious")
    return folder


def dead_process() -> int:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def test_resuming_touches_nothing_behind_a_link(tmp_path, dear):
    run = tmp_path / "gift"
    with SqliteStore(run) as store:
        store.begin(META)
    (run / "checkpoints").symlink_to(dear)
    with pytest.raises(RunFolderError, match="a link to"):
        SqliteStore(run)
    with pytest.raises(InputError, match="a link to"):
        sweep(run, [])
    assert len(list(dear.iterdir())) == 3


@pytest.mark.parametrize("name", ["study.lock", "study.db", "study.db-wal", "report.html", "final"])
def test_no_file_of_a_run_folder_may_lead_elsewhere(tmp_path, dear, name):
    run = tmp_path / "gift"
    run.mkdir()
    (run / name).symlink_to(dear / "best.safetensors")
    with pytest.raises(RunFolderError, match=re.escape(name)):
        SqliteStore(run)
    assert (dear / "best.safetensors").read_text() == "precious"


def test_a_run_folder_may_be_a_link_itself(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "disk")
    with SqliteStore(tmp_path / "run") as store:
        store.begin(META)
    assert (tmp_path / "disk" / "study.db").exists()


def test_weights_of_other_names_stay(tmp_path):
    for number in range(3):
        weights.write(checkpoint_path(tmp_path, number), {"w": torch.ones(1)})
    place = tmp_path / "checkpoints"
    others = ["best.safetensors", "mine.safetensors.bak", "1.safetensors", "00001.safetensors.txt"]
    for name in others:
        (place / name).write_text("mine")
    (place / "00009.safetensors").mkdir()
    (place / f"00008.safetensors.{dead_process()}.tmp").write_text("half")
    sweep(tmp_path, [1])
    left = {path.name for path in place.iterdir()}
    assert left == {*others, "00001.safetensors", "00009.safetensors"}


def test_half_written_files_go_when_their_writer_is_gone(tmp_path):
    gone = tmp_path / f"supernet.safetensors.{dead_process()}.tmp"
    busy = tmp_path / f"supernet.safetensors.{os.getppid()}.tmp"
    others = [tmp_path / name for name in ("notes.tmp", "a.b.tmp", "supernet.safetensors")]
    for path in (gone, busy, *others):
        path.write_text("")
    sweep(tmp_path, [])
    assert set(tmp_path.iterdir()) == {busy, *others}


def test_a_link_is_replaced_and_not_what_it_points_to(tmp_path, dear):
    link = tmp_path / "00007.safetensors"
    link.symlink_to(dear / "best.safetensors")
    half = tmp_path / f"00007.safetensors.{os.getpid()}.tmp"
    half.symlink_to(dear / "old.safetensors.bak")
    weights.write(link, {"w": torch.ones(1)})
    assert not link.is_symlink()
    assert not half.exists()
    assert {path.read_text() for path in dear.iterdir()} == {"precious"}


def test_lines_are_not_added_through_a_link(tmp_path, dear):
    link = tmp_path / "scores.jsonl"
    link.symlink_to(dear / "best.safetensors")
    with pytest.raises(OSError, match="symbolic links"):
        files.append_line(link, "{}")
    assert (dear / "best.safetensors").read_text() == "precious"


def test_checkpoints_of_a_supernet_leave_what_is_not_theirs(tmp_path, dear):
    folder = tmp_path / "supernet"
    for name in ("epoch-00001", "epoch-00002.tmp", "epoch-backup"):
        (folder / name).mkdir(parents=True)
        (folder / name / "supernet.safetensors").write_text("")
    (folder / "epoch-00001" / "notes.txt").write_text("mine")
    (folder / "epoch-00003").symlink_to(dear)
    assert checkpoint.latest(folder) == folder / "epoch-00001"
    checkpoint.remove(folder)
    left = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    assert left == {
        "epoch-00001",
        "epoch-00001/notes.txt",
        "epoch-backup",
        "epoch-00003",
        "epoch-backup/supernet.safetensors",
    }
    assert len(list(dear.iterdir())) == 3
    link = tmp_path / "link"
    link.symlink_to(folder)
    with pytest.raises(InputError, match="a link to"):
        checkpoint.remove(link)


def test_leftovers_of_killed_exports_go_and_their_neighbours_stay(tmp_path, dear):
    target = tmp_path / "out"
    mine = tmp_path / f".out.{dead_process()}.tmp"
    half = tmp_path / ".out.123456.tmp"
    for folder in (mine, half, tmp_path / ".out.7.tmp.bak", tmp_path / ".outer.7.tmp"):
        folder.mkdir()
        (folder / "model.pt2").write_text("half")
    (mine / "thesis.txt").write_text("mine")
    (tmp_path / ".out.8.tmp").symlink_to(dear)
    with bundle._workplace(target) as work:
        (work / "model.pt2").write_text("")
        assert not half.exists()
        assert [path.name for path in mine.iterdir()] == ["thesis.txt"]
        bundle._clear_leftovers(target)
        assert work.exists(), "one that is being written is no leftover"
    assert not work.exists()
    assert (tmp_path / ".out.7.tmp.bak" / "model.pt2").exists()
    assert (tmp_path / ".outer.7.tmp" / "model.pt2").exists()
    assert len(list(dear.iterdir())) == 3


def test_an_export_killed_between_the_old_one_and_the_new_comes_back(tmp_path):
    old = tmp_path / ".out.123456.old"
    old.mkdir()
    (old / "model.pt2").write_text("whole")
    with pytest.raises(ZeroDivisionError), bundle._workplace(tmp_path / "out"):
        raise ZeroDivisionError
    assert (tmp_path / "out" / "model.pt2").read_text() == "whole"
    assert not old.exists()


def test_weights_can_be_read_by_whom_other_files_can(tmp_path):
    (tmp_path / "plain").write_text("as the user's mask has it")
    weights.write(tmp_path / "weights.safetensors", {"a": torch.ones(2)})
    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(modes) == 1
