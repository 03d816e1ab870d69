from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

import archsmith as nas
from archsmith._support.errors import InputError
from archsmith.data.splits import Batch
from archsmith.export import predict
from archsmith.metric.boxes import overlap
from archsmith.task import task, task_for
from archsmith.task.base import Data, ReadOptions, Recipe
from archsmith.task.boxed import Deployed, augmented, pasted
from archsmith.task.detection import Detection
from archsmith.task.normalising import Normalise
from archsmith.task.problem import open_space
from archsmith.train import score, train

from . import blocks

DATA = os.environ.get("ARCHSMITH_DATA")
SHORT: dict[str, Any] = {"trials": 2, "epochs": 1, "finalists": 1, "final_epochs": 2}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return blocks.save(tmp_path_factory.mktemp("blocks") / "blocks.npz", 80)


@pytest.fixture(scope="module")
def detection() -> Detection:
    found = task("detection:size=64,most=20")
    assert isinstance(found, Detection)
    return found


@pytest.fixture(scope="module")
def data(detection: Detection, source: Path) -> Data:
    return detection.read(str(source), ReadOptions())


def test_boxes_are_shares_beside_their_counts(detection: Detection, data: Data) -> None:
    assert [len(part) for part in (data.train, data.validation, data.test)] == [48, 16, 16]
    assert data.drawn == ()
    inputs, targets = data.train.head(1)
    assert inputs["sizes"].tolist() == [[96, 64]]
    assert inputs["images"].shape == (1, 3, 64, 64)
    first = blocks.arrays(1)["boxes"]
    wanted = torch.tensor(first[:, 2:] / [96, 64, 96, 64]).float()
    torch.testing.assert_close(targets["boxes"][0], wanted)
    assert targets["classes"][0].tolist() == first[:, 1].tolist()
    assert targets["count"].tolist() == [2]
    assert json.loads(json.dumps(data.facts)) == data.facts
    assert "160 boxes" in data.summary[1]


def block_in(images: torch.Tensor) -> torch.Tensor:
    """Where the bright block of each image (n, 3, h, w) is, as shares."""
    bright = images[:, 0] > 0.5
    found = []
    for image in bright:
        rows, columns = (image.any(dim).nonzero().flatten() for dim in (1, 0))
        ends = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        found.append(torch.stack(ends) / image.shape[0])
    return torch.stack(found)


def test_boxes_stay_on_their_objects() -> None:
    images = torch.zeros(64, 3, 64, 64)
    images[:, :, 16:28, 20:40] = 1.0
    here = torch.tensor([20, 16, 40, 28]) / 64
    targets = {
        "boxes": torch.stack([torch.zeros(4), here]).repeat(64, 1, 1),
        "classes": torch.tensor([[1, 2]]).repeat(64, 1),
        "count": torch.full((64,), 2),
    }
    targets["boxes"][:, 0] = torch.tensor([0.9, 0.9, 1.0, 1.0])
    noise = torch.Generator().manual_seed(0)
    moved, changed = augmented(images, targets, noise, mirror=True, turn=True)
    last = torch.arange(64), changed["count"] - 1
    # The other one is moved out of the image in some, and the block is then the first.
    assert set(changed["count"].tolist()) == {1, 2}
    off = (changed["boxes"][last] - block_in(moved)).abs()
    assert float(off.max()) < 1.1 / 64
    assert (changed["classes"][last] == 2).all()
    wide = changed["boxes"][last][:, 2] - changed["boxes"][last][:, 0]
    assert 0.2 < float(wide.min()) < 0.26
    assert 0.38 < float(wide.max()) < 0.43
    mirrored, upright = changed["boxes"][last][:, 0] > 0.4, changed["boxes"][last][:, 1] < 0.4
    assert mirrored.any()
    assert not mirrored.all()
    assert not upright.all()
    kept, same = augmented(images, targets, noise, mirror=False, turn=False)
    last = torch.arange(64), same["count"] - 1
    assert (same["boxes"][last][:, 0] < 0.48).all()
    assert kept.shape == images.shape


