"""Folders of images that do not fit in memory: the same data, read from a file."""

from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch import nn

import archsmith as nas
from archsmith._support.errors import DataError
from archsmith.data import decoded, decoding, levels
from archsmith.data.folder import read_images
from archsmith.data.mapped import MappedSplit
from archsmith.data.splits import TensorSplit
from archsmith.task import task as task_of
from archsmith.task.base import Data, ReadOptions

#: Bytes of memory with which the digits below are large.
LITTLE = 40_000


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 digits as files, three channels, 8 x 8."""
    root = tmp_path_factory.mktemp("photos")
    digits = load_digits()
    for place in range(400):
        folder = root / f"class {digits.target[place]}"
        folder.mkdir(exist_ok=True)
        grey = (digits.images[place] * 15).astype(np.uint8)
        coloured = np.stack([grey, 255 - grey, grey // 2], axis=-1)
        Image.fromarray(coloured).save(folder / f"{place:03d}.png")
    return root


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "archsmith" / "images"


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    with_memory(monkeypatch, LITTLE)


def with_memory(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=size))


def read(root: Path, task: str = "image-classification", **options: Any) -> Data:
    return task_of(task).read(str(root), ReadOptions(**options))


def both(
    root: Path, monkeypatch: pytest.MonkeyPatch, task: str = "image-classification", **options: Any
) -> tuple[Data, Data]:
    """The data in memory, and from disk."""
    with_memory(monkeypatch, 2**40)
    in_memory = read(root, task, **options)
    with_memory(monkeypatch, LITTLE)
    on_disk = read(root, task, **options)
    assert isinstance(in_memory.train, TensorSplit)
    assert isinstance(on_disk.train, MappedSplit)
    return in_memory, on_disk


def same(one: Any, two: Any) -> bool:
    return all(
        torch.equal(a, b) and a.dtype == b.dtype and a.stride() == b.stride()
        for a, b in zip(one, two, strict=True)
    )


@pytest.mark.parametrize("task", ["image-classification", "image-classification:balance=weights"])
@pytest.mark.parametrize("size", [None, 20])
def test_data_on_disk_is_the_same(
    photos: Path, monkeypatch: pytest.MonkeyPatch, task: str, size: int | None
) -> None:
    one, two = both(photos, monkeypatch, task, image_size=size)
    assert one.digest() == two.digest()
    assert one.facts == two.facts
    assert one.summary == two.summary[:-1]
    drawn = torch.randperm(len(one.train), generator=torch.Generator().manual_seed(0))
    for part in ("train", "validation", "test"):
        a, b = getattr(one, part), getattr(two, part)
        assert len(a) == len(b)
        assert same(a.head(7), b.head(7))
        assert all(same(x, y) for x, y in zip(a.chunks(64), b.chunks(64), strict=True))
        assert (a.strata() == b.strata()).all()
    order = torch.split(drawn, 32)
    pairs = zip(one.train.batches(order), two.train.to("cpu").batches(order), strict=True)
    assert all(same(*pair) for pair in pairs)


def test_parts_can_be_joined_and_made_smaller(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = both(photos, monkeypatch, image_size=32)
    a, b = (data.train.joined(data.validation) for data in (one, two))
    assert a is not None
    assert b is not None
    assert same(*(split.take(torch.tensor([300, 2, 299])) for split in (a, b)))
    assert two.train.joined(one.train) is None
    task: Any = task_of("image-classification")
    small = [task.shrunk(data, 0.5) for data in (one, two)]
    assert small[1].train.head(3).inputs.shape[2:] == (16, 16)
    assert small[0].digest() == small[1].digest()


def test_several_labels_an_image(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = sorted(path.relative_to(photos) for path in photos.rglob("*.png"))
    rows = [f"{file},digit;{'even' if n % 2 else 'odd'}" for n, file in enumerate(files)]
    (photos / "labels.csv").write_text("\n".join(["file,labels", *rows]))
    one, two = both(photos, monkeypatch, "multi-label")
    (photos / "labels.csv").unlink()
    assert one.digest() == two.digest()
    assert one.facts == two.facts
    assert two.train.labels is None


def net(channels: int, classes: int) -> nn.Module:
    width = nas.choose("width", [4, 8])
    layers = [nn.Conv2d(channels, width, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(4 * width, classes))


def found(root: Path, run: Path) -> Any:
    return nas.search(
        net, str(root), trials=2, epochs=1, final_epochs=2, finalists=1, seed=1, run=run
    )


def test_a_search_finds_the_same_and_goes_on_from_disk(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_memory(monkeypatch, 2**40)
    one = found(photos, tmp_path / "one")
    monkeypatch.setattr(decoded, "is_large", lambda size: True)
    monkeypatch.setattr(decoding, "is_large", lambda size: True)
    two = found(photos, tmp_path / "two")
    again = found(photos, tmp_path / "one")
    assert isinstance(two.problem.data.train, MappedSplit)
    rows = [[t.metrics for t in result.history.trials] for result in (one, two, again)]
    assert rows[0] == rows[1] == rows[2]
    tests = [result.best.test for result in (one, two, again)]
    assert tests[0] == tests[1] == tests[2]


def test_parts_share_one_map(photos: Path, little: None, cache: Path) -> None:
    data = read(photos)
    parts: list[Any] = [data.train, data.validation, data.test]
    assert all(np.shares_memory(part.images, parts[0].images) for part in parts)
    assert all(isinstance(part.images, np.memmap) for part in parts)
    assert not parts[0].images.flags.writeable
    (file,) = cache.glob("*.npy")
    assert f"{file}" in data.summary[-1]
    assert data.summary[-1].startswith("read from disk")


def test_a_part_is_pickled_without_its_images(photos: Path, little: None) -> None:
    part = read(photos, image_size=32).train
    assert isinstance(part, MappedSplit)
    text = pickle.dumps(part)
    assert len(text) < 20 * len(part) + 2000
    assert same(pickle.loads(text).head(50), part.head(50))
    Path(str(part.images.filename)).unlink()
    with pytest.raises(DataError, match="start again"):
        pickle.loads(text)


def test_all_inputs_are_given_where_they_fit(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = both(photos, monkeypatch)
    with pytest.raises(DataError, match="data that fits in memory"):
        _ = two.train.inputs  # type: ignore[attr-defined]
    with_memory(monkeypatch, 2**40)
    assert torch.equal(one.train.inputs, two.train.inputs)  # type: ignore[attr-defined]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Files that were decoded."""
    calls: list[Path] = []

    def counted(path: Any) -> Any:
        calls.append(path)
        return levels.open_image(path)

    monkeypatch.setattr(decoding, "open_image", counted)
    return calls


