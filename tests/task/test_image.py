from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from archsmith._support.errors import DataError, UnknownNameError
from archsmith.task import task, task_for, tasks
from archsmith.task.base import Data, ReadOptions
from archsmith.task.image import ImageClassification, may_mirror
from archsmith.task.picture import confusion, mistakes

TASK = ImageClassification()


@pytest.fixture(scope="module")
def digits() -> Data:
    return TASK.read("digits", ReadOptions())


def image_npz(path: Path, names: list[str], count: int = 60) -> Path:
    rng = np.random.RandomState(0)
    images = rng.randint(0, 256, (count, 16, 16, 3), dtype=np.uint8)
    labels = np.arange(count) % len(names)
    np.savez(path / "toy.npz", images=images, labels=labels, class_names=np.array(names))
    return path / "toy.npz"


def test_tasks_are_found_by_name_and_by_source() -> None:
    assert "image-classification" in tasks.names()
    assert isinstance(task_for("digits"), ImageClassification)
    with pytest.raises(UnknownNameError, match="did you mean 'image-classification'"):
        task("image-clasification")
    with pytest.raises(UnknownNameError, match="digits"):
        task_for("digts")


class Certain(ImageClassification):
    """Reads what another task reads too, and says that it is meant for nothing else."""

    name = "z-certain"

    def suits(self, source: str, options: ReadOptions | None = None) -> int:
        return 2 * super().suits(source, options)


def test_the_surest_claim_wins_whatever_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    places = {**tasks._places, "z-certain": lambda: Certain}
    monkeypatch.setattr(tasks, "_places", places)
    assert isinstance(task_for("digits"), Certain)
    assert task_for("iris").name == "tabular-classification"


def test_a_source_that_no_task_reads(tmp_path: Path) -> None:
    (tmp_path / "notes.docx").write_text("x")
    for source in (tmp_path, tmp_path / "notes.docx"):
        with pytest.raises(DataError, match="folder of class folders"):
            task_for(str(source))


def test_digits_are_split_and_described(digits: Data) -> None:
    assert (len(digits.train), len(digits.validation), len(digits.test)) == (1079, 359, 359)
    assert digits.train.inputs.dtype == torch.uint8
    assert digits.source == "digits"
    sizes = {"channels": 1, "classes": 10, "height": 8, "width": 8}
    normalisation = {name: digits.facts[name] for name in ("mean", "std")}
    assert TASK.arguments(digits.facts) == sizes | normalisation
    assert json.loads(json.dumps(digits.facts)) == digits.facts
    assert "1,797 grey images of 8 x 8" in digits.summary


def test_normalisation_comes_from_the_training_part(digits: Data) -> None:
    prepared = TASK.prepare(digits.train.inputs, digits.facts)
    assert prepared.mean().abs() < 1e-4
    assert abs(float(prepared.std()) - 1) < 1e-3
    assert TASK.prepare(digits.test.inputs, digits.facts).mean().abs() > 1e-3
    assert digits.train.inputs.dtype == torch.uint8


def test_augmentation_shifts_and_keeps_pictures() -> None:
    inputs = torch.arange(32.0).repeat(200, 1, 16, 1)
    moved = TASK.augment(inputs, torch.Generator().manual_seed(0), {"mirror": False})
    again = TASK.augment(inputs, torch.Generator().manual_seed(0), {"mirror": False})
    assert moved.shape == inputs.shape
    assert torch.equal(moved, again)
    starts = {tuple(row) for row in moved[:, 0, 0].tolist()}
    expected = {
        tuple(float(min(31, max(0, x + shift))) for x in range(32)) for shift in range(-2, 3)
    }
    assert starts == expected


def test_augmentation_mirrors_only_where_facts_allow() -> None:
    inputs = torch.arange(8.0).repeat(100, 1, 4, 1)
    generator = torch.Generator().manual_seed(0)
    rising = [
        (TASK.augment(inputs, generator, facts).diff(dim=3).sum((1, 2, 3)) > 0).float().mean()
        for facts in ({"mirror": True}, {"mirror": False}, None)
    ]
    assert 0.3 < rising[0] < 0.7
    assert rising[1:] == [1.0, 1.0]