@pytest.mark.parametrize("seed", range(12))
def test_boxes_come_with_what_is_pasted_and_go_with_what_is_covered(seed: int) -> None:
    side, images = 64, torch.zeros(4, 3, 64, 64)
    boxes = torch.zeros(4, 2, 4)
    for number, (x, y) in enumerate([(4, 8), (40, 4), (20, 36), (36, 40)]):
        images[number, :, y : y + 16, x : x + 20] = number + 1
        boxes[number, 0] = torch.tensor([x, y, x + 20, y + 16]) / side
    classes = torch.tensor([[number, 0] for number in range(4)])
    before = {"boxes": boxes, "classes": classes, "count": torch.ones(4, dtype=torch.int64)}
    noise = torch.Generator().manual_seed(seed)
    after, targets = pasted(Batch(images, before), noise)
    for number, image in enumerate(after):
        count = int(targets["count"][number])
        kept = targets["classes"][number, :count].tolist()
        found = dict(zip(kept, targets["boxes"][number, :count], strict=True))
        assert len(found) == count, "no object has two boxes"
        for kind in range(4):
            visible = image[0] == kind + 1
            share = float(visible.float().sum()) / (16 * 20)
            if abs(share - 0.3) > 0.1:  # the ends of a rectangle are rounded to whole pixels
                assert (kind in found) == (share > 0.3), (number, kind, share)
            if kind in found and kind != number:
                pixels = visible.nonzero().flip(1)
                ends = torch.cat([pixels.amin(0), pixels.amax(0) + 1]) / side
                torch.testing.assert_close(found[kind], ends)
            elif kind in found:
                assert torch.equal(found[kind], boxes[kind, 0]), "an object that is half covered"


def test_preparing_without_noise_changes_no_box(detection: Detection, data: Data) -> None:
    batch = data.train.head(4)
    ready = detection.prepare_batch(batch, data.facts)
    assert torch.equal(ready.targets["boxes"], batch.targets["boxes"])
    assert abs(float(ready.inputs.mean())) < 0.5
    noise = torch.Generator().manual_seed(1)
    other = detection.prepare_batch(Batch(*batch), data.facts, noise)
    assert not torch.equal(other.targets["boxes"], batch.targets["boxes"])
    shape = detection.example(data.facts, 4).shape
    assert shape == other.inputs.shape == ready.inputs.shape


@pytest.mark.slow
def test_a_detector_learns(detection: Detection, data: Data) -> None:
    space = open_space("detector", detection.arguments(data.facts))
    model = space.build(space.default(), seed=0)
    before = score(model, detection, data.test, data.facts)
    recipe = Recipe(epochs=12, batch_size=4, lr=4e-3, augment=True)
    trained = train(model, detection, data, recipe, seed=0)
    after = score(model, detection, data.test, data.facts)
    assert trained.curve[-1]["train_loss"] < 0.7 * trained.curve[0]["train_loss"]
    assert after["loss"] < 0.7 * before["loss"]
    assert before["map"] < 0.1
    assert after["map"] > 0.4
    assert after["map50"] > 0.7
    assert after["ap_red"] == pytest.approx(2 * after["map"] - after["ap_blue"])


def test_a_part_of_images_without_objects_has_a_score(detection: Detection, data: Data) -> None:
    meter = detection.meter(data.facts)
    none = {n: torch.zeros_like(t) for n, t in data.test.head(2).targets.items()}
    meter.update([torch.zeros(2, 7, 4, 4)], none)
    figures = meter.result()
    assert (figures["map"], figures["map50"]) == (0.0, 0.0)
    assert figures["loss"] > 0


def test_the_meter_does_not_depend_on_batches(detection: Detection, data: Data) -> None:
    generator = torch.Generator().manual_seed(0)
    maps = [torch.randn(6, 7, grid, grid, generator=generator) for grid in (8, 4)]
    targets = data.test.head(6).targets
    together, apart = (detection.meter(data.facts) for _ in range(2))
    together.update(maps, targets)
    for n in range(6):
        one = slice(n, n + 1)
        apart.update([each[one] for each in maps], {k: v[one] for k, v in targets.items()})
    assert together.result()["map"] == apart.result()["map"]
    assert {*together.result()} == {"map", "map50", "loss", "ap_red", "ap_blue"}


