"""Semantic segmentation: reading, augmenting and judging masks, and a search from end to end."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import archsmith as nas
from archsmith._support.errors import DataError, InputError
from archsmith.cli.door import run
from archsmith.data import masks
from archsmith.data.splits import Batch
from archsmith.export import predict
from archsmith.task import task, task_for
from archsmith.task.base import Data, ReadOptions
from archsmith.task.pixelwise import SegmentationMeter, moved_together, pixel_loss
from archsmith.task.segmentation import Segmentation, mask_of
from archsmith.task.segmentation_picture import side_by_side

TASK = Segmentation()
NAMES = ["ground", "box", "void"]


def scenes(count: int, height: int = 16, width: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Grey scenes with a bright box (class 1) on dark ground (0), its rim without a label (2)."""
    rng = np.random.RandomState(0)
    images = rng.randint(0, 60, (count, height, width, 3)).astype(np.uint8)
    truth = np.zeros((count, height, width), np.uint8)
    for image, mask in zip(images, truth, strict=True):
        y, x = rng.randint(0, height - 8), rng.randint(0, width - 10)
        mask[y : y + 8, x : x + 10] = 2
        mask[y + 1 : y + 7, x + 1 : x + 9] = 1
        image[mask > 0] += 150
    return images, truth


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scenes") / "scenes.npz"
    images, truth = scenes(48)
    np.savez(path, image=images, mask=truth, classes=np.array(NAMES))
    return path


@pytest.fixture(scope="module")
def data(source: Path) -> Data:
    return TASK.read(str(source), ReadOptions())


def folder_of(root: Path, images: np.ndarray, truth: np.ndarray) -> Path:
    """Files of images and masks, the masks with a palette."""
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for number, (image, mask) in enumerate(zip(images, truth, strict=True)):
        Image.fromarray(image).save(root / "images" / f"{number:02}.png")
        painted = Image.fromarray(mask, mode="P")
        painted.putpalette(list(range(256)) * 3)  # a shorter one would cut 255 off
        painted.save(root / "masks" / f"{number:02}.png")
    return root


def test_images_with_masks_are_meant_for_this_task_alone(source: Path, tmp_path: Path) -> None:
    # Image classification would read the folder as one of the classes images and masks.
    assert task_for(str(folder_of(tmp_path / "pairs", *scenes(12)))).name == "segmentation"
    assert task_for(str(source)).name == "segmentation"
    for other in ("digits", "iris"):
        assert not TASK.suits(other)
    # A mask beside labels says which rows count.
    np.savez(tmp_path / "rows.npz", x=np.zeros((30, 2)), y=np.arange(30) % 2, mask=np.ones(30))
    assert task_for(str(tmp_path / "rows.npz")).name == "tabular-classification"


def test_what_is_read_is_what_was_saved(data: Data) -> None:
    assert (len(data.train), len(data.validation), len(data.test)) == (28, 10, 10)
    assert data.facts["class_names"] == ["ground", "box"]
    assert json.loads(json.dumps(data.facts)) == data.facts
    _, truth = scenes(48)
    saved = sorted(np.where(mask == 2, 255, mask).tobytes() for mask in truth)
    parts = (data.train, data.validation, data.test)
    read = sorted(m.numpy().tobytes() for part in parts for m in part.head(48).targets)
    assert read == saved
    assert "48 RGB images of 16 x 24" in data.summary


def test_a_folder_is_read_as_its_arrays_are(data: Data, tmp_path: Path) -> None:
    root = folder_of(tmp_path / "scenes", *scenes(48))
    (root / "classes.txt").write_text("\n".join(NAMES))
    from_files = TASK.read(str(root), ReadOptions())
    assert from_files.digest() == data.digest()
    small = TASK.read(str(root), ReadOptions(image_size=12))
    assert small.train.head(1).targets.shape == (1, 12, 12)
    assert set(small.train.head(28).targets.unique().tolist()) == {0, 1, 255}


