"""``archsmith profile`` on the command line."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from archsmith.cli import main
from archsmith.cli.commands import app

PLANTED = """
from torch import nn
import archsmith as nas

def space(features, outputs):
    width = nas.choose("width", [8, 12])
    wrong = nas.choose("wrong", [False, True])
    return nn.Sequential(nn.Linear(features, width), nn.Linear(8 if wrong else width, outputs))
"""
SOUND = PLANTED.replace("8 if wrong else width", "width")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    # One place for all tests: a module of one name cannot come from two files.
    made = tmp_path_factory.mktemp("profiled")
    (made / "planted_net.py").write_text(PLANTED)
    (made / "sound_net.py").write_text(SOUND)
    return made


@pytest.fixture
def folder(place, monkeypatch):
    monkeypatch.chdir(place)
    return place


def run(*arguments):
    return CliRunner().invoke(app, ["profile", *arguments])


def status(monkeypatch, capsys, *arguments):
    monkeypatch.setattr("sys.argv", ["archsmith", "profile", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code, capsys.readouterr().err


def test_a_sound_net_is_told_in_words_with_a_command(folder):
    done = run(
        "sound_net.py:space", "--data", "iris", "--limit", "params<=100", "--to", "page.html"
    )
    assert done.exit_code == 0, done.output
    for text in ("4 architectures", "Limits", "params<=100: kept by", "wrong changes nothing"):
        assert text in done.output
    command = next(line for line in done.output.splitlines() if line.startswith("archsmith search"))
    assert "sound_net.py:space" in command
    assert "--limit 'params<=100'" in command
    assert "params" in (folder / "page.html").read_text()


def test_a_broken_space_ends_with_status_two_and_says_what_breaks_it(folder):
    done = run("planted_net.py:space", "--data", "iris")
    assert done.exit_code == 2
    assert "width=12, wrong=True" in done.output
    assert "RuntimeError" in done.output


def test_json_is_one_document_alone(folder):
    done = run("planted_net.py:space", "--data", "iris", "--json")
    assert done.exit_code == 2
    found = json.loads(done.stdout)
    assert found["faults"][0]["answers"] == {"width": 12, "wrong": True}
    assert found["sound"] is False


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["sond", "--data", "iris"], "expected one of"),
        (["nothing.py:space", "--data", "iris"], "nothing.py"),
        (["sound_net.py:space", "--data", "irys"], "irys"),
        (["sound_net.py:space", "--data", "iris", "--samples", "0"], "1 or more"),
        (["sound_net.py:space", "--data", "iris", "--time", "soon"], "seconds"),
        (["sound_net.py:space", "--data", "iris", "--limit", "params"], "METRIC<=VALUE"),
        (
            ["sound_net.py:space", "--data", "iris", "--to", "no/page.html"],
            "an existing folder",
        ),
        (["sound_net.py:space", "--data", "iris", "--to", "."], "expected a file"),
    ],
)
def test_wrong_input_is_status_two_in_one_message(folder, monkeypatch, capsys, arguments, told):
    code, error = status(monkeypatch, capsys, *arguments)
    assert code == 2
    assert told in error
    assert "Traceback" not in error
