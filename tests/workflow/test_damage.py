"""Damaged, tampered and oversized files end in a sentence and status 2."""

from __future__ import annotations

import io
import json
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import archsmith as nas
import fuzzing
from archsmith._support.errors import ArchsmithError, DamagedError, DataError
from archsmith.data import levels
from archsmith.workflow import run as run_module


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    return fuzzing.Seeds(tmp_path_factory.mktemp("seeds"))


def told(done) -> str:
    assert done.status == 2, done.err
    assert "Traceback" not in done.err
    return done.err


def npz(path: Path, header: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("x.npy", header)
        targets = io.BytesIO()
        np.save(targets, np.arange(100) % 2)
        file.writestr("y.npy", targets.getvalue())
    return path


def test_headers_that_lie(archsmith, tmp_path):
    head = io.BytesIO()
    shape = {"descr": "<f8", "fortran_order": False, "shape": (100, 10**9)}
    np.lib.format.write_array_header_1_0(head, shape)
    told(archsmith("search", npz(tmp_path / "liar.npz", head.getvalue() + b"\0" * 800)))
    deep = b"(" * 8000
    head = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(deep)) + deep
    told(archsmith("search", npz(tmp_path / "deep.npz", head)))
    np.savez(tmp_path / "none.npz", x=np.zeros((40, 0, 0), np.uint8), y=np.arange(40) % 2)
    assert "pixels" in told(archsmith("search", tmp_path / "none.npz"))


@pytest.mark.slow
def test_sizes_that_no_memory_holds(archsmith, tmp_path, monkeypatch):
    assert "4096" in told(archsmith("search", "digits", "--image-size", 100000))
    from PIL import Image

    Image.new("1", (20_000, 10_000)).save(tmp_path / "bomb.png")
    with pytest.raises(ValueError, match="89,000,000"):
        levels.open_image(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with pytest.raises(ValueError, match="20000 by 10000"):
        levels.open_image(tmp_path / "bomb.png")
    from archsmith.data.raw import expect_room

    with pytest.raises(DataError, match="GiB free"):
        expect_room("here", 2**60)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"trials = ", b'run = ""'])
def test_options_from_a_damaged_file(archsmith, tmp_path, content):
    (tmp_path / "c.toml").write_bytes(content)
    told(archsmith("search", "iris", "--config", tmp_path / "c.toml"))


