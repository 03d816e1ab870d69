"""Folders of Pascal VOC: what is read, and what of strangers' files is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from tests.task.blocks import annotation, voc_object

from archsmith._support.errors import DataError
from archsmith.data.boxes import holds_boxes, read_boxes
from archsmith.data.raw import TEST, TRAIN, VALIDATION

DIFFICULT = "<difficult>1</difficult>"


def folder(root: Path, *objects: str, lists: dict[str, str] | None = None) -> Path:
    """Images of 40 x 20 pixels, one for each text of objects."""
    for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for number, text in enumerate(objects):
        Image.new("RGB", (40, 20), (50 * number, 9, 9)).save(root / "JPEGImages" / f"{number}.jpg")
        told = annotation(f"{number}.jpg", text, 40, 20)
        (root / "Annotations" / f"{number}.xml").write_text(told, encoding="utf-8")
    for name, text in (lists or {}).items():
        (root / "ImageSets" / "Main" / f"{name}.txt").write_text(text, encoding="utf-8")
    return root


CUP, PLATE = voc_object("cup", 2, 1, 30, 20), voc_object("plate", 1, 5.5, 40, 12.25)


def test_a_folder_is_read(tmp_path: Path) -> None:
    part = "<part><name>ear</name><bndbox><xmin>3</xmin></bndbox></part>"
    hidden = voc_object("saucer", 3, 3, 9, 9, more=DIFFICULT)
    root = folder(tmp_path, PLATE + CUP, "", voc_object("cup", 4, 4, 8, 9, more=part) + hidden)
    assert holds_boxes(root)
    read = read_boxes(root, 16)
    assert read.class_names == ("cup", "plate")
    assert (read.owners.tolist(), read.labels.tolist()) == ([0, 0, 2], [1, 0, 0])
    # The first pixel is 1, and the last one belongs to the box.
    assert read.boxes.tolist() == [[0, 4.5, 40, 12.25], [1, 0, 30, 20], [3, 3, 8, 9]]
    assert read.sizes.tolist() == [[40, 20]] * 3
    assert read.parts.tolist() == [TRAIN] * 3
    assert read.notes == ("1 difficult objects left out",)


def test_lists_give_the_parts(tmp_path: Path) -> None:
    lists = {"train": "3  1\n", "val": "1\n", "trainval": "1\n3\n", "test": "0\n\n"}
    read = read_boxes(folder(tmp_path, CUP, CUP, CUP, PLATE, lists=lists), 16)
    assert read.parts.tolist() == [TEST, VALIDATION, TRAIN]
    assert read.labels.tolist() == [0, 0, 1]
    assert read.notes == ("1 annotation files that no list names left out",)
    lists = {"trainval": "1\n3\n", "test": "0\n"}
    read = read_boxes(folder(tmp_path / "two", CUP, CUP, CUP, PLATE, lists=lists), 16)
    assert read.parts.tolist() == [TEST, TRAIN, TRAIN]


def test_a_corner_of_zero_shows_how_pixels_are_counted(tmp_path: Path) -> None:
    read = read_boxes(folder(tmp_path, CUP, voc_object("cup", 0, 3, 40, 20)), 16)
    assert read.boxes.tolist() == [[2, 1, 30, 20], [0, 3, 40, 20]]
    assert read.notes == ("pixels are counted from 0, as a corner of 0 shows",)


def test_an_image_may_have_another_ending(tmp_path: Path) -> None:
    root = folder(tmp_path, CUP, CUP)
    (root / "JPEGImages" / "1.jpg").rename(root / "JPEGImages" / "1.png")
    assert len(read_boxes(root, 16).images) == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>', "a document type"),
        ("<annotation><object>", "UTF-8"),
        ("<html></html>", "<html>"),
        (annotation("../../secret.png", CUP, 40, 20), "file in JPEGImages"),
        (annotation("/etc/passwd", CUP, 40, 20), "file in JPEGImages"),
        (annotation("..", CUP, 40, 20), "file in JPEGImages"),
        (annotation("a\\b.jpg", CUP, 40, 20), "file in JPEGImages"),
        (annotation("1.jpg", voc_object("", 1, 1, 3, 3), 40, 20), "without a name"),
        (annotation("1.jpg", "<object><name>cup</name></object>", 40, 20), "four numbers"),
        (annotation("1.jpg", voc_object("cup", 1, 1, 1e999, 3), 40, 20), "1.xml: 0, 0, inf, 3 in"),
        (annotation("1.jpg", CUP.replace(">30<", ">many<"), 40, 20), "many"),
        (
            annotation("1.jpg", voc_object("cup", 9, 1, 3, 3), 40, 20),
            "1 of 1.xml: 8, 0, 3",
        ),
        (annotation("1.jpg", voc_object("cup", 1, 1, 44, 3), 40, 20), "1.jpg of 40 by 20"),
        (annotation("1.jpg", CUP, 41, 20), "declared as 41 by 20"),
    ],
)
def test_what_does_not_fit_is_refused_or_left_out(tmp_path: Path, text: str, told: str) -> None:
    root = folder(tmp_path, CUP, CUP, PLATE)
    (root / "Annotations" / "1.xml").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=told) as caught:
        read_boxes(root, 16)
    assert "--unreadable skip" in str(caught.value)
    read = read_boxes(root, 16, "skip")
    assert read.labels.tolist() == [0, 1]
    assert len(read.notes) == 1
    assert "left out" in read.notes[0]


def test_a_document_type_is_seen_in_every_encoding(tmp_path: Path) -> None:
    root = folder(tmp_path, CUP)
    text = '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a><annotation/>'
    (root / "Annotations" / "0.xml").write_bytes(text.encode("utf-16"))
    with pytest.raises(DataError, match="UTF-8"):
        read_boxes(root, 16)


@pytest.mark.parametrize(
    ("lists", "told"),
    [
        ({"train": "0\n9\n"}, "Annotations, got 9"),
        ({"train": "../0\n"}, r"Annotations, got \.\./0"),
        ({"train": "0\n", "test": "0\n"}, "0 in two"),
    ],
)
def test_lists_that_do_not_fit_are_refused(
    tmp_path: Path, lists: dict[str, str], told: str
) -> None:
    with pytest.raises(DataError, match=told):
        read_boxes(folder(tmp_path, CUP, lists=lists), 16)


def test_a_missing_image_is_told(tmp_path: Path) -> None:
    root = folder(tmp_path, CUP, CUP)
    (root / "JPEGImages" / "1.jpg").unlink()
    with pytest.raises(DataError, match=r"1\.jpg: no such file"):
        read_boxes(root, 16)
    assert len(read_boxes(root, 16, "skip").images) == 1
