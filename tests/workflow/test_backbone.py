"""Searches on a trained image classifier: where it comes from, that it lasts, what is refused."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.datasets import load_digits

import archsmith as nas
from archsmith._support.errors import InputError, UnknownNameError
from archsmith._support.signing import key_path
from archsmith._support.weights import checksum_of
from archsmith.cli.door import run as command
from archsmith.export import load_model
from archsmith.workflow.backbone import find_backbone

SHORT = {"trials": 1, "epochs": 1, "final_epochs": 1, "finalists": 1}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A run folder of a small classifier of digits, and its export."""
    run = tmp_path_factory.mktemp("source") / "digits"
    nas.search(data="digits", start={"stages": 2, "stage2.width": 16}, run=run, **SHORT)
    nas.Run(run).export(run.parent / "export", onnx=False)
    return run


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """Odd and even digits, by their file."""
    digits = load_digits()
    path = tmp_path_factory.mktemp("data") / "odd.npz"
    pixels = (15 * digits.images).astype("uint8")
    np.savez(path, x=pixels[:400], y=digits.target[:400] % 2)
    return str(path)


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    """Colour images with a bright square each, and masks."""
    rng, path = np.random.default_rng(0), tmp_path_factory.mktemp("data") / "squares.npz"
    image = rng.integers(0, 90, (40, 24, 24, 3), dtype=np.uint8)
    mask = np.zeros((40, 24, 24), dtype=np.uint8)
    for i, (top, left) in enumerate(rng.integers(2, 14, (40, 2))):
        image[i, top : top + 8, left : left + 8] += 150
        mask[i, top : top + 8, left : left + 8] = 1
    np.savez(path, image=image, mask=mask)
    return str(path)


def weights_of(result):
    return result.best.model.state_dict()


def kept_of(run):
    return load_file(run / "backbone.safetensors")


def on(result, kept):
    """The trained backbone's tensors next to those that it began with."""
    prefix = "base.layers."
    weights = weights_of(result)
    names = [name for name in weights if name.startswith(prefix)]
    assert names
    return [(weights[name], kept[name.removeprefix(prefix)]) for name in names]


@pytest.mark.slow
@pytest.mark.parametrize("training", ["frozen", "tuned", "layerwise"])
def test_a_classifier_builds_on_a_run(source, odd, tmp_path, training):
    result = nas.search(
        data=odd,
        task="image-classification",
        backbone=source,
        backbone_weights=training,
        run=tmp_path / "run",
        **SHORT,
    )
    same = [torch.equal(one, other) for one, other in on(result, kept_of(tmp_path / "run"))]
    assert all(same) if training == "frozen" else not any(same)
    assert "backbone.weights" not in result.best.architecture


@pytest.mark.slow
def test_a_segmenter_builds_on_an_export_and_is_exported_itself(source, squares, tmp_path):
    run, to = tmp_path / "run", tmp_path / "export"
    given = {"backbone": source.parent / "export", "backbone_weights": "frozen,tuned"}
    result = nas.search(data=squares, task="segmentation", run=run, **given, **SHORT)
    assert result.best.architecture["backbone.weights"] == "frozen"
    assert all(torch.equal(one, other) for one, other in on(result, kept_of(run)))
    shutil.move(run, tmp_path / "moved")  # the run is complete by itself
    parity = nas.Run(tmp_path / "moved").export(to)[1]
    assert {check.file for check in parity.checks} >= {"model.pt2", "model.safetensors"}
    plain = load_model(to)
    images = torch.rand(1, 3, 24, 24)
    with torch.no_grad():
        assert torch.equal(plain(images), result.best.model.eval()(images))


@pytest.mark.slow
def test_an_export_of_a_stranger_on_a_backbone_is_opened(source, odd, tmp_path, monkeypatch):
    given = {"backbone": source, "task": "image-classification"}
    result = nas.search(data=odd, run=tmp_path / "run", **given, **SHORT)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "another user"))
    assert not key_path().exists()
    opened = nas.Run(tmp_path / "run", data=odd)
    assert opened.problem.space.fingerprint == result.problem.space.fingerprint


@pytest.mark.slow
def test_the_same_call_goes_on_without_the_source(source, odd, tmp_path):
    copied, run = tmp_path / "source", tmp_path / "run"
    shutil.copytree(source, copied)
    given = {"backbone": copied, "task": "image-classification", "run": run}
    first = nas.search(data=odd, **given, **SHORT)
    shutil.rmtree(copied)
    again = nas.search(data=odd, **given, **{**SHORT, "trials": 2})
    assert [t.number for t in again.history.trials] == [0, 1]
    assert again.history.trials[0].metrics == first.history.trials[0].metrics
    with pytest.raises(InputError, match="another run folder"):
        nas.search(data=odd, **{**given, "backbone": source}, **SHORT)
    path = run / "backbone.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(InputError, match="safetensors"):
        nas.search(data=odd, **given, **{**SHORT, "trials": 3})
    path.unlink()
    with pytest.raises(InputError, match="safetensors"):
        _ = nas.Run(run).problem


