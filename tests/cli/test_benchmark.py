"""``archsmith benchmark`` and ``archsmith list tables``, on a small table of our own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest

from bench.small import columns, write
from moments import PATIENCE

FIXED = {
    "table",
    "dataset",
    "strategy",
    "queries",
    "repeats",
    "valid_mean",
    "test_mean",
    "test_std",
    "optimum_share",
    "seconds_per_trial",
}
QUICK = ["--queries", 12, "--repeats", 3, "--processes", 1]


@pytest.fixture
def file(tmp_path):
    return write(tmp_path / "t.npz", columns(60))


@pytest.mark.slow
def test_one_json_document_and_nothing_else(archsmith, file):
    done = archsmith(
        "benchmark",
        "nb201",
        "--file",
        file,
        "--dataset",
        "flowers",
        "--strategy",
        "evolution",
        *QUICK,
        "--seed",
        7,
        "--json",
    )
    assert done.status == 0, done.err
    found = json.loads(done.out)
    assert set(found) >= FIXED
    assert (found["table"], found["dataset"], found["strategy"]) == (
        "nb201",
        "flowers",
        "evolution",
    )
    assert (found["queries"], found["repeats"], found["seed"]) == (12, 3, 7)
    assert 0 <= found["optimum_share"] <= 1
    assert found["test_std"] > 0
    assert 0 < found["seconds_per_trial"] < 1
    assert len(found["curve"]) == 12
    assert list(found["at"]) == ["10", "12"]
    assert found["held_share"] == 1.0
    assert found["time_unit"] == "mean full evaluations"
    assert "60 of 15,625" in found["note"]


@pytest.mark.slow
def test_several_strategies(archsmith, file, tmp_path):
    picture = tmp_path / "p.svg"
    arguments = [
        "benchmark",
        "nb201",
        "--file",
        file,
        "--strategy",
        "random",
        "--strategy",
        "evolution",
        *QUICK,
    ]
    done = archsmith(*arguments, "--json")
    assert [r["strategy"] for r in json.loads(done.out)["results"]] == ["random", "evolution"]
    done = archsmith(*arguments, "--picture", picture)
    assert done.status == 0, done.err
    assert "random" in done.out
    assert "10 queries" in done.out
    assert "60 of 15,625 cells are recorded" in done.out
    assert ElementTree.parse(picture).getroot().tag.endswith("svg")
    assert max(map(len, done.out.splitlines())) < 240


@pytest.mark.slow
def test_text_of_one_strategy_with_a_limit_and_two_objectives(archsmith, file):
    done = archsmith(
        "benchmark",
        "nb201",
        "--file",
        file,
        "--strategy",
        "random",
        "--queries",
        90,
        "--repeats",
        2,
        "--minimize",
        "flops_M",
        "--limit",
        "size<=4",
        "--workers",
        4,
        "--processes",
        1,
    )
    assert done.status == 0, done.err
    assert "maximize valid_acc_200, minimize flops_M, size<=4" in done.out
    assert "4 simulated workers" in done.out
    assert "hypervolume" in done.out
    assert "2 of 2 runs ended because all 60 graphs were seen" in done.out
    assert "100.0%" in done.out


REFUSED = [
    (["nb210"], "did you mean 'nb201'"),
    (["nb201", "--dataset", "flower"], "did you mean 'flowers'"),
    (["nb201", "--strategy", "evolutoin"], "did you mean 'evolution'"),
    (["nb201", "--strategy", "random", "--strategy", "evolutoin"], "did you mean 'evolution'"),
    (["nb201", "--strategy", "random", "--limit", "siz<=3"], "did you mean 'size'"),
    (["nb201", "--strategy", "random", "--limit", "size=3"], "METRIC<=VALUE"),
    (["nb201", "--strategy", "random", "--limit", "size<=0"], "the least size recorded is"),
    (["nb201", "--strategy", "random", "--minimize", "flops"], "did you mean 'flops_M'"),
    (["nb201", "--strategy", "random", "--minimize", "valid_acc_200"], "already the table's own"),
    (["nb201", "--strategy", "random", "--queries", "0"], "1 or more"),
    (["nb201", "--strategy", "random", "--repeats", "0"], "1 or more"),
    (["nb201", "--strategy", "random", "--queries", "many"], "--queries"),
    (["nb201", "--strategy", "random", "--picture", "p.png"], ".svg"),
    (["nb201", "--strategy", "random", "--picture", "nowhere/at/all.svg"], "an existing folder"),
    (["nb201", "--file", "missing.npz"], "missing.npz"),
]


@pytest.mark.parametrize(("arguments", "words"), REFUSED)
def test_bad_input_ends_with_two_and_no_traceback(archsmith, file, arguments, words):
    where = [] if "--file" in arguments else ["--file", file]
    done = archsmith("benchmark", *arguments, *where, "--json")
    assert done.status == 2
    assert words in done.err
    assert "Traceback" not in done.err
    assert done.out == ""


def test_no_file_is_named_and_no_folder(archsmith, monkeypatch):
    monkeypatch.delenv("ARCHSMITH_DATA", raising=False)
    done = archsmith("benchmark", "nb201", "--strategy", "random")
    assert done.status == 2
    assert "ARCHSMITH_DATA" in done.err


def test_list_tables(archsmith, monkeypatch, tmp_path):
    monkeypatch.delenv("ARCHSMITH_DATA", raising=False)
    done = archsmith("list", "tables")
    assert done.status == 0, done.err
    assert "nb201.npz" in done.out
    assert "flowers" not in done.out
    monkeypatch.setenv("ARCHSMITH_DATA", str(tmp_path))
    write(tmp_path / "nb201.npz", columns(10))
    done = archsmith("list", "tables")
    assert "data sets: flowers" in done.out
    (tmp_path / "nb201.npz").write_bytes(b"broken")
    done = archsmith("list", "tables")
    assert done.status == 0
    assert "cannot be read" in done.out


@pytest.mark.processes
@pytest.mark.parametrize("processes", ["1", "2"])
def test_ctrl_c_ends_it_with_one_line(file, processes):
    command = [
        sys.executable,
        "-m",
        "archsmith.cli",
        "benchmark",
        "nb201",
        "--file",
        str(file),
        "--strategy",
        "random",
        "--queries",
        "60",
        "--repeats",
        "100000",
        "--processes",
        processes,
        "--json",
    ]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stderr is not None
    line = process.stderr.readline()  # "n/100000 runs", after ten seconds of work
    assert "runs" in line
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, err
    assert out == ""
    assert "Traceback" not in err
    assert "interrupted" in err
