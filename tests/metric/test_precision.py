"""Average precision, by hand and against a computation that follows the definition."""

from __future__ import annotations

import contextlib
import io
import os
from dataclasses import replace

import numpy as np
import pytest

import archsmith as nas
from archsmith.metric.precision import OVERLAPS, Seen, average_precision
from archsmith.task.boxed import DetectionMeter
from archsmith.task.problem import open_problem
from archsmith.train import score, train


def seen(found: list[tuple[float, int, list[float]]], true: list[tuple[int, list[float]]]) -> Seen:
    return Seen(
        np.array([box for _, _, box in found], dtype=np.float64).reshape(-1, 4),
        np.array([score for score, _, _ in found], dtype=np.float64),
        np.array([number for _, number, _ in found], dtype=np.int64),
        np.array([box for _, box in true], dtype=np.float64).reshape(-1, 4),
        np.array([number for number, _ in true], dtype=np.int64),
    )


def test_a_case_by_hand() -> None:
    left, right, half = [0, 0, 0.2, 0.2], [0.5, 0.5, 0.7, 0.7], [0, 0, 0.2, 0.12]
    images = [
        # A hit, a second one on the same object, and a box on nothing.
        seen([(0.9, 0, left), (0.8, 0, left), (0.7, 0, [0.8, 0.8, 0.9, 0.9])], [(0, left)]),
        # Three fifths of the object, and one that is not found; a class that no image has.
        seen([(0.6, 0, half), (0.5, 2, left)], [(0, left), (0, right), (1, right)]),
    ]
    given = average_precision(images, 3)
    # In order: right, wrong, wrong, right where overlaps of 0.6 do; two of three found.
    # Precision is 1 up to a recall of 1/3 (34 of 101 recalls), 2/4 up to 2/3 (33 more), then 0.
    assert given[0, 0] == pytest.approx((34 + 33 * 0.5) / 101)
    assert given[3:, 0] == pytest.approx(np.full(7, 34 / 101))
    assert given[:, 1] == pytest.approx(np.zeros(10))
    assert np.isnan(given[:, 2]).all()


def test_boxes_that_are_all_right_have_a_precision_of_one() -> None:
    box = [0.1, 0.1, 0.4, 0.5]
    assert average_precision([seen([(0.3, 0, box)], [(0, box)])], 1) == pytest.approx(1.0)


def test_it_is_what_the_definition_says() -> None:
    rng = np.random.default_rng(0)

    def box() -> list[float]:
        low = rng.uniform(0, 0.6, 2)
        return [*low, *(low + rng.uniform(0.1, 0.4, 2))]

    images = []
    for _ in range(12):
        true = [(int(rng.integers(2)), box()) for _ in range(rng.integers(0, 6))]
        near = [(c, [v + d for v, d in zip(b, rng.normal(0, 0.02, 4))]) for c, b in true]
        others = [(int(rng.integers(2)), box()) for _ in range(3)]
        found = [(float(rng.uniform()), c, b) for c, b in near + near[:2] + others]
        images.append(seen(found, true))
    given = average_precision(images, 2)
    assert 0.1 < given.mean() < 0.9
    for level, overlap in enumerate(OVERLAPS):
        for number in range(2):
            wanted = precision_by_definition(images, number, overlap)
            assert given[level, number] == pytest.approx(wanted)


def precision_by_definition(images: list[Seen], number: int, overlap: float) -> float:
    """One box after the other, over all images at once."""
    ranked = sorted(
        (
            (score, which, n)
            for which, image in enumerate(images)
            for n, score in enumerate(image.scores)
            if image.classes[n] == number
        ),
        reverse=True,
    )
    there = sum(int((image.true_classes == number).sum()) for image in images)
    taken: set[tuple[int, int]] = set()
    points, hits = [], 0
    for rank, (_, which, n) in enumerate(ranked, start=1):
        image, best, place = images[which], overlap, -1
        for m, true in enumerate(image.true_boxes):
            shared = covered(image.boxes[n], true)
            free = (which, m) not in taken and image.true_classes[m] == number
            if free and shared >= best:
                best, place = shared, m
        if place >= 0:
            taken.add((which, place))
            hits += 1
        points.append((hits / there, hits / rank))
    total = 0.0
    for step in range(101):
        total += max((p for recall, p in points if recall >= step / 100 - 1e-12), default=0.0)
    return total / 101


def covered(one: np.ndarray, two: np.ndarray) -> float:
    wide = min(one[2], two[2]) - max(one[0], two[0])
    high = min(one[3], two[3]) - max(one[1], two[1])
    shared = max(0.0, wide) * max(0.0, high)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, two)]
    return shared / (sum(areas) - shared)


