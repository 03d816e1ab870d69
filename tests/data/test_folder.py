from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from archsmith._support.errors import DataError
from archsmith.data.folder import read_images
from archsmith.data.raw import TEST, TRAIN, VALIDATION


def save(path: Path, size: tuple[int, int] = (6, 5), value: int = 100, mode: str = "L") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    colour = value if mode == "L" else (value, 0, 0)
    Image.new(mode, size, colour).save(path)


def fill(root: Path, classes: dict[str, int], **options: object) -> Path:
    for name, count in classes.items():
        for i in range(count):
            save(root / name / f"{i}.png", **options)  # type: ignore[arg-type]
    return root


def test_grey_images_of_one_size_stay_as_they_are(tmp_path: Path) -> None:
    fill(tmp_path, {"b": 2, "a": 3})
    save(tmp_path / "a" / "0.png", value=7)
    read = read_images(tmp_path)
    assert read.images.shape == (5, 1, 5, 6)
    assert read.images.dtype == np.uint8
    assert read.class_names == ("a", "b")
    assert read.labels.tolist() == [0, 0, 0, 1, 1]
    assert read.images[0].max() == 7
    assert read.images[1].min() == 100


def test_one_coloured_image_makes_all_rgb_and_sizes_are_brought_together(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 2, "b": 2}, size=(20, 10))
    save(tmp_path / "b" / "0.png", size=(40, 40), value=200, mode="RGB")
    read = read_images(tmp_path)
    assert read.images.shape == (4, 3, 10, 10)
    assert read.images[2, :, 5, 5].tolist() == [200, 0, 0]
    assert any("resized to 10 x 10" in note for note in read.notes)
    assert read_images(tmp_path, size=16).images.shape == (4, 3, 16, 16)


def deep(root: Path, *values: int, suffix: str = ".png") -> None:
    for name, value in zip("abcdefg", values, strict=False):
        (root / name).mkdir(exist_ok=True)
        Image.fromarray(np.full((5, 6), value, np.uint16)).save(root / name / f"0{suffix}")


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize(
    ("values", "white", "bits"), [((25_700, 200), 65535, 16), ((4000, 3), 4095, 12)]
)
def test_16_bit_greys_keep_their_levels(
    tmp_path: Path, values: tuple[int, int], white: float, bits: int, suffix: str
) -> None:
    deep(tmp_path, *values, suffix=suffix)
    read = read_images(tmp_path)
    # One rule for all: a dark image stays dark.
    assert [image.max() for image in read.images] == list(values)
    assert (read.high, read.deep_white) == (white, white)
    assert any(f"use {bits} bits" in note for note in read.notes)
    save(tmp_path / "b" / "1.png", value=51)
    mixed = read_images(tmp_path).images
    assert mixed[2].max() == pytest.approx(white / 5)


def test_16_bit_files_of_8_bits_are_bytes(tmp_path: Path) -> None:
    deep(tmp_path, 255, 7)
    read = read_images(tmp_path)
    assert read.images.dtype == np.uint8
    assert [image.max() for image in read.images] == [255, 7]


def test_16_bit_colours_and_further_frames_are_told(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 2, "b": 2}, mode="RGB")
    frames = [Image.new("L", (6, 5), value) for value in (10, 20, 30)]
    frames[0].save(tmp_path / "a" / "2.gif", save_all=True, append_images=frames[1:])
    (tmp_path / "b" / "2.png").write_bytes(png_of_16_bit_colours())
    notes = read_images(tmp_path).notes
    assert any(note.startswith("1 images with several frames") for note in notes)
    assert any(note.startswith("1 images with 16 bits per colour") for note in notes)


def png_of_16_bit_colours() -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    head = struct.pack(">IIBBBBB", 6, 5, 16, 2, 0, 0, 0)
    rows = b"".join(b"\0" + struct.pack(">18H", *[4000] * 18) for _ in range(5))
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def test_files_of_other_kinds_are_told(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 2, "b": 2})
    for name in ("a/1.heic", "a/2.heic", "b/notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    assert "files ignored: 2 .heic, 1 .txt" in read_images(tmp_path).notes
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "1.heic").write_bytes(b"x")
    with pytest.raises(DataError, match=r"c: expected images of this class, got none \(.*heic"):
        read_images(tmp_path)


def test_a_class_called_train_is_no_part(tmp_path: Path) -> None:
    fill(tmp_path, {"train": 3, "car": 3, "test": 2})
    read = read_images(tmp_path)
    assert read.class_names == ("car", "test", "train")
    assert (read.parts == TRAIN).all()


def test_parts_beside_other_folders_are_refused(tmp_path: Path) -> None:
    for part in ("train", "test", "extra"):
        fill(tmp_path / part, {"a": 2, "b": 2})
    with pytest.raises(DataError, match=r"\(train, val, test\), got extra"):
        read_images(tmp_path)


def test_parts_that_hold_images_are_refused(tmp_path: Path) -> None:
    fill(tmp_path, {"train": 3, "test": 3})
    with pytest.raises(DataError, match="class folders inside a part, got images"):
        read_images(tmp_path)