@pytest.mark.parametrize("inside", [True, False])
def test_parts_that_a_folder_brings_are_kept(tmp_path: Path, inside: bool) -> None:
    images, truth = scenes(9)
    truth[truth == 2] = 255
    for number, part in enumerate(("train", "val", "test")):
        some = slice(3 * number, 3 * number + 3)
        folder_of(tmp_path / part, images[some], truth[some])
    if inside:
        for name in ("images", "masks"):
            (tmp_path / "whole" / name).mkdir(parents=True)
            for part in ("train", "val", "test"):
                (tmp_path / part / name).rename(tmp_path / "whole" / name / part)
    data = TASK.read(str(tmp_path / "whole" if inside else tmp_path), ReadOptions())
    assert data.drawn == ()
    assert torch.equal(data.test.head(3).targets, torch.from_numpy(truth[6:]))
    assert data.facts["class_names"] == ["class 0", "class 1"]


def test_another_number_is_ignored_on_demand(source: Path) -> None:
    asked = task("segmentation:ignore=0")
    assert asked.name == "segmentation:ignore=0"
    images, truth = scenes(12)
    np.savez(source.with_name("plain.npz"), image=images, mask=truth)
    data = asked.read(str(source.with_name("plain.npz")), ReadOptions())
    assert data.facts["class_names"] == ["class 1", "class 2"]
    first = data.train.head(len(data.train)).targets
    assert 0.5 < float((first == masks.UNLABELLED).float().mean()) < 1


