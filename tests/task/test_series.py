"""Classification of series: what is read, padded, judged, exported and refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from archsmith._support.errors import DataError
from archsmith.space import choose
from archsmith.task import task, task_for
from archsmith.task.base import Data, ReadOptions
from archsmith.task.series import SeriesClassification
from archsmith.task.series_references import Convolutions, NearestSeries, RandomConvolutions
from archsmith.testing.task import TaskContract
from archsmith.train import score

from .signals import NAMES, sines, write_ts

TASK = SeriesClassification()


def small(channels: int, outputs: int, length: int) -> nn.Module:
    width = choose("width", [8, 16])
    return nn.Sequential(
        nn.Conv1d(channels, width, 5), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(),
        nn.Linear(width, outputs),
    )  # fmt: skip


class TestSeriesTask(TaskContract):
    task = SeriesClassification()
    builder = staticmethod(small)

    def write(self, folder: Path) -> Path:
        values, labels = sines(60)
        return write_ts(folder / "sines.ts", list(values), labels)


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """A folder of a training and a test part with series of different lengths."""
    values, labels = sines(60)
    cut = [one[:, : 40 - i % 7] for i, one in enumerate(values)]
    write_ts(tmp_path / "S_TRAIN.ts", cut[:40], labels[:40])
    write_ts(tmp_path / "S_TEST.ts", cut[40:], labels[40:])
    return tmp_path


def test_a_training_file_brings_its_test_file(pair: Path) -> None:
    assert task_for(str(pair)).name == TASK.name
    one, two = (TASK.read(str(p), ReadOptions()) for p in (pair, pair / "S_TRAIN.ts"))
    assert one.digest() == two.digest()
    assert one.drawn == ("validation",)
    assert len(one.test) == 20
    assert one.facts["class_names"] == list(NAMES)


def test_shorter_series_are_zero_after_their_end(pair: Path) -> None:
    data = TASK.read(str(pair), ReadOptions())
    ready = TASK.prepare(data.test.head(20).inputs, data.facts)
    for number, one in enumerate(ready):
        end = 40 - (40 + number) % 7
        assert torch.all(one[:, end:].abs() < 1e-6)
        assert one[:, :end].abs().min(1).values.max() > 0
    given = torch.cat([TASK.prepare(data.train.head(99).inputs, data.facts)])
    assert abs(float(given[..., :34].mean())) < 0.05


def test_arrays_and_tables_are_read_as_files_are(tmp_path: Path) -> None:
    values, labels = sines(30, 12)
    values = values.round(4)
    np.savez(tmp_path / "a.npz", X=values, y=labels, classes=np.array(NAMES))
    rows = [
        f"{i},{t},{labels[i]},{values[i, 0, t]},{values[i, 1, t]}"
        for t in reversed(range(12))
        for i in range(30)
    ]
    (tmp_path / "a.csv").write_text("\n".join(["id,time,label,a,b", *rows]))
    one = TASK.read(str(tmp_path / "a.npz"), ReadOptions())
    two = TASK.read(str(tmp_path / "a.csv"), ReadOptions())
    assert sorted(one.train.inputs.flatten().tolist()) == pytest.approx(
        sorted(two.train.inputs.flatten().tolist())
    )
    assert two.facts["columns"] == ["a", "b"]
    loaded = TASK.load_input(tmp_path / "a.csv", two.facts)
    assert torch.equal(loaded, torch.from_numpy(values).float())
    assert TASK.names_in(tmp_path / "a.csv") == [str(i) for i in range(30)]


@pytest.mark.parametrize(
    ("old", "new", "where", "got"),
    [
        ("?", "?", "line 7, channel 2, step 3", "nan"),
        (":slow", ":tall", "line 7", "'tall'"),
        ("@classLabel true slow fast", "@classLabel false", "", "none"),
        ("@timeStamps false", "@timeStamps true", "", "@timeStamps true"),
        ("@data", "data", "line 6", "data"),
        ("1,", "one,", "line 7", "one"),
    ],
)
def test_what_is_wrong_in_a_file_is_told(
    tmp_path: Path, old: str, new: str, where: str, got: str
) -> None:
    values, labels = np.ones((8, 2, 5)), np.arange(8) % 2
    values[:, 1] += np.arange(5)
    if old == "?":
        values[0, 1, 2] = np.nan
    path = write_ts(tmp_path / "bad.ts", list(values), labels)
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(DataError) as error:
        TASK.read(str(path), ReadOptions())
    assert where in error.value.where
    assert got in str(error.value)


def test_missing_values_are_filled_on_demand(tmp_path: Path) -> None:
    values, labels = np.tile(np.arange(10.0), (12, 1, 1)), np.arange(12) % 2
    values[3, 0, 4] = np.nan
    path = write_ts(tmp_path / "gap.ts", list(values), labels)
    data = task("series-classification:fill=yes").read(str(path), ReadOptions())
    parts = (data.train, data.validation, data.test)
    for one in torch.cat([part.inputs for part in parts]):
        assert torch.equal(one[0], torch.arange(10.0))


@pytest.mark.parametrize(
    ("text", "where", "expected"),
    [
        ("a,1,x,1\na,2,y,2\nb,1,y,1\nb,2,y,3", "line 3, column 'label'", "one label"),
        ("a,1,x,1\na,1,x,2\nb,1,y,1\nb,2,y,3", "line 3, column 'time'", "the next time"),
        ("a,1,x,1\na,2,x,red\nb,1,y,1\nb,2,y,3", "line 3, column 'v'", "numbers"),
        ("a,1,x,1\n,2,x,2\nb,1,y,1\nb,2,y,3", "line 3, column 'id'", "name of a series"),
    ],
)
def test_what_is_wrong_in_a_table_is_told(
    tmp_path: Path, text: str, where: str, expected: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"id,time,label,v\n{text}\n")
    with pytest.raises(DataError, match=expected) as error:
        TASK.read(str(path), ReadOptions())
    assert where in error.value.where


def test_a_class_of_the_test_part_alone_is_told(pair: Path) -> None:
    path = pair / "S_TEST.ts"
    path.write_text(path.read_text().replace(" fast\n", " fast odd\n").replace(":fast", ":odd", 1))
    with pytest.raises(DataError, match="odd"):
        TASK.read(str(pair), ReadOptions())


def test_longer_series_than_in_training_are_told(pair: Path) -> None:
    data = TASK.read(str(pair), ReadOptions())
    np.save(pair / "long.npy", np.zeros((2, 2, 41)))
    with pytest.raises(DataError, match="at most 40 steps"):
        TASK.load_input(pair / "long.npy", data.facts)


def test_features_are_shares_above_thresholds() -> None:
    series = torch.randn(20, 3, 50, generator=torch.Generator().manual_seed(0))
    made = Convolutions(series, seed=0, features=840)
    found = made(series)
    assert found.shape[0] == 20
    assert found.min() >= 0
    assert found.max() <= 1
    assert 0.3 < float(found.mean()) < 0.7  # thresholds are quantiles of the same outputs
    assert torch.equal(Convolutions(series, seed=0, features=840)(series), found)
    # Weights sum to zero, so that a constant does not matter within a series.
    assert all(abs(float(w.sum((1, 2)).max())) < 1e-6 for w in made.weights)


@pytest.mark.slow
@pytest.mark.parametrize("reference", [RandomConvolutions("one"), NearestSeries("two")])
def test_references_learn_sines(reference, tmp_path: Path) -> None:
    values, labels = sines(120, 40, 1)
    data: Data = TASK.read(str(write_ts(tmp_path / "s.ts", list(values), labels)), ReadOptions())
    fitted = reference.fit(TASK, data, 0)
    found = score(fitted.model, TASK, data.test, data.facts)
    assert found["accuracy"] > 0.9
