"""``archsmith features`` on the command line."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import archsmith as nas
from archsmith.export import export, load_model
from archsmith.history.trial import Fidelity
from archsmith.space import Space
from archsmith.task import ReadOptions, task
from archsmith.task.problem import open_space
from archsmith.train import train
from archsmith.zoo.convnet import convnet

OWN = """
from torch import nn
import archsmith as nas

def net(channels, classes):
    width = nas.choose("width", [4, 8])
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64 * channels, width), nn.ReLU(), nn.Linear(width, classes)
    )
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with exports: a convnet of digits, an MLP of iris, a space of one's own."""
    folder = tmp_path_factory.mktemp("features")
    images, tables = task("image-classification"), task("tabular-classification")
    data = images.read("digits", ReadOptions())
    space = open_space(convnet, images.arguments(data.facts))
    model = space.build(space.default(), seed=0)
    train(model, images, data, images.recipe(data), Fidelity(epochs=1), seed=0)
    export(model, images, data, space, space.default(), folder / "digits", onnx=False)
    iris = tables.read("iris", ReadOptions())
    space = open_space("mlp", tables.arguments(iris.facts))
    model = space.build(space.default(), seed=0)
    export(model, tables, iris, space, space.default(), folder / "iris", onnx=False)
    (folder / "features_own_net.py").write_text(OWN)
    names: dict[str, object] = {"__name__": "features_own_net"}
    exec(OWN, names)
    space = Space(names["net"], channels=1, classes=10)
    model = space.build(space.default(), seed=0)
    export(model, images, data, space, space.default(), folder / "own", onnx=False)
    return folder


