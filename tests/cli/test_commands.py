"""The command line from end to end, on digits with tiny budgets, and its refusals."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import archsmith as nas
from moments import PATIENCE, wait_until

QUICK = ["--trials", 3, "--epochs", 1, "--share", 0.3, "--final-epochs", 1, "--finalists", 1]

MODEL = """
import archsmith as nas
from torch import nn


def good(channels, classes):
    width = nas.choose("width", [4, 8])
    return nn.Sequential(nn.Flatten(), nn.Linear(64 * channels, width), nn.ReLU(),
                         nn.Linear(width, classes))


def raises(channels, classes):
    width = nas.choose("width", [4, 9])
    groups = nas.choose("groups", [1, 2])
    return nn.Sequential(nn.Conv2d(channels, width, 1), nn.Conv2d(width, 4, 1, groups=groups),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes))


def does_not_fit(channels, classes):
    width = nas.choose("width", [4, 8])
    kernel = nas.choose("kernel", [3, 5])
    side = 6
    return nn.Sequential(nn.Conv2d(channels, width, kernel), nn.Flatten(),
                         nn.Linear(width * side * side, classes))


def asks_too_much(channels, classes, vocabulary):
    return nn.Linear(channels, classes)
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "usermodel.py"
    path.write_text(MODEL)
    sys.modules.pop("usermodel", None)  # of an earlier test, in this same process
    return path


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small study on digits with two objectives and a limit, made by the command line."""
    folder = tmp_path_factory.mktemp("cli") / "run"
    command = [sys.executable, "-m", "archsmith.cli", "search", "digits", *map(str, QUICK)]
    command += ["--minimize", "params", "--limit", "params<=60k", "--run", str(folder), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    shown = json.loads(done.stdout)
    assert len(shown["trials"]) >= 3
    return folder


@pytest.mark.slow
def test_a_search_leaves_a_study_a_report_and_a_winner(archsmith, finished_run):
    assert (finished_run / "report.html").stat().st_size > 10_000
    done = archsmith("show", finished_run, "--json")
    assert done.status == 0
    shown = json.loads(done.out)
    assert [o["metric"] for o in shown["objectives"]] == ["accuracy", "params"]
    assert all(
        t["metrics"]["params"] <= 60_000 for t in shown["trials"] if t["number"] in shown["front"]
    )
    assert 0.05 < shown["winner"]["test"]["accuracy"] <= 1.0
    assert shown["default"]["test"].keys() == shown["winner"]["test"].keys()
    text = archsmith("show", finished_run)
    assert text.status == 0
    assert "best of the search" in text.out


@pytest.mark.slow
def test_the_same_command_on_a_finished_folder_trains_nothing(archsmith, finished_run):
    before = nas.Run(finished_run).record
    options = ["--minimize", "params", "--limit", "params<=60k", "--run", finished_run]
    done = archsmith("search", "digits", *QUICK, *options)
    assert done.status == 0, done.err
    after = nas.Run(finished_run).record
    assert [t.metrics for t in after.trials] == [t.metrics for t in before.trials]
    assert after.notes["winner"] == before.notes["winner"]


@pytest.mark.slow
def test_train_export_predict(archsmith, finished_run, tmp_path):
    done = archsmith("export", finished_run, "--trial", 1, "--to", tmp_path / "early")
    winner = nas.Run(finished_run).record.notes["winner"]
    if nas.Run(finished_run).trial(1).architecture.id != winner:
        assert done.status == 2
        assert "archsmith train" in done.err
    assert archsmith("train", finished_run, "--trial", 1).status == 0
    done = archsmith("export", finished_run, "--trial", 1, "--to", tmp_path / "model")
    assert done.status == 0, done.err
    assert {p.name for p in (tmp_path / "model").iterdir()} >= {
        "README.md",
        "architecture.json",
        "model.pt2",
        "model.safetensors",
        "parity.json",
    }
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "digit.png")
    done = archsmith("predict", tmp_path / "model", tmp_path / "digit.png")
    assert done.status == 0, done.err
    assert len(json.loads(done.out)) == 1


@pytest.mark.slow
def test_report_goes_where_it_is_told(archsmith, finished_run, tmp_path):
    done = archsmith("report", finished_run, "--to", tmp_path / "page.html")
    assert done.status == 0
    assert "convnet on digits" in (tmp_path / "page.html").read_text()
    done = archsmith("report", finished_run, "--to", tmp_path / "no" / "page.html")
    assert done.status == 1
    assert "page.html" in done.err


@pytest.mark.slow
def test_a_space_of_ones_own_from_a_file(archsmith, model, tmp_path):
    done = archsmith(
        "search",
        "digits",
        *QUICK[:-2],
        "--trials",
        2,
        "--space",
        f"{model}:good",
        "--run",
        tmp_path / "run",
    )
    assert done.status == 0, done.err
    # The space has two architectures, so the winner and the default need no more.
    assert len(nas.Run(tmp_path / "run").history.trials) == 2


@pytest.mark.slow
def test_a_proxy_advises_a_search(archsmith, model, tmp_path):
    run = tmp_path / "run"
    options = ["--proxy", "params", "--space", f"{model}:good", "--run", run]
    done = archsmith("search", "digits", *QUICK[:-2], "--finalists", 0, *options)
    assert done.status == 0, done.err
    assert [t.note for t in nas.Run(run).history.trials][1:] == ["warm start by params"]
    wrong = ["--proxy", "parms", "--run", tmp_path / "other"]
    done = archsmith("search", "digits", *QUICK, *wrong)
    assert done.status == 2
    assert "did you mean 'params'" in done.err


@pytest.mark.slow
def test_a_search_ends_when_the_space_is_used_up(archsmith, model, tmp_path):
    run = tmp_path / "run"
    done = archsmith("search", "digits", *QUICK, "--space", f"{model}:good", "--run", run)
    assert done.status == 0, done.err
    assert len(nas.Run(run).history.trials) == 2


@pytest.mark.slow
def test_options_from_a_file(archsmith, tmp_path):
    config = tmp_path / "search.toml"
    config.write_text(
        'trials = 1\nepochs = 1\nshare = 0.2\nfinalists = 0\nlimit = ["params<=1M"]\n'
    )
    run = tmp_path / "run"
    assert archsmith("search", "digits", "--config", config, "--run", run).status == 0
    opened = nas.Run(run)
    assert opened.meta["trials"] == 1
    assert str(opened.goals[1][0]) == "params<=1000000"
    config.write_text("trails = 1\n")
    done = archsmith("search", "digits", "--config", config, "--run", run)
    assert done.status == 2
    assert "did you mean 'trials'" in done.err


@pytest.mark.slow
def test_a_table_end_to_end(archsmith, tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        (round(float(x), 3), "ab"[int(x > 0.5)], round(3 * float(x), 3)) for x in rng.random(80)
    ]
    with (tmp_path / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("x", "kind", "price"), *rows])
    done = archsmith(
        "search",
        tmp_path / "t.csv",
        "--target",
        "price",
        "--trials",
        2,
        "--epochs",
        1,
        "--final-epochs",
        2,
        "--run",
        tmp_path / "run",
    )
    assert done.status == 0, done.err
    opened = nas.Run(tmp_path / "run")
    assert opened.meta["task"] == "tabular-regression"
    assert opened.meta["space"] == "tabular"


def test_lists(archsmith):
    for kind, name in [
        ("spaces", "nasbench201"),
        ("strategies", "evolution"),
        ("tasks", "tabular-regression"),
        ("datasets", "fashion-mnist"),
        ("evaluators", "latency"),
    ]:
        done = archsmith("list", kind)
        assert done.status == 0
        assert name in done.out


REFUSED = [
    (["search", "digits", "--strategy", "evolutoin"], "did you mean 'evolution'"),
    (["search", "digits", "--space", "convnett"], "did you mean 'convnet'"),
    (["search", "digits", "--minimize", "latency"], "did you mean 'latency_ms'"),
    (["search", "digits", "--limit", "parms<=1k"], "did you mean 'params'"),
    (["search", "digitz"], "did you mean 'digits'"),
    (["search", "digits", "--task", "image-clasification"], "did you mean 'image-classification'"),
    (["search", "digits", "--limit", "params=10"], "METRIC<=VALUE"),
    (["search", "digits", "--time", "soon"], "10m"),
    (["search", "digits", "--trials", "0"], "1 or more"),
    (["search", "digits", "--workers", "0"], "1 or more"),
    (["search", "digits", "--share", "2"], "above 0 and up to 1"),
    (["search", "digits", "--device", "cuda:7"], "device"),
    (["search", "nowhere/data.csv"], "nothing there"),
    (["search", "iris", "--space", "tiny.py:net", "--limit", "params<=10"], "params"),
    (["search", "digits", "--space", "nomodule:net"], "import"),
    (["search", "digits", "--space", "archsmith.zoo:nonet"], "nonet"),
    (["show", "nowhere"], "study.db"),
    (["list", "nothing"], "nothing"),
]


TINY = """
import archsmith as nas
from torch import nn
def net(features, outputs):
    width = nas.choose("width", [16, 32])
    return nn.Sequential(nn.Linear(features, width), nn.ReLU(), nn.Linear(width, outputs))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("arguments", "says"), REFUSED, ids=[" ".join(a) for a, _ in REFUSED])