@pytest.mark.parametrize(
    ("names", "allowed"),
    [
        (("0", "1", "10"), False),
        (("a", "b"), False),
        (("turn left", "turn right"), False),
        (("cat", "dog"), True),
        (("Greek/character01", "Latin/character12"), False),
        (("latin/a", "latin/b"), False),
        (("letter_a", "a cat"), True),
    ],
)
def test_mirroring_is_decided_by_class_names(names: tuple[str, ...], allowed: bool) -> None:
    assert may_mirror(names) is allowed


def test_loss_and_meter_agree_with_known_values(digits: Data) -> None:
    outputs, targets = torch.randn(50, 10), torch.randint(0, 10, (50,))
    meter = TASK.meter(digits.facts)
    meter.update(outputs[:20], targets[:20])
    meter.update(outputs[20:], targets[20:])
    result = meter.result()
    assert set(result) == {metric.name for metric in TASK.metrics} | {"top5"}
    assert result["loss"] == pytest.approx(float(F.cross_entropy(outputs, targets)), abs=1e-6)
    assert result["accuracy"] == pytest.approx(float((outputs.argmax(1) == targets).float().mean()))
    assert float(TASK.criterion(outputs, targets)) == pytest.approx(result["loss"], abs=1e-6)
    sure = F.one_hot(targets, 10) * 100.0
    assert float(TASK.criterion(sure, targets)) < 1e-6
    assert float(TASK.criterion(sure, targets, smoothing=0.1)) > 1
    with pytest.raises(ValueError, match=r"\(5, 9\), not \(5, 10\)"):
        meter.update(torch.zeros(5, 9), torch.zeros(5, dtype=torch.long))


def test_the_deployed_form_takes_bytes_and_any_batch(digits: Data) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    deployed = TASK.deployable(model, digits.facts).eval()
    signature = TASK.signature(digits)
    inputs = digits.test.inputs[:5]
    with torch.no_grad():
        expected = model(TASK.prepare(inputs, digits.facts)).softmax(1)
        assert torch.allclose(deployed(inputs), expected, atol=1e-6)
    batch = torch.export.Dim("batch")
    program = torch.export.export(deployed, (signature.example,), dynamic_shapes=({0: batch},))
    assert torch.allclose(program.module()(inputs), expected, atol=1e-6)
    assert signature.example.shape == (2, 1, 8, 8)


def test_describe_names_the_likeliest_class(digits: Data) -> None:
    chances = torch.full((1, 10), 0.05)
    chances[0, 7] = 0.55
    (answer,) = TASK.describe(chances, digits.facts)
    assert answer["class"] == "7"
    assert answer["probability"] == pytest.approx(0.55)
    assert sum(answer["probabilities"].values()) == pytest.approx(1)


def test_inputs_load_from_images_and_arrays(digits: Data, tmp_path: Path) -> None:
    facts = digits.facts
    picture = digits.test.inputs[0, 0].numpy()
    Image.fromarray(picture).convert("RGB").save(tmp_path / "one.png")
    assert torch.equal(TASK.load_input(tmp_path / "one.png", facts), digits.test.inputs[:1])
    assert torch.equal(TASK.load_input(tmp_path, facts), digits.test.inputs[:1])
    Image.fromarray(picture).resize((80, 80)).save(tmp_path / "big.png")
    assert TASK.load_input(tmp_path / "big.png", facts).shape == (1, 1, 8, 8)
    batch = digits.test.inputs[:4]
    # In the units of the source, 0 to 16, whatever the type.
    raw = batch.numpy() / 255 * 16
    for dtype in (np.uint8, np.int64, np.float32):
        for name, array in (("nchw", raw), ("nhw", raw[:, 0])):
            np.save(tmp_path / f"{name}.npy", array.round().astype(dtype))
            assert torch.equal(TASK.load_input(tmp_path / f"{name}.npy", facts), batch)
    np.savez(tmp_path / "raw.npz", x=raw[:, 0])
    assert torch.equal(TASK.load_input(tmp_path / "raw.npz", facts), batch)


