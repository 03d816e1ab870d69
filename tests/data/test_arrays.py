from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from archsmith._support.errors import DataError
from archsmith.data.arrays import kind_of, load_one, read_images, read_table
from archsmith.data.raw import TEST, TRAIN, VALIDATION

PIXELS = np.arange(6 * 5 * 4, dtype=np.uint8).reshape(6, 5, 4)
LABELS = np.array([0, 1, 0, 1, 0, 1])


def saved(path: Path, **arrays: Any) -> Path:
    np.savez(path / "data.npz", **arrays)
    return path / "data.npz"


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ("x", "y"),
        ("images", "labels"),
        ("data", "target"),
        ("X_train", "Y_train"),
        ("train_images", "train_labels"),
    ],
)
def test_spellings(tmp_path: Path, x: str, y: str) -> None:
    path = saved(tmp_path, **{x: PIXELS, y: LABELS[:, None]})
    read = read_images(path)
    assert kind_of(path) == "images"
    assert (read.images[:, 0] == PIXELS).all()
    assert read.labels.tolist() == LABELS.tolist()


def test_parts(tmp_path: Path) -> None:
    arrays = {"x_train": PIXELS[:3], "y_train": LABELS[:3], "x_val": PIXELS[3:4]}
    arrays |= {"y_val": LABELS[3:4], "x_test": PIXELS[4:], "y_test": LABELS[4:]}
    read = read_images(saved(tmp_path, **arrays))
    assert read.parts.tolist() == [TRAIN] * 3 + [VALIDATION] + [TEST] * 2
    assert (read.images[:, 0] == PIXELS).all()


@pytest.mark.parametrize("shape", [(6, 3, 5, 4), (6, 5, 4, 3), (6, 1, 3, 4), (6, 5, 3, 1)])
def test_layouts_become_channels_first(tmp_path: Path, shape: tuple[int, ...]) -> None:
    images = np.random.RandomState(0).randint(0, 256, shape, dtype=np.uint8)
    read = read_images(saved(tmp_path, x=images, y=LABELS)).images
    last = shape[3] in (1, 3) and shape[1] not in (1, 3)
    assert (read == (images.transpose(0, 3, 1, 2) if last else images)).all()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([0.0, 0.2, 1.0]), [0, 51, 255]),
        (np.array([0.0, 100.0, 255.0]), [0, 100, 255]),
        (np.array([-1.0, -0.2, 1.0]), [0, 102, 255]),
        (np.array([-1, 0, 1]), [0, 128, 255]),
        (np.array([0, 8, 16]), [0, 128, 255]),
        (np.array([0, 30, 200]), [0, 30, 200]),
    ],
)
def test_values_become_bytes(tmp_path: Path, values: Any, expected: list[int]) -> None:
    images = np.resize(values, (6, 1, 3))
    read = read_images(saved(tmp_path, x=images, y=LABELS))
    assert read.images[0, 0, 0].tolist() == expected


@pytest.mark.parametrize(
    "values",
    [
        np.array([0.0, 0.5, 1.0]),
        np.array([-1.0, 0.0, 1.0]),
        np.array([0, 1000, 4095]),
        np.array([0.0, 0.1234, 255.0]),
        1_700_000_000 + np.arange(3),
    ],
)
def test_values_that_bytes_would_lose_stay_as_they_are(tmp_path: Path, values: Any) -> None:
    read = read_images(saved(tmp_path, x=np.resize(values, (6, 1, 3)), y=LABELS))
    assert read.images.dtype == (np.float64 if values.min() > 1e9 else np.float32)
    assert read.images[0, 0, 0] == pytest.approx(values, rel=1e-7)
    assert not read.clipped
    assert any("bytes would lose levels" in note for note in read.notes)