@pytest.fixture
def folder(place, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return place


@pytest.mark.slow
def test_features_are_those_of_the_model(archsmith, folder):
    done = archsmith("features", folder / "digits", "digits", "--to", "f.npz", "--json")
    assert done.status == 0, done.err
    told = json.loads(done.out)
    assert told["layer"] == "head.3:input"
    assert (told["examples"], told["features"], told["file"]) == (1797, 64, "f.npz")
    found = nas.load_features("f.npz")
    chosen = task("image-classification")
    data = chosen.read("digits", ReadOptions())
    model = load_model(folder / "digits")
    with torch.no_grad():
        body = nn.Sequential(*list(model)[:-1], *list(model.head)[:-1])
        wanted = body(chosen.prepare(data.test.inputs, data.facts))
    own = [i for i, part in enumerate(found.parts) if part == "test"]
    assert torch.allclose(found.features[own], wanted, atol=1e-5)
    assert torch.equal(found.labels[own], data.test.targets)
    assert found.names == tuple(str(i) for i in range(10))
    # The file is data for a search.
    again = task("tabular-classification").read("f.npz", ReadOptions())
    assert torch.allclose(again.test.inputs, wanted, atol=1e-5)


@pytest.mark.slow
def test_a_map_probes_and_layers(archsmith, folder, tmp_path):
    command = [
        "features",
        folder / "digits",
        "digits",
        "--map",
        "m.svg",
        "--probe",
        "--layers",
        "--layer",
        "stage2",
        "--pool",
        "mean+max",
        "--normalise",
        "standard",
        "--cache",
        "kept",
    ]
    done = archsmith(*command)
    assert done.status == 0, done.err
    for text in (
        "1,797 examples, 128 features of stage2",
        "probe linear",
        "probe knn",
        "stage1.0.body.0",
        "Conv2d",
        "map: m.svg",
    ):
        assert text in done.out
    assert ET.parse("m.svg").getroot().get("role") == "img"
    assert len(list((tmp_path / "kept").iterdir())) == 2
    told = json.loads(archsmith(*command, "--json").out)
    probes = {row["probe"]: row for row in told["probes"]}
    assert probes["linear"]["accuracy"] > 0.85
    assert set(probes["linear"]["per_class"]) == {str(i) for i in range(10)}
    assert told["layers"][0]["name"] == "stem.0"


@pytest.mark.slow
def test_a_layer_that_was_kept_has_its_name(archsmith, folder):
    command = ["features", folder / "digits", "digits", "--to", "f.npz", "--cache", "kept"]
    one, two = (archsmith(*command).out for _ in range(2))
    assert one == two
    assert "head.3:input" in one


@pytest.mark.slow
def test_inputs_without_labels(archsmith, folder, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for i in range(3):
        Image.fromarray(np.full((8, 8), 60 * i, np.uint8)).save(images / f"{i}.png")
    done = archsmith("features", folder / "digits", images, "--to", "f.npz", "--map", "m.svg")
    assert done.status == 0, done.err
    found = nas.load_features("f.npz")
    assert found.features.shape == (3, 64)
    assert found.labels is None
    assert found.parts is None
    done = archsmith("features", folder / "digits", images, "--probe")
    assert done.status == 2
    assert "data with classes" in done.err


@pytest.mark.slow
def test_tables_and_parquet(archsmith, folder):
    pytest.importorskip("pyarrow", reason="needs the extra 'data'")
    done = archsmith("features", folder / "iris", "iris", "--to", "f.parquet", "--normalise", "l2")
    assert done.status == 0, done.err
    found = nas.load_features("f.parquet")
    assert found.features.shape == (150, 64)
    assert torch.allclose(found.features.norm(dim=1), torch.ones(150), atol=1e-5)
    assert found.names == ("setosa", "versicolor", "virginica")


@pytest.mark.slow
def test_a_space_of_ones_own_is_asked_for(archsmith, folder, monkeypatch):
    done = archsmith("features", folder / "own", "digits", "--to", "f.npz")
    assert done.status == 2
    assert "--space features_own_net:net" in done.err
    monkeypatch.syspath_prepend(str(folder))
    done = archsmith(
        "features", folder / "own", "digits", "--to", "f.npz", "--space", "features_own_net:net"
    )
    assert done.status == 0, done.err
    assert nas.load_features("f.npz").features.shape[0] == 1797


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["digits", "digits"], "something to do"),
        (["nothing", "digits", "--probe"], "archsmith export wrote"),
        (["digits", "digit", "--probe"], "did you mean 'digits'"),
        (["digits", "no/such.npz", "--probe"], "nothing there"),
        (["digits", "digits", "--to", "f.csv"], ".npz or .parquet"),
        (["digits", "digits", "--to", "no/f.npz"], "a folder that is there"),
        (["digits", "digits", "--map", "m.png"], ".svg"),
        (["digits", "digits", "--map", "m.svg", "--method", "tnse"], "did you mean 'tsne'"),
        (["digits", "digits", "--probe", "--layer", "stage9"], "nearest: stage2"),
        (["digits", "digits", "--probe", "--pool", "men"], "did you mean 'mean'"),
        (["digits", "digits", "--probe", "--pool", "none"], "--pool flatten"),
        (["digits", "digits", "--probe", "--pool", "first", "--layer", "stem"], "of sequences"),
        (["digits", "digits", "--probe", "--normalise", "l3"], "did you mean 'l2'"),
        (["digits", "digits", "--probe", "--device", "gpu"], "a device of this machine"),
        (["digits", "iris", "--probe"], "labelled images"),
        (["iris", "wine", "--probe"], "inputs of shape (4,)"),
    ],
)
def test_wrong_input_is_status_two_in_one_message(archsmith, folder, arguments, told):
    name, *rest = arguments
    done = archsmith("features", folder / name, *rest)
    assert done.status == 2
    assert told in done.err
    assert "Traceback" not in done.err


def test_other_columns_are_refused(archsmith, folder, tmp_path):
    rows = ["a,b,c,d,class"] + [
        f"{i % 5}.5,{i % 3}.5,{i * i % 11}.5,{i % 7}.5,{'xy'[i % 2]}" for i in range(40)
    ]
    (tmp_path / "rows.csv").write_text("\n".join(rows))
    done = archsmith("features", folder / "iris", "rows.csv", "--probe")
    assert done.status == 2
    assert "sepal" in done.err


@pytest.mark.slow
def test_damaged_weights_are_refused(archsmith, folder, tmp_path):
    shutil.copytree(folder / "digits", tmp_path / "bad")
    (tmp_path / "bad" / "model.safetensors").write_bytes(b"\0" * 64)
    done = archsmith("features", "bad", "digits", "--probe")
    assert done.status == 2
    assert "weights of this architecture" in done.err
