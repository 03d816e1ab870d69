"""The standard files, written here by scipy as the published ones are."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from archsmith._support.errors import DataError
from archsmith.transfer.zeroshot import evaluate_zero_shot, read_zero_shot

NAMES = ["ant", "bee", "cow", "dog", "eel", "fox"]


def arrays(seed=0):
    """Keys, orientations and counting of the published files; four seen classes, two unseen."""
    rng = np.random.default_rng(seed)
    described = rng.normal(size=(6, 4))
    labels = np.tile(np.arange(6), 10)
    features = described[labels] @ rng.normal(size=(4, 9))
    place = np.arange(60)
    test = (place // 6) % 5 == 0
    return {
        "features": features.T,
        "labels": labels[:, None] + 1.0,  # MATLAB's doubles, in a column
        "att": described.T,
        "allclasses_names": np.array([[name] for name in NAMES], dtype=object),
        "trainval_loc": place[(labels < 4) & ~test][:, None] + 1.0,
        "test_seen_loc": place[(labels < 4) & test][:, None] + 1.0,
        "test_unseen_loc": place[labels >= 4][:, None] + 1.0,
    }


def write(folder, content):
    first = {key: content[key] for key in ("features", "labels") if key in content}
    savemat(folder / "res101.mat", first, do_compression=True)
    savemat(folder / "att_splits.mat", {k: v for k, v in content.items() if k not in first})
    return folder


def test_the_folder_is_read_as_it_was_written(tmp_path):
    content = arrays()
    data = read_zero_shot(write(tmp_path, content))
    np.testing.assert_array_equal(data.features, content["features"].T)
    np.testing.assert_array_equal(data.labels, np.tile(np.arange(6), 10))
    np.testing.assert_array_equal(data.descriptions, content["att"].T)
    assert data.class_names == tuple(NAMES)
    assert data.seen.tolist() == [0, 1, 2, 3]
    assert data.unseen.tolist() == [4, 5]
    assert len(data.train) == 32
    assert len(data.test_seen) == 8
    assert len(data.test_unseen) == 20
    # Descriptions map to features without noise, so that the answer is known.
    assert evaluate_zero_shot("ridge", data).accuracy.value == 1.0


@pytest.mark.parametrize("name", ["all.mat", "all.npz"])
def test_one_file_with_all_keys_does_as_well(tmp_path, name):
    content, path = arrays(), tmp_path / name
    if name.endswith(".mat"):
        savemat(path, content)
    else:
        content["allclasses_names"] = np.array(NAMES)
        np.savez(path, **content)
    data = read_zero_shot(path)
    assert data.class_names == tuple(NAMES)
    assert data.unseen.tolist() == [4, 5]


def test_what_is_saved_is_read_again(tmp_path):
    data = read_zero_shot(write(tmp_path, arrays()))
    data.save(tmp_path / "saved.npz")
    again = read_zero_shot(tmp_path / "saved.npz")
    for name in ("features", "labels", "descriptions", "train", "test_seen", "test_unseen"):
        np.testing.assert_array_equal(getattr(again, name), getattr(data, name))
    assert again.class_names == data.class_names


def test_names_and_seen_test_examples_may_be_missing(tmp_path):
    content = arrays()
    del content["allclasses_names"], content["test_seen_loc"]
    data = read_zero_shot(write(tmp_path, content))
    assert data.class_names == ("1", "2", "3", "4", "5", "6")
    assert len(data.test_seen) == 0


def without(key):
    return lambda content: content.pop(key)


def changed(key, change):
    def apply(content):
        content[key] = change(content[key])

    return apply


def spoil(array):
    array = array.copy()
    array[0, 1] = np.nan
    return array


@pytest.mark.parametrize(
    ("spoiling", "message"),
    [
        (without("features"), r"the key 'features': numbers \(d, n\)"),
        (without("att"), r"the key 'att': numbers \(attributes, classes\).*got keys"),
        (
            changed("features", np.transpose),
            r"res101.mat features: expected numbers \(d, n\).*\n  hint: transpose it",
        ),
        (changed("features", lambda a: a[:, 1:]), r"got \(9, 59\) with 60 labels"),
        (changed("features", spoil), "features: expected finite numbers.*row 1"),
        (
            changed("labels", lambda a: a - 1),
            r"labels: expected numbers from 1 to 6.*got 0\n  hint: count from 1",
        ),
        (changed("labels", lambda a: a + 1), "numbers from 1 to 6, one of the classes, got 7"),
        (changed("labels", lambda a: a + 0.5), "labels: expected whole numbers"),
        (changed("att", spoil), "attributes of every class.*class 'bee'"),
        (changed("att", lambda a: a[:, :5]), "numbers from 1 to 5"),
        (
            changed("trainval_loc", lambda a: a + 60),
            "att_splits.mat trainval_loc: expected numbers from 1 to 60, one of the examples",
        ),
        (changed("trainval_loc", lambda a: np.vstack([a, a[:1]])), "an index that occurs twice"),
        (
            changed("test_unseen_loc", lambda a: np.vstack([a, [[7.0]]])),
            "classes without training examples, got class 'ant'",
        ),
        (changed("test_seen_loc", lambda a: np.array([[5.0]])), "got class 'eel'"),
        (changed("allclasses_names", lambda a: a[:5]), "6 texts, one per class, got 5"),
        (changed("test_unseen_loc", lambda a: np.zeros((0, 0))), "one or more"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_key(tmp_path, spoiling, message):
    content = arrays()
    spoiling(content)
    with pytest.raises(DataError, match=f"(?s){message}"):
        read_zero_shot(write(tmp_path, content))


def test_files_that_are_no_such_files(tmp_path):
    with pytest.raises(DataError, match="got nothing"):
        read_zero_shot(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"res101.mat and att_splits.mat, got a folder that holds"):
        read_zero_shot(tmp_path)
    other = tmp_path / "data.csv"
    other.write_text("1,2")
    with pytest.raises(DataError, match=r"a .mat or an .npz file, got the ending '.csv'"):
        read_zero_shot(other)
    new = tmp_path / "new.mat"
    new.write_bytes(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512) + b"\x89HDF\r\n\x1a\n")
    with pytest.raises(DataError, match=r"version 7.3 \(HDF5\)\n  hint: in MATLAB: save"):
        read_zero_shot(new)
    pickled = tmp_path / "pickled.npz"
    np.savez(pickled, **arrays())  # names are objects here
    with pytest.raises(DataError, match=r"plain array|file of arrays"):
        read_zero_shot(pickled)


@given(st.integers(0, 10**6), st.sampled_from([".mat", ".npz"]))
@settings(max_examples=40, deadline=None)
def test_damaged_files_are_refused_not_crashed_on(tmp_path_factory, seed, ending):
    folder = tmp_path_factory.mktemp("damaged")
    path, rng = folder / f"all{ending}", np.random.default_rng(seed)
    content = arrays() | {"allclasses_names": np.array(NAMES)}
    if ending == ".mat":
        savemat(path, content, do_compression=bool(seed % 2))
    else:
        np.savez_compressed(path, **content)
    data = bytearray(path.read_bytes())
    if seed % 3:
        data = data[: rng.integers(len(data))]
    else:
        for place in rng.integers(len(data), size=20):
            data[place] = rng.integers(256)
    path.write_bytes(bytes(data))
    try:
        told = None
        read_zero_shot(path)
    except DataError as error:
        told = str(error)
    assert told is None or str(path) in told


# -- the command


@pytest.mark.slow
def test_the_command_prints_a_table(archsmith, tmp_path):
    done = archsmith("zeroshot", write(tmp_path, arrays()))
    assert done.status == 0, done.err
    for name in ("eszsl", "sae", "sae-s2f", "ridge"):
        assert f"\n {name} " in done.out
    assert "32 examples of 4 seen classes" in done.out
    assert "chance 50.0" in done.out


def test_the_command_writes_json_alone(archsmith, tmp_path):
    done = archsmith("zeroshot", write(tmp_path, arrays()), "--method", "ridge", "--json")
    found = json.loads(done.out)
    assert found["unseen"] == ["eel", "fox"]
    (only,) = found["results"]
    assert only["method"] == "ridge"
    assert only["accuracy"]["value"] == 1.0
    data = read_zero_shot(tmp_path)
    assert only["gamma"] == evaluate_zero_shot("ridge", data).gamma


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--method", "eszl"], "did you mean 'eszsl'"),
        (["--confidence", "2"], "--confidence: expected a share"),
        (["--seed", "-1"], "--seed: expected 0 or more"),
        (["--method", "nearest"], "expected 9 columns"),
    ],
)
def test_bad_input_of_the_command_is_told_without_a_traceback(
    archsmith, tmp_path, options, message
):
    done = archsmith("zeroshot", write(tmp_path, arrays()), *options)
    assert done.status == 2
    assert done.out == ""
    assert message in done.err
    assert "Traceback" not in done.err


def test_a_missing_file_is_told(archsmith, tmp_path):
    done = archsmith("zeroshot", tmp_path / "CUB")
    assert done.status == 2
    assert "res101.mat" in done.err
