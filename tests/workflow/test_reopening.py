"""Run folders from strangers run and open nothing; one's own go on by themselves."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import archsmith as nas
from archsmith._support import signing
from archsmith._support.errors import InputError
from archsmith.export import predict

SMALL = {"trials": 1, "epochs": 1, "final_epochs": 1, "finalists": 1}
#: Leaves a file behind when it is imported, and when its builder runs.
MODEL = """\
from pathlib import Path
from torch import nn
import archsmith as nas

Path(__file__).with_name("imported").touch()

def net(features: int, classes: int, hidden: int = 6) -> nn.Module:
    width = nas.choose("width", [hidden, 2 * hidden])
    return nn.Sequential(nn.Linear(features, width), nn.ReLU(), nn.Linear(width, classes))
"""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder of settings of its own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    return tmp_path / "settings"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study of registered names."""
    folder = tmp_path_factory.mktemp("plain") / "run"
    nas.search("mlp", "iris", run=folder, **SMALL)
    return folder


def copied(plain: Path, to: Path, changes: Mapping[str, Any]) -> Path:
    """A copy of a study whose record says other things, as a stranger would send it."""
    shutil.copytree(plain, to)
    with sqlite3.connect(to / "study.db") as db:
        for name, value in changes.items():
            db.execute("UPDATE meta SET value = ? WHERE name = ?", (json.dumps(value), name))
    return to