@pytest.mark.parametrize("hot", [1e4, -1e4, 1e30])
def test_one_hot_pixel_leaves_the_levels_of_the_others(tmp_path: Path, hot: float) -> None:
    images = np.random.RandomState(0).normal(size=(60, 12, 12)).astype(np.float32)
    images[0, 0, 0] = hot
    read = read_images(saved(tmp_path, x=images, y=np.arange(60) % 2))
    assert np.array_equal(read.images[1:, 0], images[1:])
    assert read.clipped
    assert -30 < read.low < -3
    assert 3 < read.high < 30
    assert any("lie far beyond the others" in note for note in read.notes)


@pytest.mark.parametrize(
    ("shape", "channels"),
    [
        ((6, 9, 9, 200), 200),  # patches of a hyperspectral image
        ((6, 200, 9, 9), 200),
        ((6, 2, 30, 40), 2),
        ((6, 28, 28, 4), 4),
        ((6, 4, 28, 28), 4),
        ((6, 30, 40, 3), 3),
    ],
)
def test_channels_are_told_by_the_sizes(
    tmp_path: Path, shape: tuple[int, ...], channels: int
) -> None:
    images = np.random.RandomState(0).randint(0, 256, shape, dtype=np.uint8)
    assert read_images(saved(tmp_path, x=images, y=LABELS)).images.shape[1] == channels


@pytest.mark.parametrize(
    "shape", [(6, 8, 8, 8), (6, 5, 20, 30), (6, 3, 3, 200), (6, 3, 32, 3), (6, 1, 1, 200)]
)
def test_channels_that_sizes_do_not_tell_are_asked_for(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    images = np.random.RandomState(0).randint(0, 256, shape, dtype=np.uint8)
    path = saved(tmp_path, x=images, y=LABELS)
    with pytest.raises(DataError, match=f"--channels last \\({shape[3]} channels\\)"):
        read_images(path)
    assert read_images(path, "first").images.shape == shape
    assert (read_images(path, "last").images == images.transpose(0, 3, 1, 2)).all()


def test_two_arrays_for_one_part_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, x=PIXELS, x_train=PIXELS, y=LABELS)
    with pytest.raises(DataError, match="one array of a kind for each part, got x and x_train"):
        read_images(path)


def test_names_and_one_hot_labels(tmp_path: Path) -> None:
    path = saved(tmp_path, x=PIXELS, y=np.eye(2)[LABELS], class_names=np.array(["cat", "dog"]))
    read = read_images(path)
    assert read.class_names == ("cat", "dog")
    assert read.labels.tolist() == LABELS.tolist()


def test_two_dimensions_are_a_table(tmp_path: Path) -> None:
    rows = np.random.RandomState(0).rand(6, 4)
    path = saved(tmp_path, x=rows, y=rows[:, 0], columns=np.array(list("abcd")))
    assert kind_of(path) == "values"
    table = read_table(path)
    assert [column.name for column in table.columns] == list("abcd")
    assert np.allclose(table.values, rows)
    assert kind_of(saved(tmp_path, x=rows, y=LABELS)) == "classes"


def test_an_empty_class_and_one_class_are_refused(tmp_path: Path) -> None:
    names = np.array(["a", "b", "c"])
    with pytest.raises(DataError, match="examples of every class, got none of 'c'"):
        read_images(saved(tmp_path, x=PIXELS, y=LABELS, classes=names))
    with pytest.raises(DataError, match="two classes, got only '0'"):
        read_images(saved(tmp_path, x=PIXELS, y=LABELS * 0))