@pytest.mark.parametrize("seed", range(5))
def test_augmentation_keeps_image_and_mask_together(seed: int) -> None:
    """Images say by their values where each pixel was, and masks by their bands."""
    y, x = torch.meshgrid(torch.arange(60.0), torch.arange(80.0), indexing="ij")
    images = torch.stack([y, x]).repeat(16, 1, 1, 1)
    targets = (2 * (y // 10) + (x // 10 >= 4)).byte().repeat(16, 1, 1)
    seen, found = moved_together(images, targets, torch.Generator().manual_seed(seed), True)
    rows, columns = seen[:, 0], seen[:, 1]
    expected = 2 * (rows // 10) + (columns // 10 >= 4)
    # Between two pixels the mask is that of the nearest, half a pixel away.
    clear = ((rows % 10 - 5).abs() < 4.4) & ((columns - 40).abs() > 0.6)
    labelled = found != masks.UNLABELLED
    assert float((clear & labelled).float().mean()) > 0.6
    assert torch.equal(found[clear & labelled], expected[clear & labelled].byte())
    # Only what lies beyond the rim has no label, and it is where the rim is repeated.
    at_rim = (rows < 0.51) | (rows > 58.49) | (columns < 0.51) | (columns > 78.49)
    assert not (~labelled & ~at_rim).any()
    mirrored = (columns[:, 30, 60] < columns[:, 30, 20]).sum()
    assert 0 < mirrored < 16
    assert not torch.equal(seen[0], seen[1])


@pytest.mark.parametrize("seed", range(10))
def test_a_patch_of_another_image_comes_with_its_mask(seed: int) -> None:
    masks = torch.arange(4)[:, None, None].expand(4, 32, 48)
    images = masks[:, None].expand(4, 3, 32, 48).float()
    noise = torch.Generator().manual_seed(seed)
    mixed = Segmentation().mixed(Batch(images, masks), noise, {})
    assert torch.equal(mixed.inputs, mixed.targets[:, None].expand(4, 3, 32, 48).float())
    assert torch.equal(mixed.targets.sort(0).values, masks), "the same pixels, elsewhere"
    assert mixed.targets.dtype == masks.dtype


def test_a_crop_is_a_part_of_the_image_at_its_scale_or_larger() -> None:
    y, x = torch.meshgrid(torch.arange(60.0), torch.arange(80.0), indexing="ij")
    images, targets = torch.stack([y, x]).repeat(64, 1, 1, 1), torch.zeros(64, 60, 80).byte()
    noise = torch.Generator().manual_seed(0)
    seen, found = moved_together(images, targets, noise, False, crop=24)
    assert seen.shape == (64, 2, 24, 24)
    assert not (found == masks.UNLABELLED).any()
    # A pixel of the crop is 0.75 to 1 pixels of the image, and crops come from everywhere.
    steps = (seen[:, :, 12, 13] - seen[:, :, 12, 12])[:, 1]
    assert 0.74 < float(steps.min()) < float(steps.max()) < 1.01
    corners = seen[:, :, 0, 0]
    assert float(corners[:, 0].min()) < 4
    assert float(corners[:, 0].max()) > 32
    assert float(corners[:, 1].min()) < 6
    assert float(corners[:, 1].max()) > 50


def test_training_sees_crops_and_evaluation_whole_images(source: Path) -> None:
    asked = task("segmentation:crop=16,loss=focal+dice")
    data = asked.read(str(source), ReadOptions())
    raw = data.train.head(4)
    cropped = asked.prepare_batch(raw, data.facts, torch.Generator().manual_seed(0))
    assert cropped.inputs.shape[2:] == cropped.targets.shape[1:] == (16, 16)
    whole = asked.prepare_batch(raw, data.facts)
    assert whole.targets.shape == raw.targets.shape


def test_smaller_images_have_the_nearest_pixels_of_their_masks(tmp_path: Path) -> None:
    """A white half and a black one, each of its class, stay together."""
    images = np.zeros((20, 64, 80, 3), np.uint8)
    truth = np.zeros((20, 64, 80), np.uint8)
    for number in range(20):
        edge = 16 + 2 * number
        images[number, :, edge:], truth[number, :, edge:] = 255, 1
    np.savez(tmp_path / "halves.npz", image=images, mask=truth)
    data = TASK.read(str(tmp_path / "halves.npz"), ReadOptions())
    smaller = TASK.shrunk(data, 0.5)
    assert smaller is not None
    batch = smaller.train.head(8)
    assert batch.inputs.shape[2:] == batch.targets.shape[1:] == (32, 40)
    assert torch.equal((batch.inputs[:, 0] > 127).byte(), batch.targets)
    assert TASK.shrunk(data, 0.4) is None  # images would be too small
    assert task("segmentation:crop=32").shrunk(data, 0.5) is None


@pytest.mark.parametrize(
    ("options", "message"), [("loss=jaccard", "segmentation loss"), ("crop=8", "16 pixels")]
)
def test_options_that_make_no_sense_are_refused(options: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        task(f"segmentation:{options}")


def test_the_dice_loss_is_one_minus_the_overlap() -> None:
    """Of certain predictions, class by class, for those that the batch has."""
    targets = torch.tensor([[[0, 0, 1, 1], [0, 0, 1, 255]]])
    guesses = torch.tensor([[[0, 0, 0, 1], [0, 0, 1, 2]]])
    outputs = 40.0 * torch.nn.functional.one_hot(guesses, 3).movedim(-1, 1).float()
    overlaps = [(2 * 4 + 1) / (5 + 4 + 1), (2 * 2 + 1) / (2 + 3 + 1)]
    loss = pixel_loss(outputs, targets, ["dice"])
    assert float(loss) == pytest.approx(1 - sum(overlaps) / 2, abs=1e-6)
    both = pixel_loss(outputs, targets, ["dice", "cross-entropy"])
    alone = pixel_loss(outputs, targets, ["cross-entropy"])
    assert float(both) == pytest.approx(float(loss + alone), rel=1e-6)


def test_the_focal_loss_by_its_formula() -> None:
    outputs, targets = drawn(0)
    known = targets != 255
    chance = outputs.softmax(1).gather(1, targets.long().clamp(max=4)[:, None])[:, 0][known]
    expected = (-((1 - chance) ** 2) * chance.log()).mean()
    assert float(pixel_loss(outputs, targets.long(), ["focal"])) == pytest.approx(float(expected))


def test_augmentation_in_a_batch_mirrors_only_where_it_may(data: Data) -> None:
    raw = data.train.head(8)
    noise = torch.Generator()
    one, two = (
        TASK.prepare_batch(raw, {**data.facts, "mirror": flag}, noise.manual_seed(0))
        for flag in (False, True)
    )
    assert one.targets.dtype == torch.int64
    assert not torch.equal(one.inputs, two.inputs)
    plain = TASK.prepare_batch(raw, data.facts)
    assert torch.equal(plain.targets, raw.targets.long())
    # Light pixels are those of boxes, before and after; rims are mixed and have no label.
    for batch in (one, two):
        light = batch.inputs.mean(1) > 0
        known = batch.targets != masks.UNLABELLED
        assert float((light == (batch.targets == 1))[known].float().mean()) > 0.94


def directly(outputs: Tensor, targets: Tensor) -> dict[str, float]:
    """The metrics by their definitions, pixel by pixel."""
    guesses = outputs.argmax(1)
    known = targets != 255
    overlaps = []
    for number in range(outputs.shape[1]):
        truth, guess = (targets == number) & known, (guesses == number) & known
        if (truth | guess).any():
            overlaps.append(float((truth & guess).sum() / (truth | guess).sum()))
    chances = outputs.log_softmax(1)
    losses = [
        -float(chances[n, int(targets[n, y, x]), y, x]) for n, y, x in known.nonzero().tolist()
    ]
    return {
        "miou": sum(overlaps) / len(overlaps),
        "pixel_accuracy": float((guesses == targets)[known].float().mean()),
        "loss": sum(losses) / len(losses),
    }


def drawn(seed: int, classes: int = 5, used: int = 4) -> tuple[Tensor, Tensor]:
    """Logits and masks; the last class is in neither."""
    generator = torch.Generator().manual_seed(seed)
    outputs = torch.randn(7, classes, 6, 4, generator=generator)
    outputs[:, used:] = -9
    targets = torch.randint(used, (7, 6, 4), generator=generator).byte()
    targets[torch.rand(targets.shape, generator=generator) < 0.2] = 255
    targets[2] = 255  # an image without any label
    return outputs, targets


@pytest.mark.parametrize("seed", range(3))
def test_the_meter_agrees_with_the_definitions(seed: int) -> None:
    outputs, targets = drawn(seed)
    meter = SegmentationMeter(5)
    meter.update(outputs[:3], targets[:3])
    meter.update(outputs[3:], targets[3:])
    expected = directly(outputs, targets)
    assert meter.result() == pytest.approx(expected, rel=1e-5)
    assert list(meter.result()) == [metric.name for metric in TASK.metrics]
    loss = TASK.criterion(outputs, targets.long())
    assert float(loss) == pytest.approx(expected["loss"], rel=1e-5)
    with pytest.raises(ValueError, match="shape"):
        meter.update(outputs[:, :, :3], targets)
    named = SegmentationMeter(5, ["a", "b c", "d", "e", "nowhere"])
    named.update(outputs, targets)
    found = named.result()
    own = [found[f"iou_{name}"] for name in ("a", "b_c", "d", "e")]
    assert sum(own) / 4 == pytest.approx(expected["miou"], rel=1e-5)
    assert "iou_nowhere" not in found


@pytest.mark.parametrize("seed", range(3))
def test_sums_over_images_give_the_metrics_of_all(seed: int) -> None:
    outputs, targets = drawn(seed)
    parts = TASK.parts(outputs, targets, {"classes": 5})
    expected = directly(outputs, targets)
    for name, values in parts.items():
        sums = values.double().numpy()
        assert len(sums) == len(targets)
        assert float(TASK.pooled(name, sums.sum(0))) == pytest.approx(expected[name], rel=1e-5)
        both = np.stack([sums.sum(0), 2 * sums.sum(0)])  # one metric for each row
        assert TASK.pooled(name, both) == pytest.approx([expected[name]] * 2, rel=1e-5)
    assert set(parts) == {"miou", "pixel_accuracy"}


def test_pixels_without_a_label_do_not_count() -> None:
    outputs, targets = drawn(0)
    outputs.requires_grad_()
    other = torch.where((targets == 255)[:, None], torch.randn(outputs.shape), outputs.detach())
    teacher = torch.randn(outputs.shape)
    for made in (
        lambda o: TASK.criterion(o, targets.long(), 0.1),
        lambda o: TASK.imitation(o, teacher, targets.long()),
        lambda o: pixel_loss(o, targets.long(), ["focal", "dice"]),
    ):
        assert made(outputs).item() == pytest.approx(made(other).item(), rel=1e-6)
        (gradient,) = torch.autograd.grad(made(outputs), outputs)
        bare = (targets == 255)[:, None].expand_as(gradient)
        assert not gradient[bare].any()
        assert gradient[~bare].any()
    results = []
    for each in (outputs.detach(), other):
        meter = SegmentationMeter(5)
        meter.update(each, targets)
        results.append(meter.result())
    assert results[0] == pytest.approx(results[1])
    # A batch without any label teaches nothing, and breaks nothing.
    assert TASK.criterion(outputs, torch.full_like(targets, 255).long()).item() == 0
    assert SegmentationMeter(5).result() == {"miou": 0, "pixel_accuracy": 0, "loss": 0}


def test_a_model_is_judged_on_a_few_images_at_once() -> None:
    seen: list[int] = []

    class Counting(torch.nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            seen.append(len(inputs))
            return inputs

    outputs, targets = torch.randn(40, 3, 2, 2), torch.zeros(40, 2, 2, dtype=torch.uint8)
    meter = SegmentationMeter(3)
    meter.see(Counting(), Batch(outputs, targets))
    assert seen == [16, 16, 8]
    assert meter.result() == pytest.approx(directly(outputs, targets), rel=1e-5)


def test_an_answer_holds_the_mask() -> None:
    outputs, _ = drawn(1)
    facts = {"class_names": ["a", "b", "c", "d", "e"]}
    for answer, guess in zip(
        TASK.describe(outputs.softmax(1), facts), outputs.argmax(1), strict=True
    ):
        kept = json.loads(json.dumps(answer))
        assert np.array_equal(mask_of(kept), guess.numpy())
        assert sum(kept["classes"].values()) == pytest.approx(1)
        assert list(kept["classes"].values()) == sorted(kept["classes"].values(), reverse=True)
        assert "e" not in kept["classes"]


def test_a_picture_has_a_row_an_example_and_a_legend(data: Data) -> None:
    inputs, targets = data.validation.head(10)
    picture = side_by_side(inputs, targets, targets % 2, data.facts["class_names"], most=2)
    across, tall = 2 * 220, round(2 * 220 * 16 / 24)
    assert picture.size == (3 * across + 2 * 20 + 2 * 40, 40 + 48 + 2 * (tall + 48) + 40 + 40)
    one = side_by_side(inputs[:1], targets[:1], targets[:1], data.facts["class_names"])
    assert one.height == 40 + 48 + tall + 48 + 40 + 40


def command(monkeypatch: pytest.MonkeyPatch, *words: object) -> object:
    """The exit status of a command."""
    monkeypatch.setattr("sys.argv", ["archsmith", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        run()
    return ended.value.code


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["random", "spos"])
def test_a_search_its_export_and_an_answer(
    source: Path, tmp_path: Path, strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = nas.search(
        None,
        str(source),
        strategy=strategy,
        trials=2,
        epochs=2,
        arguments={"widths": (4, 8), "depths": (1,)},
        finalists=1,
        final_epochs=15 if strategy == "random" else 1,
        run=tmp_path / "run",
    )
    assert result.best is not None
    assert (tmp_path / "run" / "report.html").stat().st_size > 10_000
    if strategy == "spos":
        return
    assert result.best.test["miou"] > 0.6
    _, parity = nas.Run(tmp_path / "run").export(tmp_path / "model")
    assert parity.ok
    assert {"model.safetensors", "model.pt2"} <= {check.file for check in parity.checks}
    images, truth = scenes(3)
    for number, image in enumerate(images):
        (tmp_path / "some").mkdir(exist_ok=True)
        Image.fromarray(image).save(tmp_path / "some" / f"{number}.png")
    np.save(tmp_path / "some.npy", images)
    answers = predict(tmp_path / "model", tmp_path / "some")
    assert [answer.pop("input") for answer in answers] == ["0.png", "1.png", "2.png"]
    assert answers == predict(tmp_path / "model", tmp_path / "some.npy")
    for answer, mask in zip(answers, truth, strict=True):
        assert (mask_of(answer) == mask)[mask < 2].mean() > 0.8
    # Features are of whole images, and the classes of their pixels are no labels of these.
    to = tmp_path / "features.npz"
    command(monkeypatch, "features", tmp_path / "model", source, "--to", to)
    with np.load(to) as kept:
        assert {*kept.files} == {f"{part}_features" for part in ("train", "validation", "test")}


def broken(**changed: object) -> dict[str, object]:
    images, truth = scenes(12)
    given = {"train_image": images, "train_mask": truth, "val_image": images, "val_mask": truth}
    return {k: v for k, v in {**given, **changed}.items() if v is not None}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"val_mask": None}, "image and mask, each alone or with train, val, test"),
        ({"train_mask": np.zeros((12, 16, 20), np.uint8)}, r"masks of shape \(12, 16, 24\)"),
        ({"train_mask": np.zeros((12, 16, 24))}, "masks of whole numbers, got float64"),
        ({"classes": np.array(["a", "b"])}, r"val_mask|train_mask, mask 0: .* 0 to 1, .*got 2"),
        ({"classes": np.array(["a", "a", "b"])}, "distinct class names"),
        ({"mask": np.zeros((12, 16, 24), np.uint8)}, "one array of a kind"),
        (
            {n: np.full((12, 16, 24), 255, np.uint8) for n in ("train_mask", "val_mask")},
            "at least two classes",
        ),
        ({"val_mask": np.full((12, 16, 24), 255, np.uint8)}, "labelled pixels in the validation"),
        ({"train_mask": np.full((12, 16, 24), 1, np.uint8)}, "training pixels of at least two"),
        ({"val_image": np.zeros((12, 16, 30, 3), np.uint8)}, "masks of shape"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    changed: dict[str, object], told: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "bad.npz", **broken(**changed))  # type: ignore[arg-type]
    with pytest.raises(DataError, match=told):
        TASK.read(str(tmp_path / "bad.npz"), ReadOptions())


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "pairs", *scenes(6))
    first = root / "masks" / "00.png"
    whole = first.read_bytes()
    Image.fromarray(np.zeros((16, 20), np.uint8)).save(first)
    with pytest.raises(DataError, match="24 x 16 pixels, got 20 x 16"):
        TASK.read(str(root), ReadOptions())
    Image.fromarray(np.zeros((16, 24, 3), np.uint8)).save(first)
    with pytest.raises(DataError, match=r"colours \(RGB\)"):
        TASK.read(str(root), ReadOptions())
    first.write_bytes(whole[:40])
    with pytest.raises(DataError, match="a mask that can be read"):
        TASK.read(str(root), ReadOptions())
    first.unlink()
    with pytest.raises(DataError, match="1 without the other: 00"):
        TASK.read(str(root), ReadOptions())
    with pytest.raises(DataError, match="npz file or a folder of images and masks"):
        TASK.read("digits", ReadOptions())
    with pytest.raises(InputError, match="ignore: expected a whole number"):
        task("segmentation:ignore=none")


def test_bad_input_ends_the_command_with_status_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "bad.npz", **broken(classes=np.array(["a", "b"])))  # type: ignore[arg-type]
    monkeypatch.chdir(tmp_path)
    assert command(monkeypatch, "search", tmp_path / "bad.npz") == 2
    told = capsys.readouterr().err
    assert "train_mask, mask 0: expected labels from 0 to 1" in told
    assert "Traceback" not in told


def test_options_that_would_do_nothing_are_refused(source: Path) -> None:
    with pytest.raises(InputError, match="--image-size"):
        nas.search(None, str(source), read=replace(ReadOptions(), image_size=8), trials=1)