def test_wrong_input_is_told_with_status_2(archsmith, arguments, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.py").write_text(TINY)
    start = time.process_time()
    done = archsmith(*arguments)
    assert done.status == 2
    assert says in done.err
    assert "Traceback" not in done.err
    assert time.process_time() - start < 15
    assert not (tmp_path / "runs").exists(), "nothing may be left behind by a refused command"


def test_an_unreachable_limit_says_what_can_be_reached(archsmith, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.py").write_text(TINY)
    options = ["--space", "small.py:net", "--limit", "params<=10"]
    done = archsmith("search", "iris", *options, "--run", tmp_path / "r")
    assert done.status == 2
    assert "smallest" in done.err
    assert any(character.isdigit() for character in done.err.split("smallest")[1])


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("raises", ["width=9, groups=2", "divisible"]),
        ("does_not_fit", ["kernel=5", "[144, 10]"]),
        ("asks_too_much", ["vocabulary", "channels, classes"]),
    ],
)
def test_a_model_that_cannot_work_names_the_decisions(archsmith, model, tmp_path, name, says):
    done = archsmith("search", "digits", "--space", f"{model}:{name}", "--run", tmp_path / "r")
    assert done.status == 2
    for text in says:
        assert text in done.err, done.err
    if name == "does_not_fit":
        assert "width=" not in done.err, "only what leads there is named"


