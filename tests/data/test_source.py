from __future__ import annotations

import gzip
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from archsmith._support.errors import DataError, UnknownNameError
from archsmith.data import datasets, idx
from archsmith.data.raw import TEST
from archsmith.data.source import kind_of, locate, read_images, read_table


def write_idx(path: Path, array: np.ndarray) -> None:
    head = b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    data = head + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


@pytest.fixture
def idx_folder(tmp_path: Path) -> Path:
    for name, array in zip(
        idx.FILES,
        (np.full((20, 3, 4), 9), np.arange(20) % 10, np.full((10, 3, 4), 5), np.arange(10)),
        strict=True,
    ):
        write_idx(tmp_path / (name + (".gz" if "train" in name else "")), array)
    return tmp_path


def test_registered_names() -> None:
    assert {"digits", "fashion-mnist", "iris", "diabetes"} <= set(datasets.names())
    assert [kind_of(name) for name in ("digits", "iris", "diabetes")] == [
        "images",
        "classes",
        "values",
    ]


def test_digits_are_known() -> None:
    read = read_images("digits")
    assert read.images.shape == (1797, 1, 8, 8)
    assert (read.images.min(), read.images.max()) == (0, 255)
    assert read.labels[:10].tolist() == list(range(10))


def test_bundled_tables_are_known() -> None:
    iris = read_table("iris")
    assert iris.values.shape == (150, 4)
    assert iris.class_names == ("setosa", "versicolor", "virginica")
    assert read_table("diabetes").target.max() == 346


def test_an_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'digits'"):
        locate("digit")


@pytest.mark.parametrize("path", ["no/such/folder", "missing.csv", "./digits", ""])
def test_a_missing_path_is_a_data_error(path: str) -> None:
    with pytest.raises(DataError, match="nothing there"):
        locate(path)


def test_images_asked_of_a_table_are_refused() -> None:
    with pytest.raises(DataError, match="labelled images, got a table"):
        read_images("iris")
    with pytest.raises(DataError, match="a table, got images"):
        read_table("digits")


def test_idx_files_plain_or_packed(idx_folder: Path) -> None:
    assert kind_of(str(idx_folder)) == "images"
    read = read_images(str(idx_folder))
    assert read.images.shape == (30, 1, 3, 4)
    assert (read.images[read.parts == TEST] == 5).all()
    assert (read.parts == TEST).sum() == 10


def test_fashion_mnist_is_found_by_the_environment(
    idx_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCHSMITH_DATA", str(idx_folder))
    read = read_images("fashion-mnist")
    assert len(read.images) == 30
    assert read.class_names[9] == "Ankle boot"


def test_fashion_mnist_that_is_nowhere_says_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCHSMITH_DATA", str(tmp_path))
    monkeypatch.setattr(idx, "DEBIAN", tmp_path / "debian")
    with pytest.raises(DataError, match="dataset-fashion-mnist"):
        read_images("fashion-mnist")


def test_damaged_idx_files_are_refused(idx_folder: Path) -> None:
    path = idx_folder / "t10k-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(DataError, match="t10k-labels"):
        read_images(str(idx_folder))
    path.write_bytes(b"PK\3\4")
    with pytest.raises(DataError, match="starts 00 00 08"):
        read_images(str(idx_folder))


def test_the_real_fashion_mnist() -> None:
    if not any(idx.find_files(folder) for folder in idx.fashion_places()):
        where = os.environ.get("ARCHSMITH_DATA", "unset")
        pytest.skip(f"Fashion-MNIST is not here (ARCHSMITH_DATA {where}, no Debian package)")
    read = read_images("fashion-mnist")
    assert read.images.shape == (70_000, 1, 28, 28)
    assert np.bincount(read.labels[read.parts == TEST]).tolist() == [1000] * 10
    assert read.labels[:5].tolist() == [9, 0, 0, 3, 0]


def test_damaged_packed_idx_files_are_refused(idx_folder: Path) -> None:
    path = idx_folder / "train-images-idx3-ubyte.gz"
    whole = bytearray(path.read_bytes())
    whole[10:20] = b"\xff" * 10
    path.write_bytes(whole)
    with pytest.raises(DataError, match="a readable IDX file"):
        read_images(str(idx_folder))


def test_a_target_that_the_source_has_not_is_refused(tmp_path: Path) -> None:
    assert read_table("iris", "class").target_name == "class"
    with pytest.raises(UnknownNameError, match="column: expected one of: class, got 'colour'"):
        read_table("iris", "colour")
    with pytest.raises(UnknownNameError, match="one of: label, got 'colour'"):
        read_images("digits", target="colour")
    rows = np.random.RandomState(0).rand(6, 2)
    np.savez(tmp_path / "a.npz", data=rows, labels=np.arange(6) % 2)
    path = str(tmp_path / "a.npz")
    assert read_table(path, "labels").target_name == "labels"
    with pytest.raises(UnknownNameError, match="did you mean 'labels'"):
        read_table(path, "label")


def test_every_registered_data_set_says_what_it_is() -> None:
    own = [datasets.get(name).doc for name in datasets.names()]
    assert all(own)
    assert len(set(own)) == len(own)
    assert not any("\n" in doc for doc in own)


def test_pictures_in_hidden_folders_are_no_examples(tmp_path: Path) -> None:
    # Copies of a notebook's would be classes of their own, and stand in several parts.
    for name in ("a/x", "a/y", "a/x/.ipynb_checkpoints", ".thumbs/z"):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
        for number in range(3):
            Image.fromarray(np.full((4, 4), 80 * number, np.uint8)).save(
                tmp_path / name / f"{number}.png"
            )
    found = read_images(str(tmp_path), None, "refuse", None, classes="leaves")
    assert found.class_names == ("a/x", "a/y")
    assert len(found.images) == 6