def test_files_are_decoded_for_the_first_reader_alone(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: list[Path]
) -> None:
    root = Path(shutil.copytree(photos, tmp_path / "copy"))
    with_memory(monkeypatch, LITTLE)
    first = read(root)
    assert opened
    opened.clear()
    assert read(root).digest() == first.digest()
    with_memory(monkeypatch, 2**40)
    assert isinstance(read(root).train, TensorSplit)  # of the same file
    assert not opened
    read(root, image_size=12)
    assert opened
    opened.clear()
    changed = next(root.rglob("*.png"))
    Image.new("RGB", (8, 8), "red").save(changed)
    with_memory(monkeypatch, LITTLE)
    assert read(root).digest() != first.digest()
    assert opened


def test_what_was_interrupted_is_not_taken_for_complete(
    photos: Path, little: None, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = len(list(photos.rglob("*.png")))
    calls = 0

    def interrupted(path: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == count + 300:
            raise KeyboardInterrupt
        return levels.open_image(path)

    with monkeypatch.context() as patch:
        patch.setattr(decoding, "open_image", interrupted)
        with pytest.raises(KeyboardInterrupt):
            read(photos)
    assert list(cache.iterdir()) == []
    data = read(photos)
    (file,) = cache.glob("*.npy")
    whole = file.read_bytes()
    # Killed between the two files, or damaged.
    file.with_suffix(".json").unlink()
    assert read(photos).digest() == data.digest()
    for damage in (whole[:-1], b"", b"nothing"):
        file.write_bytes(damage)
        assert read(photos).digest() == data.digest()
        assert file.read_bytes() == whole


def test_what_a_killed_process_left_is_removed(photos: Path, little: None, cache: Path) -> None:
    cache.mkdir(parents=True)
    left, running = cache / "abc.npy.1.tmp", cache / "def.npy.1.tmp"
    for half in (left, running):
        half.write_bytes(b"half")
    os.utime(left, (0, 0))
    read(photos)
    assert list(cache.glob("*.tmp")) == [running]


def test_unreadable_files_are_refused_or_skipped(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(shutil.copytree(photos, tmp_path / "copy"))
    next(root.rglob("*.png")).write_bytes(b"not an image")
    with_memory(monkeypatch, LITTLE)
    with pytest.raises(DataError, match="1 of 400 unreadable"):
        read(root)
    one, two = both(root, monkeypatch, unreadable="skip")
    assert one.digest() == two.digest()
    assert read(root, unreadable="skip").summary == two.summary  # the second time, too
    assert any("1 of 400 images unreadable and skipped" in line for line in two.summary)


def test_a_small_disk_is_told(
    photos: Path, little: None, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = SimpleNamespace(free=1000)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage)
        with pytest.raises(DataError, match=r"GiB of disk.*GiB free"):
            read(photos, image_size=64)
    assert list(cache.iterdir()) == []

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)  # others may fill it meanwhile
    with pytest.raises(DataError, match="No space left"):
        read(photos)
    assert list(cache.iterdir()) == []


def test_what_cannot_be_on_disk_is_refused(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    with_memory(monkeypatch, LITTLE)
    with pytest.raises(DataError, match="data that fits in memory"):
        read(photos, "generation")
    with pytest.raises(DataError, match="data that fits in memory"):
        read_images(photos)
    deep = tmp_path / "deep"
    for name in "ab":
        (deep / name).mkdir(parents=True)
        for number in range(2):
            pixels = np.full((100, 100), 40_000, np.uint16)
            Image.fromarray(pixels).save(deep / name / f"{number}.png")
    with pytest.raises(DataError, match="data that fits in memory"):
        read_images(deep, on_disk=True)
    assert not cache.exists()
