from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from archsmith._support.errors import DataError
from archsmith.data.omniglot import read_packed
from archsmith.data.raw import TEST, TRAIN, VALIDATION, Images
from archsmith.data.reclass import disjoint, group_of, mirrored, numbered, resized, turned
from archsmith.data.source import read_images


def toy(names: list[str], each: int = 4, side: int = 6) -> Images:
    labels = np.repeat(np.arange(len(names)), each)
    images = np.random.RandomState(0).randint(0, 256, (len(labels), 1, side, side), dtype=np.uint8)
    return Images("toy", images, labels, tuple(names), np.zeros(len(labels), dtype=np.int8))


def test_parts_have_no_class_in_common() -> None:
    raw = disjoint(toy([f"c{i}" for i in range(10)]), 0.2, 0.3, 0)
    held = {part: set(raw.labels[raw.parts == part].tolist()) for part in range(3)}
    assert [len(held[part]) for part in (TRAIN, VALIDATION, TEST)] == [5, 2, 3]
    assert not held[TRAIN] & held[TEST]
    assert not held[TRAIN] & held[VALIDATION]
    again = disjoint(toy([f"c{i}" for i in range(10)]), 0.2, 0.3, 0)
    assert (raw.parts == again.parts).all()
    assert (raw.parts != disjoint(toy([f"c{i}" for i in range(10)]), 0.2, 0.3, 1).parts).any()


def test_groups_stay_together() -> None:
    names = [f"{group}/{i}" for group in ("Greek", "Latin", "Korean", "Tengwar") for i in range(3)]
    raw = disjoint(toy(names), 0.25, 0.25, 3)
    group, known = group_of(raw.class_names)
    assert known == ["Greek", "Korean", "Latin", "Tengwar"]
    for number in range(4):
        assert len(set(raw.parts[group[raw.labels] == number].tolist())) == 1


def test_parts_that_the_source_brings_stay() -> None:
    raw = toy([f"c{i}" for i in range(8)])
    raw.parts[raw.labels >= 6] = TEST
    found = disjoint(raw, 0.25, 0.5, 0)
    assert set(found.labels[found.parts == TEST].tolist()) == {6, 7}
    assert (found.parts == VALIDATION).any()
    raw.parts[0] = TEST  # an example of a training class
    with pytest.raises(DataError, match="'c0' in the training and the test part"):
        disjoint(raw, 0.25, 0.5, 0)


def test_too_few_classes_to_part() -> None:
    with pytest.raises(DataError, match="at least 3 classes"):
        disjoint(toy(["a", "b"]), 0.2, 0.2, 0)


def test_classes_are_numbered_from_those_of_the_training_part_on() -> None:
    raw = disjoint(toy([f"c{i}" for i in range(10)]), 0.2, 0.3, 0)
    found = numbered(raw)
    assert set(found.labels[found.parts == TRAIN].tolist()) == set(range(5))
    before = [raw.class_names[label] for label in raw.labels]
    assert [found.class_names[label] for label in found.labels] == before


def test_groups_are_apart_by_the_angle_where_asked() -> None:
    names = ["a/x", "b/x", "a/y", "a/x turned 90", "a/y turned 90", "b/x turned 270"]
    assert group_of(names)[0].tolist() == [0, 1, 0, 0, 0, 1]
    assert group_of(names, changed=True)[0].tolist() == [0, 2, 0, 1, 1, 3]
    names += ["a/x mirrored", "a/x turned 90 mirrored", "a/y mirrored"]
    found = group_of(names, changed=True)[0].tolist()
    assert found[6] == found[8]
    assert len(set(found)) == 6


def test_training_classes_are_mirrored_alone() -> None:
    raw = toy(["a", "b", "c"], each=2)
    raw = replace(raw, parts=np.array([0, 0, 1, 1, 2, 2], dtype=np.int8))
    found = mirrored(raw)
    assert found.class_names == ("a", "b", "c", "a mirrored")
    assert found.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert found.parts.tolist() == [0, 0, 1, 1, 2, 2, 0, 0]
    assert (found.images[6:] == raw.images[:2, :, :, ::-1]).all()


def test_turned_images_are_classes_of_their_own() -> None:
    raw = toy(["a", "b"])
    found = turned(raw)
    assert len(found.class_names) == 8
    assert found.class_names[3] == "b turned 90"
    first = found.labels == 2  # "a turned 90"
    assert (found.images[first] == np.rot90(raw.images[raw.labels == 0], axes=(2, 3))).all()
    wide = Images("w", raw.images[:, :, :3], raw.labels, raw.class_names, raw.parts)
    with pytest.raises(DataError, match="square images"):
        turned(wide)


def test_images_are_brought_to_a_size_by_area() -> None:
    raw = toy(["a", "b"], side=8)
    flat = Images("f", np.full((8, 1, 8, 8), 77, np.uint8), raw.labels, ("a", "b"), raw.parts)
    small = resized(flat, 4)
    assert small.images.shape == (8, 1, 4, 4)
    assert (small.images == 77).all()
    assert "8 x 8 pixels, resized to 4 x 4" in small.notes
    assert resized(raw, None) is raw
    assert resized(raw, 8) is raw


def test_folders_right_above_the_images_are_the_classes(tmp_path: Path) -> None:
    for place in ("train/Greek/alpha", "train/Greek/beta", "test/Korean/ga"):
        (tmp_path / place).mkdir(parents=True)
        for number in range(2):
            Image.new("L", (5, 5), 10 * number).save(tmp_path / place / f"{number}.png")
    raw = read_images(str(tmp_path), classes="leaves")
    assert raw.class_names == ("Greek/alpha", "Greek/beta", "Korean/ga")
    assert raw.parts[raw.labels == 2].tolist() == [TEST, TEST]


def write(path: Path, **changed: object) -> Path:
    bits = np.random.RandomState(0).rand(6, 5 * 7) < 0.5
    arrays = {
        "images_packed": np.packbits(bits, axis=1),
        "image_shape": np.array([5, 7]),
        "character": np.array(["A/1"] * 3 + ["A/2"] * 3),
    } | changed
    np.savez(path / "o.npz", **{k: v for k, v in arrays.items() if v is not None})
    return path / "o.npz"


def test_packed_drawings(tmp_path: Path) -> None:
    raw = read_packed(write(tmp_path), None)
    bits = np.random.RandomState(0).rand(6, 5 * 7) < 0.5
    assert (raw.images.reshape(6, -1) == 255 * bits).all()
    assert raw.images.shape == (6, 1, 5, 7)
    assert raw.class_names == ("A/1", "A/2")
    with pytest.raises(DataError, match="image_shape, character"):
        read_packed(write(tmp_path, character=None))
    with pytest.raises(DataError, match="bytes"):
        read_packed(write(tmp_path, image_shape=np.array([50, 70])))


def test_omniglot_says_where_it_looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHSMITH_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"omniglot_small\.npz, got nothing at"):
        read_images("omniglot")
    monkeypatch.delenv("ARCHSMITH_DATA")
    with pytest.raises(DataError, match="no such variable"):
        read_images("omniglot")