def test_smaller_images_have_the_same_boxes(detection: Detection, data: Data) -> None:
    assert detection.shrunk(data, 0.5) is None
    larger = replace(data, facts=data.facts | {"height": 128, "width": 128})
    small = detection.shrunk(larger, 0.5)
    assert small is not None
    order = [torch.arange(3)]
    (batch,) = small.train.batches(order)
    (before,) = data.train.batches(order)
    assert batch.inputs["images"].shape == (3, 3, 64, 64)
    assert torch.equal(batch.inputs["sizes"], before.inputs["sizes"])
    assert torch.equal(batch.targets["boxes"], before.targets["boxes"])


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["random", "spos"])
def test_a_search_its_export_and_an_answer(source: Path, tmp_path: Path, strategy: str) -> None:
    result = nas.search(
        None,
        str(source),
        task="detection:size=32,most=20",
        strategy=strategy,
        arguments={"backbones": ["convnet"]},
        run=tmp_path / "run",
        **SHORT,
    )
    assert result.best is not None
    assert not result.problems
    assert {"map", "map50", "loss"} <= {*result.best.test}
    if strategy == "spos":
        return
    assert "no predictions" not in (tmp_path / "run" / "report.html").read_text("utf-8")
    run = nas.Run(tmp_path / "run")
    # What an export is checked on is kept with the run, trees too.
    assert len(run.outline.data.validation) == 16
    _, parity = run.export(tmp_path / "model")
    assert parity.ok
    assert {check.file for check in parity.checks} == {
        "model.safetensors",
        "model.pt2",
        "model.onnx",
    }
    pixels, _ = blocks.drawn(np.random.default_rng(9), 192, 128)
    (tmp_path / "images").mkdir()
    Image.fromarray(pixels).save(tmp_path / "images" / "one.png")
    (answer,) = predict(tmp_path / "model", tmp_path / "images")
    assert answer["input"] == "one.png"
    scores = [each["score"] for each in answer["objects"]]
    assert scores == sorted(scores, reverse=True)
    assert {each["class"] for each in answer["objects"]} <= {*blocks.NAMES}
    the_graph_agrees(tmp_path, pixels)


def the_graph_agrees(folder: Path, pixels: Any) -> None:
    """Scores are small beside pixels, so each output is held against its own size."""
    session = onnxruntime.InferenceSession(folder / "model" / "model.onnx")
    assert [each.name for each in session.get_outputs()] == ["boxes", "scores", "classes"]
    assert [each.name for each in session.get_inputs()] == ["images", "sizes"]
    small = Image.fromarray(pixels).resize((32, 32), Image.Resampling.BILINEAR)
    fed = {
        "images": np.asarray(small).transpose(2, 0, 1)[None],
        "sizes": np.array([[192, 128]]),
    }
    given = session.run(None, fed)
    program = torch.export.load(folder / "model" / "model.pt2").module()
    again = program(**{name: torch.from_numpy(array.copy()) for name, array in fed.items()})
    for one, two, size in zip(given, again, (192, 1, 1), strict=True):
        np.testing.assert_allclose(one, two.detach().numpy(), atol=1e-5 * size)
    assert [array.shape for array in given] == [(1, 20, 4), (1, 20), (1, 20)]