def own_study(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study on a table and a builder of one's own."""
    folder.mkdir()
    monkeypatch.setattr(sys, "path", list(sys.path))
    (folder / f"own_{folder.name}.py").write_text(MODEL)
    rows = "".join(f"{i % 7},{i % 5},{'ab'[i % 7 > 3]}\n" for i in range(120))
    (folder / "t.csv").write_text("x,y,label\n" + rows)
    space = f"{folder}/own_{folder.name}.py:net"
    nas.search(space, folder / "t.csv", run=folder / "run", **SMALL)
    (folder / "imported").unlink()
    sys.modules.pop(f"own_{folder.name}")
    return folder / "run"


DOORS: list[tuple[str, int]] = [("show", 0), ("report", 0), ("export", 2), ("train", 2)]


@pytest.mark.slow
@pytest.mark.parametrize(("door", "status"), DOORS)
def test_a_strangers_reference_is_not_called(door, status, plain, tmp_path, archsmith):
    touched = tmp_path / "executed"
    gift = copied(
        plain,
        tmp_path / "gift",
        {"reference": "os:system", "arguments": {"command": f"touch {touched}"}},
    )
    to = ["--to", tmp_path / "out"] if door == "export" else []
    done = archsmith(door, gift, *to)
    assert done.status == status, done.err
    assert not touched.exists()
    if door != "show":
        assert "'os:system'" in done.err
        assert "--space" in done.err
        assert "hint: check it" in done.err
    if door == "report":
        page = (gift / "report.html").read_text()
        assert "no diagram" in page
        assert "no predictions" in page
        assert "--space" in page


@pytest.mark.slow
@pytest.mark.parametrize("door", ["report", "export", "train", "trust"])
def test_a_strangers_file_is_not_imported_nor_its_data_read(
    door, settings, tmp_path, monkeypatch, archsmith
):
    run = own_study(tmp_path / f"by{door}", monkeypatch)
    (settings / "archsmith" / "key").unlink()  # as on a machine of somebody else
    os.mkfifo(tmp_path / "pipe.csv")  # reading it would never end
    with sqlite3.connect(run / "study.db") as db:
        db.execute(
            "UPDATE meta SET value = ? WHERE name = 'data'",
            (json.dumps(str(tmp_path / "pipe.csv")),),
        )
    to = ["--to", tmp_path / "out"] if door == "export" else []
    done = archsmith(door, run, *to)
    assert done.status == (0 if door == "report" else 2)
    if door != "trust":  # which stops earlier: there are no shared weights
        # An export needs no data: what it has to know of it stands in the folder.
        assert "--space SPACE" + ("" if door == "export" else " --data DATA") in done.err
    assert not (run.parent / "imported").exists()


@pytest.mark.slow
def test_what_the_caller_names_is_opened(settings, tmp_path, monkeypatch, archsmith):
    run = own_study(tmp_path / "named", monkeypatch)
    (settings / "archsmith" / "key").unlink()
    named = ["--space", f"{run.parent}/own_named.py:net", "--data", run.parent / "t.csv"]
    for command in (["train", run], ["export", run, "--to", tmp_path / "out", "--no-onnx"]):
        assert archsmith(*command).status == 2
        done = archsmith(*command, *named)
        assert done.status == 0, done.err
    done = archsmith("report", run, *named)
    assert (done.status, done.err) == (0, "")
    wrong = archsmith("report", run, "--space", "mpl", *named[2:])
    assert wrong.status == 2
    assert "did you mean 'mlp'" in wrong.err


@pytest.mark.slow
def test_ones_own_folder_goes_on_by_itself_and_a_search_signs_it(
    settings, tmp_path, monkeypatch, archsmith
):
    run = own_study(tmp_path / "mine", monkeypatch)
    assert archsmith("report", run).err == ""
    assert archsmith("train", run).status == 0
    key = settings / "archsmith" / "key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    # A folder from before there were signatures is a stranger's, until the user searches on it.
    with sqlite3.connect(run / "study.db") as db:
        db.execute("DELETE FROM meta WHERE name IN ('signature', 'latency')")
    assert archsmith("train", run).status == 2
    nas.search(f"{run.parent}/own_mine.py:net", run.parent / "t.csv", run=run, **SMALL)
    assert archsmith("train", run).status == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("arguments", {"features": 2, "classes": 2, "hidden": 7}),
        ("data", "/etc/hostname"),
        ("read", {"seed": 1}),
        ("recipe", {"epochs": 100_000}),
        ("signature", "0" * 64),
        ("signature", "é"),
        ("signature", None),
    ],
)
def test_any_change_makes_a_record_a_strangers(
    name, value, settings, tmp_path, monkeypatch, archsmith
):
    run = own_study(tmp_path / "changed", monkeypatch)
    with sqlite3.connect(run / "study.db") as db:
        db.execute("UPDATE meta SET value = ? WHERE name = ?", (json.dumps(value), name))
    done = archsmith("train", run)
    assert done.status == 2
    assert "carries your own signature" in done.err
    assert not (run.parent / "imported").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "hostile",
    [
        10**12,
        float("inf"),
        "/etc/passwd",
        "../secret",
        "os:system",
        "model.py",
        ["a/b"],
        {"../x": 1},
        [[[[[1]]]]],
        [1] * 2000,
    ],
    ids=str,
)
def test_a_registered_space_is_not_called_with_anything(hostile, plain, tmp_path, archsmith):
    gift = copied(plain, tmp_path / "gift", {"arguments": {"features": 4, "outputs": hostile}})
    done = archsmith("train", gift)
    assert done.status == 2
    assert "argument 'outputs'" in done.err
    assert "nas.Run" in done.err
    model = tmp_path / "model"
    nas.Run(plain).export(model, onnx=False)
    record = json.loads((model / "architecture.json").read_text())
    record["space"]["arguments"]["outputs"] = hostile
    (model / "architecture.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="argument 'outputs'"):
        predict(model, tmp_path / "x.csv")


@pytest.mark.slow
def test_a_registered_study_of_a_stranger_works_without_flags(plain, tmp_path, archsmith):
    gift = copied(plain, tmp_path / "gift", {"signature": ""})
    assert archsmith("train", gift).status == 0
    assert archsmith("export", gift, "--to", tmp_path / "out", "--no-onnx").status == 0
    assert archsmith("report", gift).err == ""


def test_where_no_key_can_be_kept_the_message_says_what_to_do(tmp_path, monkeypatch, archsmith):
    (tmp_path / "settings").write_text("a file where the folder would be")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    run = own_study(tmp_path / "keyless", monkeypatch)
    assert nas.Run(run).meta["signature"] == ""
    done = archsmith("train", run)
    assert done.status == 2
    assert "--space SPACE --data DATA" in done.err
    # The search itself was told both, so its report has the pictures.
    assert "no diagram" not in (run / "report.html").read_text()


def test_a_signature_is_of_these_values_by_this_key(settings, monkeypatch, tmp_path):
    values = {"b": [1, 2.5, None], "a": {"x": "é"}}
    made = signing.sign(values)
    assert signing.signed({"a": {"x": "é"}, "b": [1, 2.5, None]}, made)
    assert not signing.signed(values | {"b": [1, 2.5]}, made)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "another"))
    assert not signing.signed(values, made), "there is no key yet"
    assert signing.sign(values) not in ("", made)
    assert not signing.signed(values, made)
    signing.key_path().write_bytes(b"short")
    assert signing.sign(values) == ""
    # Known answer: HMAC-SHA256 of RFC 4231, test case 1, over a text that is not JSON's.
    monkeypatch.setattr(signing.json, "dumps", lambda *_, **__: "Hi There")
    assert signing._signature(b"\x0b" * 20, {}).startswith("b0344c61d8db38535ca8afceaf0bf12b")


def test_two_processes_that_make_a_key_at_once_agree(settings, monkeypatch):
    link: Callable[..., None] = os.link

    def late(half: Path, path: Path) -> None:
        path.write_bytes(b"k" * 32)  # the other process was quicker
        link(half, path)

    monkeypatch.setattr(os, "link", late)
    signing.sign({})
    assert signing.key_path().read_bytes() == b"k" * 32
    assert [path.name for path in signing.key_path().parent.iterdir()] == ["key"]