@pytest.mark.parametrize(
    "values",
    [np.arange(64, dtype=np.uint8), np.linspace(0, 1, 64), np.linspace(-5, 16, 64)],
    ids=["bytes", "shares", "below"],
)
def test_arrays_of_another_range_are_refused(
    digits: Data, tmp_path: Path, values: np.ndarray
) -> None:
    np.save(tmp_path / "x.npy", values.reshape(8, 8))
    with pytest.raises(DataError, match="values from 0 to 16, as in the training data"):
        TASK.load_input(tmp_path / "x.npy", digits.facts)


def test_no_image_is_refused(digits: Data, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((0, 8, 8)))
    with pytest.raises(DataError, match="at least one image"):
        TASK.load_input(tmp_path / "x.npy", digits.facts)


def test_the_signature_says_how_values_become_bytes(digits: Data, tmp_path: Path) -> None:
    said = TASK.signature(digits).description
    assert "0 to 255 (values of the source, 0 to 16, as round(value * 255 / 16))" in said
    data = TASK.read(str(image_npz(tmp_path, ["cat", "dog"])), ReadOptions())
    assert "0 to 255; probabilities" in TASK.signature(data).description


def test_images_have_no_column_to_choose() -> None:
    with pytest.raises(UnknownNameError, match="column"):
        TASK.read("digits", ReadOptions(target="digit"))


def test_of_many_classes_the_most_frequent_confusions_are_listed() -> None:
    targets = torch.arange(100).repeat(5)
    names = [f"class {i}" for i in range(100)]
    none, one, two = targets.clone(), targets.clone(), targets.clone()
    one[90:490:100] = 10
    two[[90, 190, 91]] = 11
    red = [
        int((np.asarray(confusion(targets, guesses, names)) == (194, 53, 43)).all(-1).sum())
        for guesses in (none, one, two)
    ]
    assert red[0] == 0
    # Four of five, and two and one of five: bars as long as these shares.
    assert red[1] / red[2] == pytest.approx(4 / 3, rel=0.02)
    matrix = confusion(targets[:20], targets[:20], names[:20])
    assert matrix.height > matrix.width * 0.8


def test_the_surest_mistakes_come_first() -> None:
    """Each image has its own grey level, by which it is found again in the sheet."""
    greys = torch.arange(40, 220, 6)[:30]
    images = greys.byte()[:, None, None, None].expand(-1, 1, 8, 8)
    targets, chance = torch.zeros(30, dtype=torch.long), torch.linspace(0.05, 0.95, 30)
    sheet = np.asarray(mistakes(images, targets, torch.stack([1 - chance, chance], 1), ["a", "b"]))
    middles = [
        sheet[132 + 56 * 2 + row * 340, 40 + 56 * 2 + column * 252, 0]
        for row in range(3)
        for column in range(6)
    ]
    wrong = greys[chance > 0.5].flip(0).tolist()
    right = greys[chance < 0.5].flip(0).tolist()
    assert middles == (wrong + right)[:18]
    assert len(wrong) < 18


