"""NAS-Bench-Graph's reader: known facts of the real file, and what wrong files are told."""

import os
import random
from pathlib import Path

import numpy as np
import pytest

from archsmith._support.errors import InputError, UnknownNameError
from archsmith.tables.graph import NASBenchGraph
from archsmith.zoo.nasbench_graph import GRAPHS, to_row

READER = NASBenchGraph()


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
            "link": ["0-0-0-0", "0-1-2-3"],
            "ops": ["gcn-gat-fc-gin", "gcn-gat-fc-skip"],
            "cora/valid_perf": [0.7, 0.8],
            "cora/perf": [0.6, 0.7],
            "cora/latency": [0.001, 0.003],
            "cora/para": [1.0, 2.0],
            **changes,
        }
        path = tmp_path / "table.parquet"
        kept = {name: column for name, column in columns.items() if column is not None}
        pandas.DataFrame(kept).to_parquet(path)
        return path

    return make


def test_the_real_file_has_eight_graphs(real):
    assert READER.datasets(real) == list(GRAPHS)


@pytest.mark.slow
def test_cora_is_as_published(real):
    table = READER.read(real, "cora")
    assert len(table.architectures) == table.graphs == table.space.size().count == 26_206
    best = int(table.losses.argmin())
    assert table.values["valid_accuracy"][best] == pytest.approx(0.8193333)
    assert table.values["test_accuracy"].max() == pytest.approx(0.8313333)
    row = table.row(table.architectures[77])
    assert row == 77
    drawn = table.space.sample(random.Random(0))
    assert table.row(drawn) is not None
    assert table.row(table.space.mutate(drawn, random.Random(0))) is not None


def test_another_spelling_is_the_same_row(write):
    table = READER.read(write(), "cora")
    other = dict(table.architectures[1]) | {
        f"node{k}": op for k, op in enumerate(("skip", "gcn", "gat", "fc"), start=1)
    }
    assert table.row(type(table.architectures[1])(other)) == 1
    assert to_row(table.architectures[0]) == ("0-0-0-0", "gcn-gat-fc-gin")


def test_what_a_small_file_says(write):
    table = READER.read(write(), "cora")
    assert (table.select.metric, table.select.direction) == ("valid_accuracy", "maximize")
    assert table.report == "test_accuracy"
    assert table.values["params_M"].tolist() == [1.0, 2.0]
    assert np.allclose(table.seconds, [0.5, 1.5])
    assert table.note.startswith("2 of the 26,206 networks of the benchmark are recorded")
    assert table.time_unit == "mean full evaluations"


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"cora/perf": None}, "columns cora/perf"),
        ({"link": None}, "columns link"),
        ({"ops": ["gcn-gat-fc-gin", "gcn-gat-fc-conv"]}, "row 1, ops, node4.*conv"),
        ({"link": ["0-0-0-0", "1-2-3-4"]}, "row 1, link"),
        ({"cora/valid_perf": [0.7, float("nan")]}, "cora/valid_perf, row 1.*finite"),
        ({"cora/latency": [0.1, 0.0]}, "latency, row 1: expected a number above 0, got 0"),
        ({"link": ["0-0-0-0"] * 2, "ops": ["gcn-gat-fc-gin"] * 2}, "row 1.*as in row 0"),
    ],
)
def test_wrong_files_say_where(write, changes, part):
    with pytest.raises(InputError, match=part):
        READER.read(write(**changes), "cora")


def test_wrong_names_and_places(write, tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'cora'"):
        READER.read(write(), "corra")
    with pytest.raises(InputError, match="GRAPH/valid_perf"):
        READER.datasets(write(**{"cora/valid_perf": None}))
    with pytest.raises(InputError, match="nothing there"):
        READER.read(tmp_path / "missing.parquet", "cora")
