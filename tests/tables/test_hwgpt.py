"""HW-GPT-Bench's reader: known facts of the real file, and what wrong files are told."""

import json
import os
import random
from pathlib import Path

import pytest

from archsmith._support.errors import InputError, UnknownNameError
from archsmith.tables.hwgpt import HWGPT

READER = HWGPT()
NAN = float("nan")


@pytest.fixture(scope="module")
def real():
    folder = os.environ.get("ARCHSMITH_DATA")
    if not folder:
        pytest.skip(f"ARCHSMITH_DATA does not name a folder with {READER.file}")
    pytest.importorskip("pyarrow")
    return Path(folder) / READER.file


def arch(width=192, layers=10, heads=4):
    return json.dumps([width, layers, [heads] * layers, [2] * layers, True])


@pytest.fixture
def write(tmp_path):
    """Writes a small right file of two scales, changed as asked."""
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")

    def make(**changes):
        columns = {
            "arch": [arch(), arch(256, 22, 8), arch(384)],
            "scale": ["s", "m", "s"],
            "perplexity": [40.0, 30.0, 33.0],
            "token_accuracy": [0.36, 0.4, 0.38],
            "params": [1.0, 2.0, 3.0],
            "macs": [1.0, 2.0, 3.0],
            "lat_ms_a100": [5.0, NAN, 6.0],
            "energy_kwh_v100": [0.1, 0.2, 0.3],
            **changes,
        }
        path = tmp_path / "table.parquet"
        kept = {name: column for name, column in columns.items() if column is not None}
        pandas.DataFrame(kept).to_parquet(path)
        return path

    return make


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scale", "rows", "best", "metrics"),
    [("s", 10_000, 22.159136, 26), ("m", 5_245, 21.141306, 7), ("l", 429, 18.577, 7)],
)
def test_the_real_file(real, scale, rows, best, metrics):
    table = READER.read(real, scale)
    assert len(table.architectures) == table.graphs == rows
    assert table.optimum == pytest.approx(best, abs=1e-5)
    assert len(table.values) == metrics
    assert {"lat_ms_a100", "lat_ms_cpu_meta", "lat_ms_rtx2080"} <= set(table.metrics)
    assert table.row(table.space.sample(random.Random(0))) is not None


def test_what_a_small_file_says(write):
    path = write()
    assert READER.datasets(path) == ["s", "m"]
    small, medium = READER.read(path, "s"), READER.read(path, "m")
    assert small.values["perplexity"].tolist() == [40.0, 33.0]
    assert small.values["lat_ms_a100"].tolist() == [5.0, 6.0]
    assert "lat_ms_a100" not in medium.values
    assert medium.metrics["energy_kwh_v100"].unit == "kWh"
    assert medium.architectures[0]["layers"] == 22
    assert (small.select.metric, small.select.direction) == ("perplexity", "minimize")
    assert small.metrics["token_accuracy"].direction == "maximize"


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"macs": None}, "columns macs"),
        ({"scale": None}, "columns scale"),
        ({"arch": [arch(), arch(256, 22, 8), arch(100)]}, "row 2, arch, embed.*100"),
        ({"arch": [arch(), arch(256, 22, 8), "[384, 10"]}, "column arch, row 2.*JSON list"),
        ({"perplexity": [40.0, 30.0, NAN]}, "perplexity, row 2.*finite"),
        ({"lat_ms_a100": [5.0, 6.0, NAN]}, "lat_ms_a100, row 2.*finite"),
        ({"arch": [arch(), arch(256, 22, 8), arch()]}, "row 2.*as in row 0"),
        ({"scale": ["x", "y", "x"]}, "rows of scale s, m, l"),
    ],
)
def test_wrong_files_say_where(write, changes, part):
    with pytest.raises(InputError, match=part):
        READER.read(write(**changes), "s")


def test_wrong_names_and_places(write, tmp_path):
    with pytest.raises(UnknownNameError, match="one of: m, s"):
        READER.read(write(), "l")
    with pytest.raises(InputError, match="nothing there"):
        READER.read(tmp_path / "missing.parquet", "s")