@pytest.mark.slow
def test_answers_are_in_pixels_of_the_image(
    detection: Detection, data: Data, tmp_path: Path
) -> None:
    pixels, rows = blocks.drawn(np.random.default_rng(3), 192, 128)
    Image.fromarray(pixels).save(tmp_path / "one.png")
    inputs = detection.load_input(tmp_path / "one.png", data.facts)
    assert inputs["sizes"].tolist() == [[192, 128]]

    class Perfect(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            maps = torch.full((1, 7, 8, 8), -9.0)
            for number, *box in rows:
                shares = torch.tensor(box) / torch.tensor([192, 128, 192, 128]) * 8
                x, y = ((shares[:2] + shares[2:]) / 2).long().tolist()
                middle = torch.tensor([x, y]) + 0.5
                maps[0, [number, 2], y, x] = 3.0
                maps[0, -4:, y, x] = torch.cat([middle - shares[:2], shares[2:] - middle]).log()
            return maps

    with torch.no_grad():
        outputs = detection.deployable(Perfect(), data.facts)(**inputs)
    (answer,) = detection.describe(outputs, data.facts)
    assert len(answer["objects"]) == 2
    for each in answer["objects"]:
        own = [row[1:] for row in rows if blocks.NAMES[row[0]] == each["class"]]
        found = torch.tensor([each["box"]])
        assert float(overlap(found, torch.tensor(own).float()).max()) > 0.99
    targets = {name: tensor[:1] for name, tensor in data.test.head(1).targets.items()}
    picture = detection.picture(inputs, targets, outputs, data.facts)
    colours = {colour for _, colour in picture.getcolors(1 << 24) or ()}
    assert (255, 255, 255) in colours
    assert (0, 0x72, 0xB2) in colours


def test_a_file_of_boxes_is_told_by_what_it_holds(source: Path, tmp_path: Path) -> None:
    assert task_for(str(source)).name == "detection"
    assert task_for("digits").name == "image-classification"
    others = [task(name) for name in nas.task.tasks.names() if name != "detection"]
    assert not any(other.suits(str(source)) for other in others)


def test_models_that_give_something_else_are_refused(detection: Detection, data: Data) -> None:
    fine, coarse = torch.zeros(2, 7, 8, 8), torch.zeros(2, 7, 4, 4)
    for right in (fine, [fine], (fine, coarse)):
        detection.expect_outputs(right, data.facts)
    for wrong in (
        torch.zeros(2, 2),
        torch.zeros(2, 6, 8, 8),
        {"maps": fine},
        [],
        [fine, 3],
        [fine, torch.zeros(2, 6, 4, 4)],
        [coarse, fine],
    ):
        with pytest.raises(ValueError, match="n, 7, h, w"):
            detection.expect_outputs(wrong, data.facts)
    with pytest.raises(InputError, match="n, 7, h, w"):
        nas.search("convnet", data.source, task=detection, **SHORT)


@pytest.mark.parametrize("options", ["size=8", "most=0", "stride=4", "upright=perhaps"])
def test_bad_options_are_refused(options: str) -> None:
    with pytest.raises(InputError):
        task(f"detection:{options}")


@pytest.mark.parametrize(
    "changed",
    [
        {"boxes": None},
        {"boxes": np.array([[0, 0, 5, 5, 5, 9]])},
        {"boxes": np.array([[0, 0, 5, 5, 500, 9]])},
        {"boxes": np.array([[0, 2, 5, 5, 9, 9]])},
        {"boxes": np.array([[0, 0, 5, 5, 9, 9]])},
    ],
)
def test_bad_files_end_with_status_2(
    archsmith: Callable[..., Any], tmp_path: Path, changed: dict[str, Any]
) -> None:
    path = blocks.save(tmp_path / "bad.npz", 10, **changed)
    done = archsmith("search", path, "--run", tmp_path / "run")
    assert done.status == 2
    assert "expected" in done.err
    assert "Traceback" not in done.err


@pytest.mark.slow
@pytest.mark.skipif(DATA is None, reason="ARCHSMITH_DATA names no folder of data")
def test_real_images_are_read() -> None:
    source = f"{DATA}/bccd_detection.npz"
    assert task_for(source).name == "detection"
    # Two boxes of the annotators are points.
    with pytest.raises(InputError, match="2 of 4888 that are not"):
        task("detection:size=32").read(source, ReadOptions())
    read = task("detection:size=32").read(source, ReadOptions(unreadable="skip"))
    assert [len(part) for part in (read.train, read.validation, read.test)] == [205, 87, 72]
    assert read.facts["class_names"] == ["RBC", "WBC", "Platelets"]
    assert sum(int(p.targets["count"].sum()) for p in (read.train, read.validation, read.test)) == (
        4886
    )


@pytest.mark.slow
def test_dense_scenes_are_the_same_in_every_export(tmp_path: Path) -> None:
    """Boxes that overlap a lot, so that many are dropped, and in batches of other sizes."""

    class Dense(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fine, self.coarse = (torch.nn.Conv2d(3, 8, side, side) for side in (8, 16))

        def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
            return [4 * self.fine(images), 4 * self.coarse(images)]

    torch.manual_seed(0)
    facts = {"channels": 3, "mean": [0.5] * 3, "std": [0.1] * 3}
    model = Deployed(Normalise(facts), Dense(), 30).eval()
    images = torch.randint(0, 255, (5, 3, 64, 64), dtype=torch.uint8)
    sizes = torch.tensor([[64, 32]]).expand(5, 2)
    expected = model(images, sizes)
    assert 10 < int((expected[1] > 0).sum(1).float().mean()) < 31
    batch = torch.export.Dim("batch")
    program = torch.export.export(
        model, (images[:2], sizes[:2]), dynamic_shapes=({0: batch}, {0: batch})
    )
    for one, two in zip(program.module()(images, sizes), expected, strict=True):
        torch.testing.assert_close(one, two)
    path = tmp_path / "dense.onnx"
    saved = torch.onnx.export(program, dynamo=True, verbose=False)
    assert saved is not None
    saved.save(path)
    session = onnxruntime.InferenceSession(path)
    fed = zip((node.name for node in session.get_inputs()), (images, sizes), strict=True)
    given = session.run(None, {name: tensor.numpy() for name, tensor in fed})
    for one, two in zip(given, expected, strict=True):
        np.testing.assert_allclose(one, two.detach().numpy(), atol=1e-4)
