"""NAS-Bench-MR's reader: known facts of the real file, and what wrong files are told."""

import json
import os
import random
from pathlib import Path

import pytest

from archsmith._support.errors import InputError, UnknownNameError
from archsmith.tables.mr import NASBenchMR
from archsmith.zoo.hrnet import code_names

READER = NASBenchMR()
NAN = float("nan")
SMALL = [8 if "width" in name else 1 for name in code_names()]
OTHER = [16, *SMALL[1:]]


@pytest.fixture(scope="module")
def real():
    folder = os.environ.get("ARCHSMITH_DATA")
    if not folder:
        pytest.skip(f"ARCHSMITH_DATA does not name a folder with {READER.file}")
    pytest.importorskip("pyarrow")
    return Path(folder) / READER.file


@pytest.fixture
def write(tmp_path):
    """Writes a small right file, changed as asked."""
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")

    def make(**changes):
        columns = {
            "embedding": [json.dumps(SMALL), json.dumps(OTHER)],
            "flops_G": [1.0, 3.0],
            "params_M": [0.1, 0.2],
            "cls-10c/top1": [50.0, 60.0],
            "cls-10c/top5": [80.0, 90.0],
            "seg/mIoU": [70.0, 71.0],
            **changes,
        }
        path = tmp_path / "table.parquet"
        kept = {name: column for name, column in columns.items() if column is not None}
        pandas.DataFrame(kept).to_parquet(path)
        return path

    return make


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "metric", "best"),
    [
        ("cls-50-1000", "top1", 86.16),
        ("cls-50-100", "top1", 57.24),
        ("cls-10-1000", "top1", 90.4),
        ("cls-10c", "top1", 67.96),
        ("seg", "mIoU", 79.1),
        ("seg-4x", "mIoU", 68.74),
        ("video", "top1", 28.292),
        ("video-p", "top1", 40.391),
    ],
)
def test_the_real_file(real, setting, metric, best):
    assert setting in READER.datasets(real)
    table = READER.read(real, setting)
    assert len(table.architectures) == table.graphs == 2507
    assert table.select.metric == table.report == metric
    assert -table.optimum == best
    assert table.values["params_M"].max() == 28.290994
    assert table.row(table.space.sample(random.Random(0))) is not None


def test_what_a_small_file_says(write):
    path = write()
    assert READER.datasets(path) == ["cls-10c", "seg"]
    table = READER.read(path, "cls-10c")
    assert set(table.values) == {"top1", "top5", "flops_G", "params_M"}
    assert table.metrics["flops_G"].direction == "minimize"
    assert table.space.arguments == {"channels": 3, "classes": 10}
    assert READER.read(path, "seg").space.arguments["dense"] is True
    assert table.seconds.tolist() == [0.5, 1.5]


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"flops_G": None}, "columns flops_G"),
        ({"embedding": [json.dumps(SMALL), "[1, 2]"]}, "row 1, code.*27 integers, got 2"),
        ({"embedding": [json.dumps(SMALL), "{}"]}, "column embedding, row 1.*JSON list"),
        ({"embedding": [json.dumps([9, *SMALL[1:]]), "[]"]}, "row 0, code, number 0.*got 9"),
        ({"cls-10c/top1": [NAN, 50.0]}, "cls-10c/top1, row 0.*finite"),
        ({"embedding": [json.dumps(SMALL)] * 2}, "row 1.*as in row 0"),
    ],
)
def test_wrong_files_say_where(write, changes, part):
    with pytest.raises(InputError, match=part):
        READER.read(write(**changes), "cls-10c")


def test_wrong_names_and_places(write, tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'cls-10c'"):
        READER.read(write(), "cls-10")
    with pytest.raises(InputError, match="SETTING/top1"):
        READER.datasets(write(**{"cls-10c/top1": None, "seg/mIoU": None}))
    with pytest.raises(InputError, match="nothing there"):
        READER.read(tmp_path / "missing.parquet", "seg")