def test_pickled_objects_are_never_opened(tmp_path: Path) -> None:
    path = saved(tmp_path, x=PIXELS, y=np.array([{}] * 6, dtype=object))
    with pytest.raises(DataError, match="pickled objects are never opened"):
        read_images(path)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"x": PIXELS, "y": LABELS[:5]}, "6 targets, one per example, got 5"),
        ({"x": PIXELS, "mask": PIXELS}, "keys x, mask"),
        ({"x": PIXELS, "y": np.ones((6, 2))}, "not one-hot"),
        ({"x": PIXELS[..., None, None], "y": LABELS}, "images"),
        ({"x": np.full((6, 2, 2), np.nan), "y": LABELS}, "24 values that are NaN"),
        ({"x": PIXELS, "y": LABELS + 0.5}, "numbers with fractions"),
        ({"x": PIXELS, "y": LABELS - 1, "classes": np.array(["a", "b"])}, "from 0 to 1, got -1"),
        ({"x": PIXELS, "y": LABELS, "x_test": PIXELS[:, :2], "y_test": LABELS}, "the same shape"),
    ],
)
def test_bad_arrays_are_refused(tmp_path: Path, arrays: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_images(saved(tmp_path, **arrays))


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, x=PIXELS, y=LABELS)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"an \.npz file"):
        read_images(path)


def test_infinity_in_rows_is_refused_or_skipped_and_nan_is_missing(tmp_path: Path) -> None:
    rows = np.random.RandomState(0).rand(6, 2)
    rows[3, 1] = np.nan
    assert np.isnan(read_table(saved(tmp_path, x=rows, y=LABELS)).values).sum() == 1
    rows[3, 1] = np.inf
    path = saved(tmp_path, x=rows, y=LABELS)
    with pytest.raises(DataError, match=r"1 of 6 rows .* row 3 column 'x1'"):
        read_table(path)
    table = read_table(path, unreadable="skip")
    assert len(table.values) == len(table.target) == 5


def test_a_damaged_stream_is_refused(tmp_path: Path) -> None:
    noise = np.random.RandomState(0).randint(0, 256, (6, 20, 20), dtype=np.uint8)
    path = tmp_path / "data.npz"
    np.savez_compressed(path, x=noise, y=LABELS)
    with zipfile.ZipFile(path) as names:
        start = names.getinfo("x.npy").header_offset + 100
    whole = bytearray(path.read_bytes())
    whole[start : start + 400] = b"\xff" * 400
    path.write_bytes(whole)
    for read in (read_images, kind_of, load_one):
        with pytest.raises(DataError, match="x: expected a plain array"):
            read(path)


def test_one_array_named_npz_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    with path.open("wb") as file:
        np.save(file, PIXELS)
    for read in (read_images, read_table, kind_of):
        with pytest.raises(DataError, match=r"got a single array, as in an \.npy"):
            read(path)
    assert (load_one(path) == PIXELS).all()


@pytest.mark.parametrize("arrays", [{"x": 3, "y": LABELS}, {"x": PIXELS, "y": 1}])
def test_a_single_value_is_no_array_of_examples(tmp_path: Path, arrays: dict[str, Any]) -> None:
    for read in (read_images, read_table):
        with pytest.raises(DataError, match="one entry per example, got one value"):
            read(saved(tmp_path, **arrays))


def test_names_of_bytes_are_read_as_texts(tmp_path: Path) -> None:
    names = np.array(["chat", "élan"])
    path = saved(tmp_path, x=PIXELS, y=LABELS, classes=np.char.encode(names, "utf-8"))
    assert read_images(path).class_names == ("chat", "élan")
    path = saved(tmp_path, x=PIXELS, y=np.char.encode(names, "utf-8")[LABELS])
    assert read_images(path).class_names == ("chat", "élan")
    with pytest.raises(DataError, match="classes: expected texts in UTF-8"):
        read_images(saved(tmp_path, x=PIXELS, y=LABELS, classes=np.array([b"a", b"\xff"])))


def test_names_that_come_twice_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="distinct class names, got 'cat' twice"):
        read_images(saved(tmp_path, x=PIXELS, y=LABELS, classes=np.array(["cat", "cat"])))
    rows = np.random.RandomState(0).rand(6, 2)
    with pytest.raises(DataError, match="2 distinct names, got a, a"):
        read_table(saved(tmp_path, x=rows, y=LABELS, columns=np.array(["a", "a"])))