@pytest.mark.processes
def test_a_killed_search_goes_on_with_the_same_weights(source, odd, tmp_path):
    copied, run = tmp_path / "source", tmp_path / "run"
    shutil.copytree(source, copied)
    options = [
        "--task",
        "image-classification",
        "--trials",
        "6",
        "--epochs",
        "2",
        "--finalists",
        "0",
        "--seed",
        "1",
    ]
    call = [sys.executable, "-m", "archsmith.cli", "search", odd, *options]
    call += ["--backbone", str(copied), "--run"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    whole = subprocess.run([*call, str(tmp_path / "whole")], env=environment, capture_output=True)
    assert whole.returncode == 0, whole.stderr
    process = subprocess.Popen([*call, str(run)], env=environment, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while finished(run) < 2 and time.monotonic() < until and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    shutil.rmtree(copied)
    again = subprocess.run([*call, str(run)], env=environment, capture_output=True)
    assert again.returncode == 0, again.stderr
    one, other = (nas.Run(folder).history.trials for folder in (tmp_path / "whole", run))
    assert [t.architecture for t in one] == [t.architecture for t in other]
    assert [t.metrics["accuracy"] for t in one] == [t.metrics["accuracy"] for t in other]


def finished(run):
    if not (run / "study.db").is_file():
        return 0
    try:
        return len([t for t in nas.Run(run).history.trials if t.metrics])
    except Exception:  # it is being written
        return 0


@pytest.mark.slow
def test_workers_and_objects_have_the_weights_too(source, odd, tmp_path):
    given = {"backbone": source, "task": "image-classification", "backbone_weights": "frozen"}
    one = nas.search(data=odd, **given, **{**SHORT, "finalists": 0})
    two = nas.search(data=odd, workers=2, run=tmp_path / "r", **given, **{**SHORT, "finalists": 0})
    assert one.history.trials[0].metrics["accuracy"] == two.history.trials[0].metrics["accuracy"]


@pytest.mark.slow
def test_what_is_no_backbone_is_refused(source, odd, squares, tmp_path, capsys, monkeypatch):
    task = ["--task", "image-classification", "--trials", "1", "--epochs", "1"]
    chained, unfinished = tmp_path / "chained", tmp_path / "unfinished"
    nas.search(data=odd, backbone=source, task="image-classification", run=chained, **SHORT)
    nas.search(data="digits", run=unfinished, **{**SHORT, "finalists": 0})
    nas.search("unet", squares, task="segmentation", run=tmp_path / "unet", **SHORT)
    for name, words in {
        str(chained): "trained from the start",
        str(unfinished): "archsmith train",
        str(tmp_path / "unet"): "an image classifier",
        str(tmp_path): "a folder without",
        str(tmp_path / "nothing"): "nothing there",
        odd: "a file, whose architecture is not known",
        "efficientnet-lite7": "did you mean 'efficientnet-lite",
        f"resnet21:{odd}": "did you mean",
        "resnet20:nothing.pth": "a file of weights",
    }.items():
        options = ["--backbone", name, "--run", str(tmp_path / "new")]
        monkeypatch.setattr("sys.argv", ["archsmith", "search", odd, *task, *options])
        with pytest.raises(SystemExit) as ended:
            command()
        assert ended.value.code == 2, name
        assert words in capsys.readouterr().err, name
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("plan", "error", "words"),
    [
        ({"backbone_weights": "frozen"}, InputError, "--backbone RUN"),
        ({"backbone": "efficientnet-lite0", "backbone_weights": "cold"}, UnknownNameError, "tuned"),
        ({"backbone": "efficientnet-lite0", "space": "convnet"}, InputError, "leave the space out"),
        ({"backbone": "efficientnet-lite0", "task": "few-shot"}, InputError, "task few-shot"),
        ({"backbone": "efficientnet-lite0", "strategy": "spos"}, InputError, "--strategy auto"),
    ],
)
def test_what_does_not_go_with_a_backbone_is_refused(plan, error, words):
    with pytest.raises(error, match=words):
        nas.search(data="digits", **plan)


def test_a_checkpoint_of_a_published_architecture_is_a_backbone(tmp_path):
    from archsmith.zoo.named import architectures

    space, architecture = architectures.get("resnet20").within()
    model = space.build(architecture, seed=5)
    state = {f"module.{name}": t for name, t in model.state_dict().items()}
    state["module.classifier.weight"] = torch.zeros(7, 64)
    state["module.classifier.bias"] = torch.zeros(7)
    torch.save({"state_dict": state}, tmp_path / "weights.pth")
    found = find_backbone(f"resnet20:{tmp_path / 'weights.pth'}")
    assert torch.equal(found.state["stem.0.weight"], model.state_dict()["stem.0.weight"])
    assert found["checksum"] == checksum_of(found.state, {})
    assert json.loads(json.dumps(found)) == found
    torch.save({"conv1.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match="conv1"):
        find_backbone(f"resnet20:{tmp_path / 'other.pth'}")


@pytest.mark.slow
def test_a_stranger_cannot_name_a_module(source, monkeypatch):
    opened = nas.Run(source)
    opened.meta["reference"] = "os:system"
    monkeypatch.setattr("archsmith.workflow.backbone.Run", lambda folder: opened)
    with pytest.raises(InputError, match="a stranger may have written"):
        find_backbone(str(source))
