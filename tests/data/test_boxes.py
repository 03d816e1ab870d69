"""Images with boxes: what the reader takes, what it refuses, and what it leaves out when asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from archsmith._support.errors import DataError
from archsmith.data.boxes import holds_boxes, load_image, read_boxes, without_classes
from archsmith.data.raw import TEST, TRAIN, VALIDATION

SIZES = [(40, 20), (30, 60), (50, 50)]


IMAGE: dict[str, Any] = {"id": 7, "file_name": "0.png", "width": 40, "height": 20}
ANNOTATION: dict[str, Any] = {"id": 5, "image_id": 7, "category_id": 4, "bbox": [0, 0, 5, 5]}


def coco(folder: Path, **changed: Any) -> Path:
    """A COCO file of three grey images, with a crowd, and category numbers that have gaps."""
    for n, size in enumerate(SIZES):
        Image.new("RGB", size, (80 * n, 90, 90)).save(folder / f"{n}.png")
    told: dict[str, Any] = {
        "images": [
            {"id": 7 + n, "file_name": f"{n}.png", "width": w, "height": h}
            for n, (w, h) in enumerate(SIZES)
        ],
        "annotations": [
            {"image_id": 7, "category_id": 90, "bbox": [1.5, 2, 30, 10]},
            {"image_id": 9, "category_id": 4, "bbox": [0, 0, 50, 50], "iscrowd": 0},
            {"image_id": 9, "category_id": 4, "bbox": [0, 0, 5, 5], "iscrowd": 1},
            {"image_id": 7, "category_id": 4, "bbox": [20, 10, 20.3, 10]},
        ],
        "categories": [{"id": 90, "name": "tooth brush"}, {"id": 4, "name": "bicycle"}],
    }
    path = folder / "instances.json"
    path.write_text(json.dumps(told | changed))
    return path


def packed(path: Path, **changed: Any) -> Path:
    images = [np.full((h, w, 3), 50 * n, np.uint8) for n, (w, h) in enumerate(SIZES)]
    files = []
    for image in images:
        Image.fromarray(image).save(path.with_suffix(".png"))
        files.append(path.with_suffix(".png").read_bytes())
    given = {
        "jpeg": np.frombuffer(b"".join(files), dtype=np.uint8),
        "offsets": np.cumsum([0, *map(len, files)]),
        "boxes": np.array([[2, 1, 0, 0, 50, 50], [0, 0, 1, 2, 31, 12], [0, 1, 20, 10, 40, 20]]),
        "classes": np.array(["cup", "plate"]),
        "split": np.array(["train", "val", "test"]),
    } | changed
    np.savez(path, **{key: value for key, value in given.items() if value is not None})
    return path


def test_an_archive_is_read(tmp_path: Path) -> None:
    path = packed(tmp_path / "cups.npz")
    assert holds_boxes(path)
    read = read_boxes(path, 32)
    assert read.images.shape == (3, 3, 32, 32)
    assert [int(image.mean()) for image in read.images] == [0, 50, 100]
    assert read.sizes.tolist() == [list(size) for size in SIZES]
    assert read.parts.tolist() == [TRAIN, VALIDATION, TEST]
    assert (read.owners.tolist(), read.labels.tolist()) == ([2, 0, 0], [1, 0, 1])
    assert read.boxes[1].tolist() == [1, 2, 31, 12]
    assert (read.class_names, read.name, read.notes) == (("cup", "plate"), "cups", ())
    alone = read_boxes(packed(tmp_path / "more.npz", split=None), 32)
    assert alone.parts.tolist() == [TRAIN] * 3


def test_a_coco_file_is_read(tmp_path: Path) -> None:
    path = coco(tmp_path)
    assert holds_boxes(path)
    read = read_boxes(path, 16)
    assert read.class_names == ("bicycle", "tooth brush")
    assert (read.owners.tolist(), read.labels.tolist()) == ([0, 2, 0], [1, 0, 0])
    # What rounding puts beyond the rim is cut there.
    assert read.boxes.tolist() == [[1.5, 2, 31.5, 12], [0, 0, 50, 50], [20, 10, 40, 20]]
    assert read.notes == ("1 boxes of crowds left out",)
    (tmp_path / "images").mkdir()
    for n in range(3):
        (tmp_path / f"{n}.png").rename(tmp_path / "images" / f"{n}.png")
    assert len(read_boxes(path, 16).images) == 3


def test_images_are_stretched_to_the_square(tmp_path: Path) -> None:
    pixels = np.zeros((20, 80, 3), np.uint8)
    pixels[:, 40:] = 200
    Image.fromarray(pixels).save(tmp_path / "half.png")
    image, size = load_image(tmp_path / "half.png", 16)
    assert size == (80, 20)
    assert image[:, :, :7].max() == 0
    assert image[:, :, 9:].min() == 200


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"boxes": None}, "no boxes among"),
        ({"offsets": None}, "no offsets among"),
        ({"classes": None}, "no classes among"),
        ({"boxes": np.array([[0, 0, 5, 5, 5, 9]])}, "xmin < xmax"),
        ({"boxes": np.array([[0, 0, 9, 5, 5, 9]])}, "first box 0: 9, 5, 5, 9 in image 0"),
        ({"boxes": np.array([[0, 0, 5, 5, 41, 9]])}, "inside their image"),
        ({"boxes": np.array([[0, 0, -1, 5, 9, 9]])}, "inside their image"),
        ({"boxes": np.array([[0, 0, 1, np.nan, 9, 9]])}, "inside their image"),
        ({"boxes": np.array([[0, 2, 5, 5, 9, 9]])}, "class from 0 to 1 for each box, got 2"),
        ({"boxes": np.array([[3, 0, 5, 5, 9, 9]])}, "image from 0 to 2 for each box, got 3"),
        ({"boxes": np.array([[0.5, 0, 5, 5, 9, 9]])}, "whole numbers for image and class"),
        ({"boxes": np.zeros((3, 5))}, "rows"),
        ({"offsets": np.array([0, 5, 3, 9])}, "ascending"),
        ({"offsets": np.array([0.0, 9.0])}, "ascending"),
        ({"jpeg": np.zeros(3)}, "bytes"),
        ({"split": np.array(["train", "val", "none"])}, "'none'"),
        ({"split": np.array(["train", "val"])}, "3 of train"),
        ({"classes": np.array(["cup", "cup"])}, "'cup' twice"),
        ({"size_wh": np.array([[40, 20], [30, 60], [50, 51]])}, "declared as 50 by 51"),
        ({"size_wh": np.array([40, 20])}, "whole numbers"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, changed: Any, told: str) -> None:
    with pytest.raises(DataError, match=told):
        read_boxes(packed(tmp_path / "cups.npz", **changed), 32)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (
            {"annotations": [ANNOTATION | {"image_id": 1}]},
            "known image.*image_id 1 in annotation 5",
        ),
        (
            {"annotations": [ANNOTATION | {"category_id": 5}]},
            "class .*category_id 5 in annotation 5",
        ),
        ({"annotations": [ANNOTATION | {"bbox": [0, 0, 99, 5]}]}, "annotation 5: .* in image 7"),
        ({"images": [IMAGE, IMAGE]}, "id of its own for each image, got image id 7 2 times"),
        ({"categories": [{"id": 4, "name": "a"}, {"id": 4, "name": "b"}]}, "category id 4 2 times"),
        ({"images": [IMAGE | {"width": 41}], "annotations": []}, "declared as 41 by 20"),
        ({"images": [IMAGE | {"file_name": "9.png"}], "annotations": []}, "9.png: no such file"),
        ({"annotations": [{"image_id": 7, "category_id": 4, "bbox": [0, 0, 5]}]}, "COCO file"),
        ({"annotations": [{"image_id": 7, "category_id": 4}]}, "KeyError: 'bbox'"),
        ({"annotations": [{"image_id": 7, "category_id": 4, "bbox": [0, 0, 0, 5]}]}, "xmin < xmax"),
        ({"annotations": 3}, "COCO file"),
        ({"categories": []}, "class names"),
        ({"images": []}, "one image"),
        ({"images": [{"id": 1, "file_name": "../secret.png"}]}, "inside its own folder"),
        ({"images": [{"id": 7, "file_name": "9.png"}], "annotations": []}, "can be read"),
    ],
)
def test_what_is_no_coco_file_is_refused(tmp_path: Path, changed: Any, told: str) -> None:
    with pytest.raises(DataError, match=told):
        read_boxes(coco(tmp_path, **changed), 16)


def test_what_is_no_file_of_boxes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Annotations"):
        read_boxes(tmp_path, 16)
    (tmp_path / "torn.json").write_text('{"images": [], "annotations"')
    with pytest.raises(DataError, match="COCO file"):
        read_boxes(tmp_path / "torn.json", 16)
    (tmp_path / "other.json").write_text('{"name": 3}')
    assert not holds_boxes(tmp_path / "other.json")
    assert not holds_boxes(tmp_path)
    np.savez(tmp_path / "plain.npz", x=np.zeros((4, 2)), y=np.arange(4))
    assert not holds_boxes(tmp_path / "plain.npz")


def test_what_is_bad_is_left_out_when_asked(tmp_path: Path) -> None:
    boxes = np.array([[2, 1, 0, 0, 50, 50], [0, 0, 5, 5, 5, 9], [1, 0, 0, 0, 30, 60]])
    path = packed(tmp_path / "cups.npz", boxes=boxes)
    read = read_boxes(path, 32, "skip")
    assert read.owners.tolist() == [2, 1]
    assert read.notes == ("1 of 3 boxes left out, without an area or outside",)
    damaged = dict(np.load(path))
    damaged["jpeg"][: damaged["offsets"][1]] = 0
    np.savez(path, **damaged)
    with pytest.raises(DataError, match=r"1 of 3 unreadable \(image 0"):
        read_boxes(path, 32)
    read = read_boxes(path, 32, "skip")
    # The boxes of a picture that is left out go with it, and the others keep theirs.
    assert (len(read.images), read.owners.tolist()) == (2, [1, 0])
    assert read.sizes.tolist() == [[30, 60], [50, 50]]
    assert read.notes[0].startswith("1 of 3 images left out")


def test_annotations_of_nothing_are_left_out_when_asked(tmp_path: Path) -> None:
    beyond = [ANNOTATION | {"image_id": 1}, ANNOTATION, ANNOTATION | {"category_id": 5}]
    read = read_boxes(coco(tmp_path, annotations=beyond), 16, "skip")
    assert (read.owners.tolist(), read.labels.tolist()) == ([0], [0])
    assert read.notes == ("2 of 3 boxes left out, of an unknown image or class",)


def test_images_without_objects_are_read(tmp_path: Path) -> None:
    read = read_boxes(coco(tmp_path, annotations=[]), 16)
    assert (len(read.images), len(read.boxes), read.boxes.shape) == (3, 0, (0, 4))


def test_classes_can_be_left_out(tmp_path: Path) -> None:
    read = without_classes(read_boxes(packed(tmp_path / "cups.npz"), 16), np.array([0]))
    assert (read.class_names, read.labels.tolist()) == (("plate",), [0, 0])
    assert read.owners.tolist() == [2, 0]
    assert read.notes == ("classes without training examples left out: cup",)
