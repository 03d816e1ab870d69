"""Features in files: what is written comes back, and other programs read it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import archsmith as nas
from archsmith._support.errors import DataError, InputError, MissingExtraError, StoreError
from archsmith.task import ReadOptions, task

X = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
Y = torch.arange(30) % 3
NAMES = ["ant", "bee", "cat"]
PARTS = ["train"] * 15 + ["validation"] * 6 + ["test"] * 9
KINDS = [".npz", ".parquet"]


@pytest.fixture(params=KINDS)
def path(request, tmp_path):
    if request.param == ".parquet":
        pytest.importorskip("pyarrow", reason="needs the extra 'data'")
    return tmp_path / f"features{request.param}"


@pytest.mark.parametrize("labels", [None, Y])
@pytest.mark.parametrize("names", [None, NAMES])
@pytest.mark.parametrize("parts", [None, PARTS])
def test_what_is_written_comes_back(path, labels, names, parts):
    assert nas.save_features(path, X, labels, names, parts=parts) == path
    found = nas.load_features(path)
    assert torch.equal(found.features, X)
    assert found.features.dtype == torch.float32
    assert (found.labels is None) == (labels is None)
    assert labels is None or torch.equal(found.labels, labels)
    assert found.names == (None if names is None else tuple(names))
    assert found.parts == (None if parts is None else tuple(parts))
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_archsmith_reads_npz_with_its_parts(tmp_path):
    path = tmp_path / "features.npz"
    nas.save_features(path, X, Y, NAMES, parts=PARTS)
    data = task("tabular-classification").read(str(path), ReadOptions())
    assert data.facts["class_names"] == NAMES
    assert torch.equal(data.test.inputs, X[21:])
    assert torch.equal(data.test.targets, Y[21:])
    assert (len(data.train), len(data.validation)) == (15, 6)


def test_archsmith_and_pandas_read_parquet(tmp_path):
    pandas = pytest.importorskip("pandas", reason="needs the extra 'data'")
    path = tmp_path / "features.parquet"
    nas.save_features(path, X, Y, NAMES)
    frame = pandas.read_parquet(path)
    assert list(frame.columns) == ["x0", "x1", "x2", "x3", "label"]
    assert frame["label"].tolist()[:4] == ["ant", "bee", "cat", "ant"]
    assert np.allclose(frame["x2"], X[:, 2])
    data = task("tabular-classification").read(str(path), ReadOptions())
    assert data.facts["class_names"] == NAMES


def test_wrong_calls_are_refused(tmp_path):
    path = tmp_path / "f.npz"
    with pytest.raises(InputError, match="ends in"):
        nas.save_features(tmp_path / "f.csv", X)
    with pytest.raises(InputError, match="a folder that is there"):
        nas.save_features(tmp_path / "no" / "f.npz", X)
    with pytest.raises(InputError, match=r"\(n, d\)"):
        nas.save_features(path, X[0])
    with pytest.raises(InputError, match="one for each of 30"):
        nas.save_features(path, X, Y[1:])
    with pytest.raises(InputError, match="0 to 1"):
        nas.save_features(path, X, Y, NAMES[:2])
    with pytest.raises(InputError, match="train, validation, test"):
        nas.save_features(path, X, parts=["tset"] * 30)
    assert not list(tmp_path.iterdir())
    with pytest.raises(DataError, match="no such file"):
        nas.load_features(path)


def test_damaged_and_foreign_files_are_refused(path):
    nas.save_features(path, X, Y, NAMES)
    whole = path.read_bytes()
    for wrong in (whole[: len(whole) // 2], b"", b"not a file of features"):
        path.write_bytes(wrong)
        with pytest.raises(DataError):
            nas.load_features(path)


def test_files_of_other_makers_are_refused(tmp_path):
    np.savez(tmp_path / "other.npz", x=np.ones(3))
    with pytest.raises(DataError, match="'features'"):
        nas.load_features(tmp_path / "other.npz")
    np.savez(tmp_path / "pickled.npz", features=np.array([{}], dtype=object))
    with pytest.raises(DataError):
        nas.load_features(tmp_path / "pickled.npz")
    for wrong in (np.ones(3), np.array([["a", "b"]])):
        np.savez(tmp_path / "other.npz", features=wrong)
        with pytest.raises(DataError, match="numbers"):
            nas.load_features(tmp_path / "other.npz")
    np.savez(tmp_path / "other.npz", features=np.ones((3, 2)), labels=np.ones(2, int))
    with pytest.raises(DataError, match="whole numbers"):
        nas.load_features(tmp_path / "other.npz")
    pa = pytest.importorskip("pyarrow", reason="needs the extra 'data'")
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    with pytest.raises(DataError, match="save_features"):
        nas.load_features(tmp_path / "other.parquet")
    meta = {b"archsmith": json.dumps({"names": None, "features": 1}).encode()}
    words = pa.table({"x0": ["a"]}).replace_schema_metadata(meta)
    pq.write_table(words, tmp_path / "words.parquet")
    with pytest.raises(DataError, match="numbers"):
        nas.load_features(tmp_path / "words.parquet")


def test_without_the_extra_parquet_says_what_brings_it(tmp_path, monkeypatch):
    from archsmith.transfer.features import files

    monkeypatch.setattr(files.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"archsmith\[data\]"):
        nas.save_features(tmp_path / "f.parquet", X)


def test_a_write_that_fails_leaves_the_older_file(tmp_path, monkeypatch):
    path = tmp_path / "f.npz"
    nas.save_features(path, X)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(StoreError, match="No space left"):
        nas.save_features(path, X + 1)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["f.npz"]