def test_bad_data_is_told_with_status_2(archsmith, tmp_path):
    photos = tmp_path / "photos"
    for name in ("cat", "dog"):
        (photos / name).mkdir(parents=True)
    done = archsmith("search", photos, "--run", tmp_path / "r")
    assert done.status == 2
    for i in range(4):
        Image.fromarray(np.full((8, 8), 40 * i, np.uint8)).save(photos / "cat" / f"{i}.png")
    done = archsmith("search", photos, "--run", tmp_path / "r")
    assert done.status == 2
    assert "dog" in done.err
    (photos / "dog").rmdir()
    done = archsmith("search", photos, "--run", tmp_path / "r")
    assert done.status == 2
    (tmp_path / "t.csv").write_text("x,y\n1,a\ninf,b\n" + "2,a\n3,b\n" * 10)
    done = archsmith("search", tmp_path / "t.csv", "--run", tmp_path / "r")
    assert done.status == 2
    assert "x" in done.err


@pytest.mark.slow
def test_unreadable_images_are_named_and_skipped_on_request(archsmith, tmp_path):
    photos = tmp_path / "photos"
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (photos / name).mkdir(parents=True)
        for i in range(20):
            pixels = rng.integers(0, 255, (12, 12), dtype=np.uint8)
            Image.fromarray(pixels).save(photos / name / f"{i}.png")
    (photos / "cat" / "broken.png").write_bytes(b"not an image")
    options = [*QUICK, "--trials", 1, "--run", tmp_path / "r"]
    done = archsmith("search", photos, *options)
    assert done.status == 2
    assert "broken.png" in done.err
    done = archsmith("search", photos, *options, "--unreadable", "skip")
    assert done.status == 0, done.err
    assert "1" in done.err
    assert "broken.png" in done.err