def test_names_that_are_not_utf_8_are_shown_escaped(tmp_path: Path) -> None:
    fill(tmp_path, {"cat": 2, os.fsdecode(b"b\xe4r"): 2, os.fsdecode(b"b\xe5r"): 2})
    read = read_images(tmp_path)
    assert set(read.class_names) == {"cat", "b\\xe4r", "b\\xe5r"}
    assert "".join(read.class_names).encode("utf-8")
    bad = tmp_path / "cat" / os.fsdecode(b"\xff.png")
    bad.write_bytes(b"x")
    with pytest.raises(DataError, match=r"cat/\\xff\.png") as error:
        read_images(tmp_path)
    assert str(error.value).encode("utf-8")


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L"])
def test_transparency_is_white(tmp_path: Path, mode: str) -> None:
    fill(tmp_path, {"a": 1, "b": 1}, value=40)
    image = Image.new({"P": "P", "L": "L"}.get(mode, mode), (6, 5))
    options = {"transparency": 0} if mode in ("P", "L") else {}
    if mode == "P":
        image.putpalette([0, 0, 0, 40, 40, 40])
    image.putpixel((0, 0), {"RGBA": (40, 40, 40, 255), "LA": (40, 255), "P": 1, "L": 40}[mode])
    image.save(tmp_path / "a" / "0.png", **options)
    read = read_images(tmp_path)
    assert read.images.shape[1] == (1 if mode in ("L", "LA") else 3)
    assert (read.images[0, :, 0, 0] == 40).all()
    assert (read.images[0, :, 1:, 1:] == 255).all()


def floats(path: Path, value: float) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.full((5, 6), value, np.float32)).save(path)


def test_floats_of_0_to_1_and_of_0_to_255(tmp_path: Path) -> None:
    for values, high, expected in (((0.0, 0.2, 1.0), 1, [0, 51, 255]), ((0, 51, 2), 255, [0, 51])):
        floats(tmp_path / "a" / "0.tif", values[0])
        floats(tmp_path / "a" / "1.tif", values[1])
        floats(tmp_path / "b" / "0.tif", values[2])
        read = read_images(tmp_path)
        assert read.high == high
        assert [image.max() for image in read.images][: len(expected)] == expected


def test_floats_of_other_or_mixed_ranges_are_refused(tmp_path: Path) -> None:
    floats(tmp_path / "a" / "0.tif", 0.5)
    floats(tmp_path / "b" / "0.tif", 100)
    with pytest.raises(DataError, match="all of 0 to 1, or of 0 to 255, got both"):
        read_images(tmp_path)
    for value in (-1.0, 300.0, float("nan")):
        floats(tmp_path / "b" / "0.tif", value)
        with pytest.raises(DataError, match=r"1 of 2 unreadable: b/0\.tif \(pixels from"):
            read_images(tmp_path)


def test_part_folders_are_respected(tmp_path: Path) -> None:
    fill(tmp_path / "train", {"a": 3, "b": 3})
    fill(tmp_path / "val", {"a": 1, "b": 1})
    fill(tmp_path / "test", {"b": 2})
    read = read_images(tmp_path)
    assert [(read.parts == part).sum() for part in (TRAIN, VALIDATION, TEST)] == [6, 2, 2]
    assert read.labels[read.parts == TEST].tolist() == [1, 1]


def test_unreadable_images_are_refused_with_count_and_names(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 2, "b": 2})
    (tmp_path / "a" / "bad.png").write_bytes(b"not an image")
    (tmp_path / "b" / "cut.png").write_bytes((tmp_path / "b" / "0.png").read_bytes()[:40])
    with pytest.raises(DataError, match=r"2 of 6 unreadable: a/bad\.png, b/cut\.png"):
        read_images(tmp_path)
    read = read_images(tmp_path, unreadable="skip")
    assert len(read.images) == 4
    assert any("2 of 6 images unreadable and skipped: a/bad.png" in note for note in read.notes)


def test_a_class_of_unreadable_images_alone_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 2, "b": 0})
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "bad.png").write_bytes(b"")
    with pytest.raises(DataError, match="b: expected readable images of this class"):
        read_images(tmp_path, unreadable="skip")


def test_an_empty_class_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 2, "b": 2})
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: expected images of this class, got none"):
        read_images(tmp_path)


def test_one_class_only_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, {"cats": 3})
    with pytest.raises(DataError, match="at least two classes, got only 'cats'"):
        read_images(tmp_path)


def test_a_class_without_training_images_is_refused(tmp_path: Path) -> None:
    fill(tmp_path / "train", {"a": 1, "b": 1})
    fill(tmp_path / "test", {"c": 1})
    with pytest.raises(DataError, match="a class that has training images, got c"):
        read_images(tmp_path)


def test_parts_without_a_training_part_are_refused(tmp_path: Path) -> None:
    fill(tmp_path / "val", {"a": 1})
    fill(tmp_path / "test", {"a": 1})
    with pytest.raises(DataError, match="a train folder in addition"):
        read_images(tmp_path)
