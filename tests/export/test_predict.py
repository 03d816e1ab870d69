"""Predictions from an exported folder, and what is not trusted in one."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from archsmith._support.errors import DataError, InputError
from archsmith.export import export, predict
from archsmith.space import Space, choose
from archsmith.task import ReadOptions, task
from archsmith.zoo.convnet import convnet


def own_net(channels: int, classes: int) -> nn.Module:
    """A user's space: not registered anywhere."""
    width = choose("width", [4, 8])
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64 * channels, width), nn.ReLU(), nn.Linear(width, classes)
    )


OWN = Space(own_net, channels=1, classes=10)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """The task, its data, folders of a zoo model and of a user's own, and an image."""
    folder = tmp_path_factory.mktemp("predict")
    chosen = task("image-classification")
    data = chosen.read("digits", ReadOptions())
    zoo = Space(convnet, channels=1, classes=10, height=8, width=8)
    models = {}
    for name, space in (("zoo", zoo), ("own", OWN)):
        models[name] = space.build(space.default(), seed=1).eval()
        export(
            models[name], chosen, data, space, space.default(), folder / name, onnx=name == "own"
        )
    # Arrays are read in the values of the source: 0 to 16, and not as the bytes that it became.
    sixteen = (data.validation.inputs[:4].double() * 16 / 255).round().byte()
    np.save(folder / "images.npy", sixteen.numpy())
    Image.fromarray(data.validation.inputs[0, 0].numpy()).save(folder / "image.png")
    return chosen, data, folder, models


def expected(work, name: str, inputs: Tensor) -> list[dict[str, object]]:
    chosen, data, _, models = work
    with torch.no_grad():
        return chosen.describe(chosen.deployable(models[name], data.facts)(inputs), data.facts)


def same(got, wanted) -> None:
    assert json.dumps(got)  # plain JSON
    assert len(got) == len(wanted)
    for one, two in zip(got, wanted, strict=True):
        assert one.keys() == two.keys()
        for key, value in one.items():
            if isinstance(value, float):
                assert value == pytest.approx(two[key], abs=1e-4)


@pytest.mark.slow
def test_a_batch_and_an_image(work):
    _, data, folder, _ = work
    batch = predict(folder / "zoo", folder / "images.npy")
    same(batch, expected(work, "zoo", data.validation.inputs[:4]))
    image = predict(str(folder / "zoo"), str(folder / "image.png"))
    same(image, expected(work, "zoo", data.validation.inputs[:1]))


@pytest.mark.slow
def test_answers_about_a_folder_name_its_files(work, tmp_path):
    _, data, folder, _ = work
    for place, name in enumerate(["b.png", "a.png", "c.PNG"]):
        Image.fromarray(data.validation.inputs[place, 0].numpy()).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    found = predict(folder / "zoo", tmp_path)
    assert [answer.pop("input") for answer in found] == ["a.png", "b.png", "c.PNG"]
    same(found, expected(work, "zoo", data.validation.inputs[[1, 0, 2]]))


@pytest.mark.slow
def test_a_space_of_ones_own_runs_by_onnx_or_when_given(work):
    pytest.importorskip("onnxruntime")
    _, data, folder, _ = work
    wanted = expected(work, "own", data.validation.inputs[:4])
    same(predict(folder / "own", folder / "images.npy"), wanted)
    same(predict(folder / "own", folder / "images.npy", space=OWN), wanted)


def test_code_that_a_folder_names_is_never_run(work, tmp_path):
    _, _, folder, _ = work
    bad = tmp_path / "bad"
    shutil.copytree(folder / "own", bad)
    (bad / "model.onnx").unlink()
    marker = tmp_path / "marker"
    record = json.loads((bad / "architecture.json").read_text())
    for name in ("system", "convnet"):  # a registered name does not lend its trust
        record["space"] |= {
            "name": name,
            "reference": "os:system",
            "arguments": {"command": f"touch {marker}"},
        }
        (bad / "architecture.json").write_text(json.dumps(record))
        with pytest.raises(InputError):
            predict(bad, folder / "images.npy")
    assert not marker.exists()


@pytest.mark.slow
def test_pt2_is_not_needed(work, tmp_path):
    _, _, folder, _ = work
    shutil.copytree(folder / "zoo", tmp_path / "zoo")
    (tmp_path / "zoo" / "model.pt2").write_bytes(b"not an archive")
    assert len(predict(tmp_path / "zoo", folder / "images.npy")) == 4


def test_another_space_is_refused(work):
    _, _, folder, _ = work
    other = Space(own_net, channels=1, classes=9)
    with pytest.raises(InputError, match="other arguments"):
        predict(folder / "own", folder / "images.npy", space=other)


@pytest.mark.slow
def test_damaged_weights_are_refused(work, tmp_path):
    _, _, folder, _ = work
    shutil.copytree(folder / "zoo", tmp_path / "zoo")
    (tmp_path / "zoo" / "model.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(InputError, match="safetensors"):
        predict(tmp_path / "zoo", folder / "images.npy")


@pytest.mark.slow
@pytest.mark.parametrize("changed", [{"mean": [0.1, 0.1]}, {"std": []}, {"mean": 0.1}])
def test_statistics_that_do_not_fit_are_refused(work, tmp_path, changed):
    """Torch would stretch them to all channels, or all channels to them."""
    _, _, folder, _ = work
    shutil.copytree(folder / "zoo", tmp_path / "zoo")
    path = tmp_path / "zoo" / "architecture.json"
    record = json.loads(path.read_text())
    record["facts"] |= changed
    path.write_text(json.dumps(record))
    with pytest.raises(InputError, match="archsmith export writes"):
        predict(tmp_path / "zoo", folder / "images.npy")


def test_folders_that_are_no_export(work, tmp_path):
    _, _, folder, _ = work
    with pytest.raises(InputError, match=r"no architecture\.json"):
        predict(tmp_path, folder / "images.npy")
    (tmp_path / "architecture.json").write_text("{")
    with pytest.raises(InputError, match="JSON"):
        predict(tmp_path, folder / "images.npy")
    (tmp_path / "architecture.json").write_text('{"format": 99}')
    with pytest.raises(InputError, match="newer archsmith"):
        predict(tmp_path, folder / "images.npy")


@pytest.mark.parametrize(
    "key",
    [
        "task",
        "architecture",
        "facts",
        "space",
        "space.name",
        "space.reference",
        "space.arguments",
        "space.fingerprint",
    ],
)
def test_a_record_without_a_key_is_refused(work, tmp_path, key):
    _, _, folder, _ = work
    record = json.loads((folder / "zoo" / "architecture.json").read_text())
    *outer, last = key.split(".")
    held = record[outer[0]] if outer else record
    for damage in ("gone", "another type"):
        held.pop(last)
        if damage == "another type":
            held[last] = 3
        (tmp_path / "architecture.json").write_text(json.dumps(record))
        with pytest.raises(InputError, match=rf"'{key}'") as error:
            predict(tmp_path, folder / "images.npy")
        assert str(tmp_path / "architecture.json") in str(error.value)
        held[last] = 3


@pytest.mark.slow
def test_an_input_that_is_not_there(work):
    _, _, folder, _ = work
    with pytest.raises(DataError):
        predict(folder / "zoo", folder / "missing.png")