def test_it_is_what_the_program_of_coco_says() -> None:
    rng = np.random.default_rng(1)
    images = []
    for _ in range(1000):
        low = rng.integers(0, 60, (rng.integers(0, 5), 2)).astype(float)
        truth = np.concatenate([low, low + rng.integers(5, 40, low.shape)], 1)
        near = truth[rng.integers(0, len(truth), 3 * len(truth))] if len(truth) else truth
        near = near + rng.integers(-4, 5, near.shape) / 2
        found = np.concatenate([near, [[0.0, 0, 30, 30]]])
        found = found[(found[:, 2:] > found[:, :2]).all(1)]
        # Whole pixels and few different scores: many are equal, as are overlaps.
        scores = rng.integers(1, 20, len(found)) / 20
        kinds = rng.integers(0, 3, len(found)), rng.integers(0, 3, len(truth))
        images.append(Seen(found, scores, kinds[0], truth, kinds[1]))
    # More detections of a class than are evaluated.
    many = np.tile([[0.0, 0, 20, 20]], (150, 1)) + rng.integers(0, 9, (150, 1))
    zeros, kinds = np.zeros(150, dtype=np.int64), np.zeros(30, dtype=np.int64)
    images.append(Seen(many, rng.uniform(0, 1, 150), zeros, many[:30], kinds))
    given = average_precision(images, 4)
    assert np.isnan(given[:, 3]).all()
    expected = by_pycocotools(images, 4)
    assert 0.05 < expected[:, :3].mean() < 0.95
    np.testing.assert_allclose(given[:, :3], expected[:, :3], atol=1e-9)


@pytest.mark.slow
@pytest.mark.skipif("ARCHSMITH_DATA" not in os.environ, reason="needs ARCHSMITH_DATA")
def test_predictions_on_blood_cells_are_judged_as_the_program_of_coco_judges_them() -> None:
    source = f"{os.environ['ARCHSMITH_DATA']}/bccd_detection.npz"
    problem = open_problem(
        "detector",
        source,
        task="detection:size=96,upright=no",
        options=nas.ReadOptions(unreadable="skip"),
        arguments={"backbones": ("convnet",)},
    )
    model, task, data = problem.space.build(problem.space.default()), problem.task, problem.data
    train(model, task, data, replace(problem.recipe, epochs=4), seed=0)
    meter = task.meter(data.facts)
    assert isinstance(meter, DetectionMeter)
    metrics = score(model, task, data.test, data.facts, meter=meter)
    expected = by_pycocotools(meter.images, 3)
    assert metrics["map50"] > 0.05
    assert metrics["map"] == pytest.approx(expected.mean(), abs=1e-6)
    assert metrics["map50"] == pytest.approx(expected[0].mean(), abs=1e-6)


def by_pycocotools(images: list[Seen], classes: int) -> np.ndarray:
    """Average precision (overlaps, classes) of COCO's own program."""
    coco = pytest.importorskip("pycocotools.coco")
    cocoeval = pytest.importorskip("pycocotools.cocoeval")

    def rows(boxes: np.ndarray, kinds: np.ndarray, image: int) -> list[dict[str, object]]:
        return [
            {
                "image_id": image,
                "category_id": int(kind),
                "bbox": [*box[:2], *(box[2:] - box[:2])],
                "area": float((box[2:] - box[:2]).prod()),
                "iscrowd": 0,
            }
            for box, kind in zip(boxes, kinds, strict=True)
        ]

    truth, found = coco.COCO(), []
    told = [row for n, seen in enumerate(images) for row in rows(*_true(seen), n)]
    truth.dataset = {
        "info": {},
        "images": [{"id": n} for n in range(len(images))],
        "annotations": [row | {"id": n + 1} for n, row in enumerate(told)],
        "categories": [{"id": n} for n in range(classes)],
    }
    for n, seen in enumerate(images):
        pairs = zip(rows(seen.boxes, seen.classes, n), seen.scores.tolist(), strict=True)
        found += [row | {"score": score} for row, score in pairs]
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        judged = cocoeval.COCOeval(truth, truth.loadRes(found), "bbox")
        judged.evaluate()
        judged.accumulate()
    # Of all sizes, and at most 100 detections: the mean over recalls.
    precision: np.ndarray = judged.eval["precision"][:, :, :, 0, 2].mean(1)
    return precision


def _true(seen: Seen) -> tuple[np.ndarray, np.ndarray]:
    return seen.true_boxes, seen.true_classes