@pytest.mark.slow
def test_a_folder_of_another_study_is_refused(archsmith, finished_run):
    done = archsmith("search", "digits", "--space", "nasbench201", "--run", finished_run)
    assert done.status == 2
    assert "convnet" in done.err
    done = archsmith("search", "digits", *QUICK, "--run", finished_run, "--seed", 5)
    assert done.status == 2
    options = ["--minimize", "params", "--limit", "params<=60k", "--run", finished_run]
    done = archsmith("search", "digits", *QUICK, *options, "--epochs", 2)
    assert done.status == 2
    assert "fidelity" in done.err


@pytest.mark.slow
def test_a_folder_of_a_newer_version_is_refused(archsmith, finished_run, tmp_path):
    import shutil
    import sqlite3

    copy = tmp_path / "newer"
    shutil.copytree(finished_run, copy)
    with sqlite3.connect(copy / "study.db") as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        db.execute(f"PRAGMA user_version = {version + 1}")
    done = archsmith("show", copy)
    assert done.status == 2
    assert "newer" in done.err or str(version + 1) in done.err


#: A model whose training in the third trial waits for a file to come.
HELD = """
import os, pathlib, time
import archsmith as nas
from torch import nn

RUN = pathlib.Path(os.environ["HELD_RUN"])

class Held(nn.Sequential):
    def forward(self, x):
        if self.training and ended() >= 2:
            while not (RUN.parent / "go").exists():
                time.sleep(0.02)
        return super().forward(x)

def ended():
    try:
        return len(nas.Run(RUN).record.ended)
    except nas.ArchsmithError:
        return 0

def net(channels, classes):
    width = nas.choose("width", [4, 5, 6, 7, 8, 9])
    return Held(nn.Flatten(), nn.Linear(64 * channels, width), nn.ReLU(),
                nn.Linear(width, classes))
"""


def command(run: Path) -> list[str]:
    space = run.parent / "held.py"
    space.write_text(HELD)
    parts: list[object] = ["search", "digits", "--space", f"{space}:net", "--run", run, "--trials"]
    return [*map(str, parts), "4", "--epochs", "1", "--share", "0.2", "--finalists", "0"]


def start(run: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "archsmith.cli", *command(run)],
        text=True,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HELD_RUN": str(run)},
    )


def wait_for_trials(run: Path, count: int, process: subprocess.Popen[str]) -> None:
    def there() -> bool:
        try:
            return len(nas.Run(run).record.ended) >= count
        except nas.ArchsmithError:
            return False

    wait_until(there, f"{count} trials", process)


@pytest.mark.processes
def test_ctrl_c_keeps_what_is_done_and_the_same_command_goes_on(tmp_path):
    run = tmp_path / "stopped"
    process = start(run)
    wait_for_trials(run, 2, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "interrupted" in out
    kept = [t.metrics for t in nas.Run(run).record.ended]
    assert len(kept) == 2
    (tmp_path / "go").touch()
    for whole_or_stopped in (run, tmp_path / "whole"):
        process = start(whole_or_stopped)
        _, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, err
    first = nas.Run(tmp_path / "whole").history.trials
    second = nas.Run(run).history.trials
    assert [t.architecture for t in first] == [t.architecture for t in second]
    assert [t.metrics["accuracy"] for t in first] == [t.metrics["accuracy"] for t in second]
    assert [t.metrics for t in second][: len(kept)] == kept


@pytest.mark.processes
def test_two_processes_on_one_folder(tmp_path, archsmith, monkeypatch):
    run = tmp_path / "run"
    monkeypatch.setenv("HELD_RUN", str(tmp_path / "none"))  # this process is not held
    process = start(run)
    try:
        wait_for_trials(run, 2, process)
        done = archsmith(*command(run))
        assert done.status == 2
        assert str(process.pid) in done.err
        assert archsmith("show", run).status == 0, "looking on is allowed"
    finally:
        process.kill()
        process.communicate()


def test_help_does_not_import_torch():
    code = (
        "import sys; sys.argv = ['archsmith', '--help']\n"
        "from archsmith.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
