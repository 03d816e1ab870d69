"""The reader of NAS-Bench-201: what it takes, what it refuses and where it says the fault is."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest

from archsmith._support.errors import InputError, UnknownNameError
from archsmith.bench import benchmark
from archsmith.evaluate.base import TrialFailed, Watch
from archsmith.evaluate.table import TableEvaluator
from archsmith.history.trial import Fidelity
from archsmith.tables.nb201 import NB201
from archsmith.zoo.nasbench201 import OPS
from bench.small import columns, short_schedule, write

DATA = os.environ.get("ARCHSMITH_DATA")


def test_a_table_of_the_same_form_with_other_numbers(tmp_path):
    found = columns(200)
    found["device_latency_ms"] = np.arange(200.0)
    found["other_valid_acc_200"] = found["other_test_acc_200"] = np.zeros(200)
    path = write(tmp_path / "any.npz", found)
    reader = NB201()
    assert reader.datasets(path) == ["flowers", "other"]
    table = reader.read(path, "flowers")
    assert len(table.architectures) == table.graphs == 200
    assert table.space.size().count == 200
    assert "200 of 15,625 cells are recorded" in table.note
    assert table.space.note in table.note
    assert set(table.values) == {
        "valid_acc_200",
        "test_acc_200",
        "flops_M",
        "size",
        "device_latency_ms",
    }
    assert table.metrics["device_latency_ms"].direction == "minimize"
    assert table.metrics["flops_M"].direction == "minimize"
    assert table.metrics["valid_acc_200"].direction == "maximize"
    assert -table.optimum == found["flowers_valid_acc_200"].max()
    row = table.row(table.architectures[17])
    assert row == 17
    assert table.values["test_acc_200"][row] == found["flowers_test_acc_200"][17]
    assert table.seconds is not None
    assert np.isclose(table.seconds.mean(), 1.0)
    assert table.epochs == ()


def test_another_spelling_of_a_recorded_graph_is_found(tmp_path):
    found = columns(2)
    # none on every way out of node 1: what leads into it does not matter
    found["arch_str"] = np.array(
        [
            "|nor_conv_3x3~0|+|skip_connect~0|none~1|+|skip_connect~0|none~1|none~2|",
            "|skip_connect~0|+|skip_connect~0|none~1|+|nor_conv_3x3~0|none~1|none~2|",
        ]
    )
    table = NB201().read(write(tmp_path / "t.npz", found), "flowers")
    from archsmith.zoo.nasbench201 import from_arch_str

    other = from_arch_str("|none~0|+|avg_pool_3x3~0|none~1|+|skip_connect~0|none~1|none~2|")
    assert table.row(other) == 0
    unknown = from_arch_str("|none~0|+|none~0|none~1|+|avg_pool_3x3~0|none~1|none~2|")
    assert table.row(unknown) is None


def test_twelve_epochs_are_a_second_fidelity(tmp_path):
    path = write(tmp_path / "t.npz", short_schedule(columns(50)))
    table = NB201().read(path, "flowers")
    assert table.epochs == (12, 200)
    assert set(table.early[12]) == {"valid_acc_200", "test_acc_200"}
    assert not any(name.endswith("_12") for name in table.values)


def test_what_is_not_recorded_early_is_not_told_early(tmp_path):
    found = short_schedule(columns(20))
    found["flowers_train_acc_200"] = np.full(20, 99.0)
    table = NB201().read(write(tmp_path / "t.npz", found), "flowers")
    evaluator = TableEvaluator(table)
    early, full = (
        evaluator.evaluate(table.architectures[3], Fidelity(e), 0, Watch()) for e in (12, 200)
    )
    assert math.isnan(early["train_acc_200"])
    assert full["train_acc_200"] == 99.0
    assert early["valid_acc_200"] == found["flowers_valid_acc_12"][3]
    assert early["flops_M"] == full["flops_M"]
    assert early["seconds"] == pytest.approx(full["seconds"] * 12 / 200)
    with pytest.raises(TrialFailed, match="12, 200"):
        evaluator.evaluate(table.architectures[3], Fidelity(50), 0, Watch())


def test_a_data_set_whose_name_begins_as_another(tmp_path):
    found = columns(10, "a") | {
        name.replace("b_", "a_b_"): column for name, column in columns(10, "b").items()
    }
    path = write(tmp_path / "t.npz", found)
    names = {"valid_acc_200", "test_acc_200", "flops_M", "size"}
    for dataset in ("a", "a_b"):
        assert set(NB201().read(path, dataset).values) == names


def test_a_column_of_seconds_is_the_simulated_time(tmp_path):
    found = columns(10)
    found["flowers_seconds"] = np.arange(1.0, 11.0)
    table = NB201().read(write(tmp_path / "t.npz", found), "flowers")
    assert table.seconds is not None
    assert table.seconds.tolist() == found["flowers_seconds"].tolist()
    assert "seconds" in table.note
    found["flowers_seconds"] = np.full(10, -1.0)
    table = NB201().read(write(tmp_path / "t.npz", found), "flowers")
    assert "flops" in table.note


def spelled_often(spread):
    """27 graphs in five spellings each, with records that differ by ``spread`` within a graph."""
    rng = np.random.default_rng(3)
    ops = [op for op in OPS if op not in ("none", "skip_connect")]
    # Nothing leads out of node 1: what leads into it is of no consequence.
    texts = [
        f"|{a}~0|+|{b}~0|none~1|+|{c}~0|none~1|{d}~2|"
        for b in ops
        for c in ops
        for d in ops
        for a in OPS
    ]
    valid = 50.0 + np.repeat(np.arange(27), 5) + spread * rng.normal(0, 1, 135)
    return {"arch_str": np.array(texts), "new_valid_acc_200": valid, "new_test_acc_200": valid}


@pytest.mark.slow
def test_records_within_graphs_decide_how_spellings_count(tmp_path):
    found = spelled_often(0.0)
    table = NB201().read(write(tmp_path / "t.npz", found), "new")
    assert (table.graphs, len(table.architectures)) == (27, 135)
    assert "spellings" not in table.note
    # Noise of training: a graph counts once.
    noisy = NB201().read(write(tmp_path / "t.npz", spelled_often(0.1)), "new")
    assert noisy.graphs == table.graphs
    assert f"one spelling of each of {table.graphs} graphs" in noisy.note
    # Numbers that graphs know nothing of: each spelling counts.
    wild = NB201().read(write(tmp_path / "t.npz", spelled_often(1000.0)), "new")
    assert wild.graphs == len(wild.architectures)
    assert "each spelling counts" in wild.note
    result = benchmark(wild, "random", queries=wild.graphs, repeats=1, processes=1)
    assert result.optimum[0, -1]


def test_the_best_of_several_records_of_a_graph_is_told(tmp_path):
    found = spelled_often(0.1)
    found["new_valid_acc_200"][1] = 99.0
    note = NB201().read(write(tmp_path / "t.npz", found), "new").note
    assert "the best record is one of 5 spellings of its graph" in note


def test_columns_of_another_data_set_are_not_metrics_of_this_one(tmp_path):
    found = columns(10)
    found["imagenet16_120_flops_M"] = np.arange(1.0, 11.0)
    found["birds_valid_acc_12"] = found["birds_params_M"] = np.arange(1.0, 11.0)
    table = NB201().read(write(tmp_path / "t.npz", found), "flowers")
    assert set(table.values) == {"valid_acc_200", "test_acc_200", "flops_M", "size"}


def test_columns_that_cannot_be_metrics_are_kept_in_mind(tmp_path):
    found = columns(10)
    found["flowers_holes"] = np.array([1.0] * 4 + [np.nan] * 6)
    found["flowers_short"] = np.ones(9)
    table = NB201().read(write(tmp_path / "t.npz", found), "flowers")
    assert table.left_out == {"holes": "nan in row 4", "short": "9 rows for 10 architectures"}
    with pytest.raises(InputError, match=r"holes of nb201.*finite.*nan in row 4"):
        benchmark(table, "random", minimize="holes", queries=2, repeats=1)
    with pytest.raises(InputError, match=r"short of nb201.*9 rows"):
        benchmark(table, "random", limits=["short<=2"], queries=2, repeats=1)


@pytest.mark.parametrize("wrong", [0.0, -1.0])
def test_time_does_not_go_by_costs_that_are_none(tmp_path, wrong):
    found = columns(10)
    found["flowers_flops_M"][3] = wrong
    table = NB201().read(write(tmp_path / "t.npz", found), "flowers")
    assert table.seconds is None
    assert "the same simulated time" in table.note


def broken(**changes):
    def make(folder: Path) -> Path:
        found = columns(20)
        for name, change in changes.items():
            value = change(found.get(name))
            if value is None:
                del found[name]
            else:
                found[name] = value
        return write(folder / "t.npz", found)

    return make


def nan_at(row):
    def change(column):
        column = column.copy()
        column[row] = np.nan
        return column

    return change


def text_at(row, text):
    def change(column):
        column = column.astype("U100")
        column[row] = text
        return column

    return change


GONE = lambda _: None  # noqa: E731
REFUSED = {
    "no arch_str": (broken(arch_str=GONE), ["arch_str", "flowers_valid_acc_200"]),
    "no test column": (broken(flowers_test_acc_200=GONE), ["flowers_test_acc_200"]),
    "no valid column": (broken(flowers_valid_acc_200=GONE), ["NAME_valid_acc_200"]),
    "unknown op": (
        broken(arch_str=text_at(7, "|conv_9x9~0|+|none~0|none~1|+|none~0|none~1|none~2|")),
        ["row 7", "conv_9x9", "nor_conv_3x3"],
    ),
    "wrong notation": (broken(arch_str=text_at(3, "012345")), ["row 3", "three nodes", "|op~0|"]),
    "empty notation": (broken(arch_str=text_at(0, "")), ["row 0"]),
    "one twice": (broken(arch_str=lambda c: np.array([*c[:19], c[4]])), ["row 19", "row 4"]),
    "NaN": (broken(flowers_valid_acc_200=nan_at(11)), ["valid_acc_200", "row 11", "finite"]),
    "NaN in test": (broken(flowers_test_acc_200=nan_at(2)), ["test_acc_200", "row 2"]),
    "too few rows": (broken(flowers_valid_acc_200=lambda c: c[:-1]), ["20 rows", "19"]),
    "too many rows": (broken(flowers_test_acc_200=lambda c: np.append(c, 1.0)), ["20 rows", "21"]),
    "text for numbers": (
        broken(flowers_test_acc_200=lambda c: np.array(["good"] * 20)),
        ["numbers"],
    ),
    "a matrix": (
        broken(flowers_valid_acc_200=lambda c: np.stack([c, c], 1)),
        ["one number per row"],
    ),
    "a matrix of texts": (broken(arch_str=lambda c: np.stack([c, c], 1)), ["one", "arch_str"]),
    "a single text": (broken(arch_str=lambda c: np.array("none")), ["arch_str"]),
    "bytes": (broken(arch_str=lambda c: np.arange(20)), ["row 0"]),
    "nothing": (
        broken(
            arch_str=lambda c: c[:0],
            flowers_valid_acc_200=lambda c: c[:0],
            flowers_test_acc_200=lambda c: c[:0],
        ),
        ["arch_str"],
    ),
    "pickled objects": (
        broken(arch_str=lambda c: np.array(c.tolist(), dtype=object)),
        ["column arch_str", "readable"],
    ),
}


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_refusals_say_where(tmp_path, case):
    make, words = REFUSED[case]
    path = make(tmp_path)
    with pytest.raises(InputError) as refused:
        NB201().read(path, "flowers")
    for word in [*words, "t.npz"]:
        assert word in str(refused.value)


def test_an_array_without_a_name_is_refused(tmp_path):
    np.save(tmp_path / "t.npy", np.arange(3))
    (tmp_path / "t.npy").rename(tmp_path / "t.npz")
    with pytest.raises(InputError, match="without a name"):
        NB201().datasets(tmp_path / "t.npz")


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 broken"])
def test_what_is_no_archive_is_refused(tmp_path, content):
    path = tmp_path / "t.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match="readable"):
        NB201().datasets(path)


def test_no_file_a_folder_and_another_suffix(tmp_path):
    for path, got in ((tmp_path / "missing.npz", "nothing there"), (tmp_path, "a folder")):
        with pytest.raises(InputError, match=got):
            NB201().datasets(path)
    (tmp_path / "t.json").write_text("{}")
    with pytest.raises(InputError, match="npz"):
        NB201().datasets(tmp_path / "t.json")


def test_an_unknown_data_set_offers_the_nearest(tmp_path):
    path = write(tmp_path / "t.npz", columns(10))
    with pytest.raises(UnknownNameError, match="did you mean 'flowers'"):
        NB201().read(path, "flower")


def test_bytes_are_texts_too(tmp_path):
    found = columns(10)
    found["arch_str"] = found["arch_str"].astype("S100")
    assert len(NB201().read(write(tmp_path / "t.npz", found), "flowers").architectures) == 10


def test_csv_and_parquet(tmp_path):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pandas.DataFrame(columns(30))
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    for name in ("t.csv", "t.parquet"):
        table = NB201().read(tmp_path / name, "flowers")
        assert np.allclose(table.values["test_acc_200"], frame["flowers_test_acc_200"])


@pytest.mark.slow
@pytest.mark.skipif(DATA is None, reason="ARCHSMITH_DATA names no folder with nb201.npz")
def test_the_published_numbers():
    path = Path(DATA or "") / "nb201.npz"
    table = NB201().read(path, "cifar10")
    assert len(table.architectures) == 15_625
    assert table.graphs == 6_466
    assert table.space.note == ""
    assert round(-table.optimum, 3) == 91.607
    assert round(float(table.values["test_acc_200"].max()), 3) == 94.373
    assert table.epochs == (12, 200)
    assert round(float(NB201().read(path, "cifar100").values["test_acc_200"].max()), 3) == 73.513