@pytest.mark.parametrize("kind", ["missing", "damaged", "shape"])
def test_inputs_that_do_not_load(digits: Data, tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("x.npy" if kind == "shape" else "x.png")
    if kind == "damaged":
        path.write_bytes(b"\x89PNG")
    elif kind == "shape":
        np.save(path, np.zeros((4, 9, 9)))
    with pytest.raises(DataError, match=r"x\.(png|npy)"):
        TASK.load_input(path, digits.facts)


def test_a_class_without_training_examples_is_refused(tmp_path: Path) -> None:
    images = np.zeros((40, 4, 4), np.uint8)
    arrays = {"x_train": images, "y_train": np.arange(40) % 2, "x_test": images[:3]}
    np.savez(tmp_path / "a.npz", **arrays, y_test=np.array([0, 1, 2]))
    with pytest.raises(DataError, match="training examples of every class, got none of '2'"):
        TASK.read(str(tmp_path / "a.npz"), ReadOptions())


def test_reading_a_file_keeps_its_absolute_path(tmp_path: Path) -> None:
    path = image_npz(tmp_path, ["cat", "dog"])
    data = TASK.read(str(path), ReadOptions(seed=1))
    assert data.source == str(path.resolve())
    assert data.facts["mirror"] is True
    assert data.facts["channels"] == 3
    again = TASK.read(str(path), ReadOptions(seed=1))
    assert torch.equal(data.test.inputs, again.test.inputs)


def test_the_search_spends_less_than_the_recipe(digits: Data) -> None:
    fidelity = TASK.search_fidelity(digits)
    assert (fidelity.epochs, fidelity.share) == (8, 1.0)
    assert TASK.recipe(digits).epochs == 40


def test_pictures_show_wrong_ones(digits: Data) -> None:
    inputs, targets = digits.test.inputs[:30], digits.test.targets[:30]
    right = F.one_hot(targets, 10).float()
    wrong = F.one_hot((targets + 1) % 10, 10).float()
    pictures = [TASK.picture(inputs, targets, out, digits.facts) for out in (right, wrong)]
    red = [int((np.asarray(p) == (194, 53, 43)).all(-1).sum()) for p in pictures]
    assert red[0] == 0
    assert red[1] > 1000
    assert pictures[0].height > 2000  # the confusions above the sheet


def raw_values(path: Path, scale: float) -> Data:
    images = np.random.RandomState(0).normal(size=(60, 8, 8)) * scale
    images[0, 0, 0] = 1e5 * scale
    np.savez(path / "raw.npz", x=images, y=np.arange(60) % 2)
    return TASK.read(str(path / "raw.npz"), ReadOptions())


@pytest.mark.parametrize("scale", [1.0, 1e-4, 1e6])
def test_a_hot_pixel_does_not_flatten_what_a_model_sees(tmp_path: Path, scale: float) -> None:
    data = raw_values(tmp_path, scale)
    before = data.train.inputs.clone()
    ready = TASK.prepare(data.train.inputs, data.facts)
    assert torch.equal(data.train.inputs, before)
    assert 0.9 < float(ready.std()) < 1.1
    assert float(ready.abs().max()) < 30
    assert json.loads(json.dumps(data.facts)) == data.facts
    deployed = TASK.deployable(nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), data.facts).eval()
    signature = TASK.signature(data)
    assert "float32 (n, 1, 8, 8)" in signature.description
    program = torch.export.export(
        deployed, (signature.example,), dynamic_shapes=({0: torch.export.Dim("batch")},)
    ).module()
    inputs = TASK.load_input(tmp_path / "raw.npz", data.facts)
    assert inputs.shape == (60, 1, 8, 8)
    assert torch.allclose(program(inputs), deployed(inputs), atol=1e-6)
    assert (
        TASK.picture(
            inputs,
            torch.zeros(60, dtype=torch.long),
            deployed(inputs).detach(),
            data.facts | {"class_names": ["a", "b"]},
        ).width
        > 0
    )
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="expected an array of 1 channels"):
        TASK.load_input(tmp_path / "a.png", data.facts)


def test_files_are_predicted_on_the_scale_that_they_were_read_on(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / "deep" / name).mkdir(parents=True)
        for i in range(12):
            pixels = np.random.RandomState(i).randint(0, 4096, (8, 8)).astype(np.uint16)
            Image.fromarray(pixels).save(tmp_path / "deep" / name / f"{i}.png")
    data = TASK.read(str(tmp_path / "deep"), ReadOptions())
    one = TASK.load_input(tmp_path / "deep" / "b" / "11.png", data.facts)
    assert torch.equal(one[0, 0], torch.from_numpy(pixels.astype(np.float32)))
    Image.new("L", (8, 8), 51).save(tmp_path / "grey.png")
    grey = TASK.load_input(tmp_path / "grey.png", data.facts)
    assert float(grey.max()) == pytest.approx(819)


def test_prediction_reads_channels_as_training_did(tmp_path: Path) -> None:
    images = np.random.RandomState(0).randint(0, 256, (40, 8, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "c.npz", x=images, y=np.arange(40) % 2)
    data = TASK.read(str(tmp_path / "c.npz"), ReadOptions(channels="last"))
    np.save(tmp_path / "one.npy", images[3])
    one = TASK.load_input(tmp_path / "one.npy", data.facts)
    assert (one[0].numpy() == images[3].transpose(2, 0, 1)).all()
