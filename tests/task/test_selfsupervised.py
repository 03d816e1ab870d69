from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

import archsmith as nas
from archsmith._support.errors import DataError, InputError, UnknownNameError
from archsmith.history.trial import Fidelity
from archsmith.supernet.session import start
from archsmith.task import task
from archsmith.task.base import Data, ReadOptions
from archsmith.task.problem import open_space
from archsmith.task.selfsupervised import SelfSupervisedImages
from archsmith.train import train


@pytest.fixture(scope="module")
def alone() -> SelfSupervisedImages:
    found = task("self-supervised")
    assert isinstance(found, SelfSupervisedImages)
    return found


@pytest.fixture(scope="module")
def digits(alone: SelfSupervisedImages) -> Data:
    return alone.read("digits", ReadOptions())


def test_no_label_is_left(digits: Data) -> None:
    assert (digits.train.targets == 0).all()
    assert len(digits.validation) == 2 * 359
    assert digits.validation.targets[::2].tolist() == list(range(359))
    assert digits.validation.targets[1::2].tolist() == list(range(359))
    assert json.loads(json.dumps(digits.facts)) == digits.facts


def test_the_views_are_fixed_and_differ(alone: SelfSupervisedImages, digits: Data) -> None:
    first, second = digits.validation.inputs[::2], digits.validation.inputs[1::2]
    assert first.dtype == torch.uint8
    assert (first != second).any(dim=(1, 2, 3)).all()
    again = alone.read("digits", ReadOptions())
    assert torch.equal(again.validation.inputs, digits.validation.inputs)


def test_a_batch_holds_every_image_twice(alone: SelfSupervisedImages, digits: Data) -> None:
    index = torch.arange(100)
    chunks = alone.draw(index, digits.train, 32, torch.Generator().manual_seed(0))
    assert [len(chunk) for chunk in chunks] == [32] * 6 + [8]
    for chunk in chunks:
        assert torch.equal(chunk[::2], chunk[1::2])
    assert torch.equal(torch.cat([chunk[::2] for chunk in chunks]).sort().values, index)


def test_the_meter_counts_partners(alone: SelfSupervisedImages, digits: Data) -> None:
    meter = alone.meter(digits.facts)
    block = torch.eye(20)
    meter.update(block.repeat_interleave(2, 0), torch.arange(20).repeat_interleave(2))
    assert meter.result()["accuracy"] == 1.0
    meter.update(block.repeat_interleave(2, 0).roll(1, 0), torch.arange(20).repeat_interleave(2))
    assert meter.result()["accuracy"] == 0.5


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["simclr", "barlow-twins"])
def test_features_learned_without_labels_tell_digits(loss: str) -> None:
    alone = task(f"self-supervised:loss={loss}")
    data = alone.read("digits", ReadOptions())
    space = open_space("convnet", alone.arguments(data.facts))
    model = space.build(space.default(), seed=0)
    labelled = task("image-classification").read("digits", ReadOptions())

    def neighbours() -> float:
        trunk = nn.Sequential(*list(model)[:-1], *list(model[-1])[:-1]).eval()
        with torch.no_grad():
            seen, asked = (
                trunk(alone.prepare(part.inputs, data.facts))
                for part in (labelled.train, labelled.test)
            )
        near = KNeighborsClassifier(5).fit(seen, labelled.train.targets)
        return float(near.score(asked, labelled.test.targets))

    before = neighbours()
    train(model, alone, data, alone.recipe(data), Fidelity(epochs=12), seed=0)
    assert neighbours() > before + 0.04


@pytest.mark.slow
def test_any_space_is_searched_without_labels(tmp_path: Path) -> None:
    result = nas.search(
        "convnet",
        "digits",
        task="self-supervised:dim=32",
        trials=2,
        epochs=2,
        final_epochs=2,
        finalists=1,
        run=tmp_path / "run",
        limits=["params<=100k"],
    )
    assert result.best is not None
    assert 0 < result.best.test["accuracy"] <= 1
    nas.Run(tmp_path / "run").export(tmp_path / "model", None, False)
    record = json.loads((tmp_path / "model" / "architecture.json").read_text())
    assert record["signature"]["output_name"] == "embeddings"


def test_a_folder_of_images_needs_no_classes(alone: SelfSupervisedImages, tmp_path: Path) -> None:
    noise = np.random.RandomState(0)
    for number in range(30):
        pixels = noise.randint(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    data = alone.read(str(tmp_path), ReadOptions())
    assert (len(data.train), len(data.validation), len(data.test)) == (18, 12, 12)
    assert data.summary[0] == "30 RGB images of 16 x 16"
    with pytest.raises(DataError, match="at least two classes"):
        task("image-classification").read(str(tmp_path), ReadOptions())
    for path in tmp_path.iterdir():
        path.unlink()
    with pytest.raises(DataError, match="images, or class folders of images, got none"):
        alone.read(str(tmp_path), ReadOptions())


def test_options_are_checked() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'simclr'"):
        task("self-supervised:loss=simcl")
    with pytest.raises(InputError, match="temperature"):
        task("self-supervised:temperature=0")
    with pytest.raises(InputError, match="a whole number, got 'many'"):
        task("self-supervised:dim=many")


def test_a_picture_of_views(alone: SelfSupervisedImages, digits: Data) -> None:
    """There are more images than the source has classes."""
    inputs, numbers = digits.validation.inputs[:512], digits.validation.targets[:512]
    vectors = torch.randn(512, 4, generator=torch.Generator().manual_seed(0))
    assert alone.picture(inputs, numbers, vectors, digits.facts).size[0] > 0


def test_held_views_differ(alone: SelfSupervisedImages, digits: Data) -> None:
    """Two views without augmentation would be one image twice, and any model right."""
    space = nas.Space(_thin, classes=4)
    recipe = alone.recipe(digits)
    net = nas.Supernet(space)
    session = start(net, alone, digits, recipe, seed=0, epochs=1, holdout=0.1)
    batch = session.held()
    assert (batch[0][::2] == batch[0][1::2]).all()
    assert session.judge(space.default(), batch)["accuracy"] < 0.9


def _thin(classes: int) -> nn.Module:
    width = nas.choose("width", [2, 4])
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.Linear(width, classes))