@pytest.mark.parametrize(
    "arguments",
    [
        ("search", "iris", "--run", ""),
        ("search", "iris", "--run="),
        ("export", "r", "--to", ""),
        ("search", "iris", "--device", "meta"),
        ("show", "x" * 300),
        ("predict", "x" * 300, "r.csv"),
        ("search", "x" * 300),
    ],
)
def test_values_that_name_nothing(archsmith, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    told(archsmith(*arguments))
    assert not list(tmp_path.iterdir())


TAMPERED = [
    "delete from meta where name = 'objectives'",
    "update meta set value = '[[1]]' where name = 'limits'",
    "update meta set value = '7' where name = 'recipe'",
    "update meta set value = '{\"zzz\": 1}' where name = 'read'",
    "update meta set value = '\"x\"' where name = 'fidelity'",
    "update events set data = json_set(data, '$.metrics.accuracy', 'high') where kind = 'ended'",
    "update events set data = json_remove(data, '$.architecture') where kind = 'proposed'",
    "update events set data = '[[[' where kind = 'ended'",
    "update events set data = x'fffe' where kind = 'ended'",
]


@pytest.mark.slow
@pytest.mark.parametrize("change", TAMPERED)
def test_a_record_that_was_changed(archsmith, seeds, tmp_path, change):
    shutil.copytree(seeds.folder / "run", tmp_path / "run")
    db = sqlite3.connect(tmp_path / "run" / "study.db")
    db.execute(change)
    db.commit()
    db.close()
    for command in (["show"], ["show", "--json"], ["report"], ["train", "--trial", 1]):
        done = archsmith(command[0], tmp_path / "run", *command[1:])
        assert "Traceback" not in done.err
        assert done.status in (0, 2), done.err
    told(archsmith("train", tmp_path / "run", "--trial", 1))


@pytest.mark.slow
@pytest.mark.parametrize("text", ["[" * 200_000, "{}", '{"format": 1}', "\x00"])
def test_an_export_whose_record_is_damaged(archsmith, seeds, tmp_path, text):
    shutil.copytree(seeds.folder / "model", tmp_path / "model")
    (tmp_path / "model" / "architecture.json").write_text(text)
    told(archsmith("predict", tmp_path / "model", seeds.folder / "r.csv"))


@pytest.mark.slow
def test_an_export_without_what_prediction_needs(archsmith, seeds, tmp_path):
    shutil.copytree(seeds.folder / "model", tmp_path / "model")
    path = tmp_path / "model" / "architecture.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"facts": {}}))
    told(archsmith("predict", tmp_path / "model", seeds.folder / "r.csv"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("column", [0.0, 1.0, 2.5, 3.0]),
        ("column", [0, 1, 2, 99]),
        ("mean", [0.0]),
        ("std", [[1.0, 2.0], [3.0, 4.0]]),
        ("code", ["a", "b", "c", "d"]),
    ],
)
def test_an_export_whose_statistics_do_not_fit(archsmith, seeds, tmp_path, name, values):
    """Python takes most of them, torch does not."""
    shutil.copytree(seeds.folder / "model", tmp_path / "model")
    path = tmp_path / "model" / "architecture.json"
    record = json.loads(path.read_text())
    record["facts"]["expansion"][name] = values
    path.write_text(json.dumps(record))
    told(archsmith("predict", tmp_path / "model", seeds.folder / "r.csv"))
    told(archsmith("features", tmp_path / "model", "iris", "--to", tmp_path / "f.npz"))


@pytest.mark.slow
def test_a_few_rounds_of_the_fuzzer(seeds):
    cases = [*fuzzing.byte_cases(seeds), *fuzzing.value_cases(seeds)]
    faults = {why for case in cases for n in range(2) if (why := fuzzing.attempt(case, str(n))[1])}
    assert not faults


def test_the_fuzzer_sees_a_fault(seeds):
    def broken(path: Path) -> None:
        raise KeyError("nothing")

    def refused(path: Path) -> None:
        raise DamagedError("a", "b")

    make = fuzzing.value_cases(seeds)[0][1]
    assert fuzzing.attempt(("x", make, broken), "0")[0] == "fault"
    assert fuzzing.attempt(("x", make, refused), "0")[0] == "told"
    assert issubclass(DamagedError, ArchsmithError)


@pytest.mark.slow
def test_a_failing_report_costs_no_result(tmp_path, monkeypatch):
    def fails(self, path=None):
        raise UnicodeEncodeError("utf-8", "\udce4", 0, 1, "surrogates not allowed")

    monkeypatch.setattr(run_module.Run, "report", fails)
    result = nas.search(
        data="iris", trials=1, epochs=1, final_epochs=1, finalists=1, run=tmp_path / "run"
    )
    assert result.best is not None
    assert result.report is None
    assert "no report: UnicodeEncodeError" in result.problems[-1]


@pytest.mark.slow
def test_the_file_alone_has_the_study_when_its_session_ended(tmp_path):
    looking = None
    result = nas.search(data="iris", trials=2, epochs=1, finalists=0, run=tmp_path / "run")
    looking = sqlite3.connect(tmp_path / "run" / "study.db")
    looking.execute("select count(*) from events").fetchall()
    nas.search(data="iris", trials=3, epochs=1, finalists=0, run=tmp_path / "run")
    (tmp_path / "copy").mkdir()
    shutil.copy(tmp_path / "run" / "study.db", tmp_path / "copy")
    looking.close()
    assert len(result.history.trials) == 2
    assert len(nas.Run(tmp_path / "copy").history.trials) == 3


def test_ctrl_c_while_the_command_line_is_imported(tmp_path):
    code = (
        "import sys, archsmith.cli, os, signal, importlib.abc\n"
        "class Press(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'typer': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Press())\n"
        "sys.argv = ['archsmith', 'show', 'nowhere']\n"
        "archsmith.cli.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert done.returncode == 130
    assert done.stderr == "archsmith: interrupted\n"
