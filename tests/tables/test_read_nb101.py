"""NAS-Bench-101: known facts of the file, rows that are one graph, and what is refused."""

import random

import pytest

from archsmith._support.errors import InputError, UnknownNameError
from archsmith.space import Space
from archsmith.tables.nb101 import NB101
from archsmith.zoo.nasbench101 import nasbench101
from archsmith.zoo.nasbench101_graph import OUTPUT, graph_of

from .reader_checks import cost, real, write

#: Input, two inner vertices in a row, output; and the same with a vertex that leads nowhere.
CHAIN = (0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 4, 2, 1)
DANGLING = (
    0,
    1,
    1,
    0,
    0,
    0,
    0,
    0,
    1,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    1,
    0,
    0,
    0,
    0,
    0,
    0,
    4,
    3,
    2,
    1,
)
DIRECT = (0, 1, 0, 0, 0, 1)


def row(arch, **changed):
    return {
        "dataset": "cifar10",
        "arch": str(arch),
        "val_accuracy": 90.0,
        "params": 1.25,
        "flops": 100.0,
        "snip": 3.0,
    } | changed


@pytest.fixture(scope="module")
def table():
    path = real(NB101.file)
    assert NB101().datasets(path) == ["cifar10"]
    return NB101().read(path, "cifar10")


def test_counts_and_the_best_are_those_of_the_file(table):
    assert len(table.architectures) == table.graphs == table.space.size().count == 292
    assert -table.optimum == pytest.approx(94.711536, abs=1e-6)
    assert table.space.note == "292 of 423,624 graphs are recorded, in 500 rows"
    assert table.select.metric == table.report == "accuracy"
    assert {"params", "flops", "synflow"} < set(table.metrics)


@pytest.mark.slow
def test_params_are_exactly_those_of_the_networks_and_flops_nearly(table):
    # Equal parameters prove how matrices and operations are read. The file's multiply-adds count
    # normalisation and pooling too, which archsmith does not.
    of = cost(Space(nasbench101, channels=3, classes=10), (1, 3, 32, 32))
    for place in random.Random(0).sample(range(292), 16):
        params, flops = of(table.architectures[place])
        assert params == table.values["params"][place]
        assert 0.9 * table.values["flops"][place] < flops <= table.values["flops"][place]


def test_rows_of_one_graph_are_its_trainings(tmp_path):
    rows = [
        row(CHAIN),
        row(DIRECT),
        row(DANGLING, val_accuracy=92.0, snip=5.0),
        row((0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1), dataset="other"),
    ]
    table = NB101().read(write(tmp_path, rows), "cifar10")
    assert [graph_of(a) for a in table.architectures] == [
        ({1: "conv3x3", 2: "maxpool3x3"}, ((0, 1), (1, 2), (2, OUTPUT))),
        ({}, ((0, OUTPUT),)),
    ]
    assert {name: values.tolist() for name, values in table.values.items()} == {
        "accuracy": [91.0, 90.0],
        "params": [1.25e6, 1.25e6],
        "flops": [2e8, 2e8],
        "snip": [4.0, 3.0],
    }


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        ({"arch": str(CHAIN)}, r"row 1: expected each architecture once.*as in row 0"),
        ({"arch": "(0, 1, 0, 0, 0)"}, r"row 1: expected n x n \+ n numbers.*\n  hint: arch has"),
        ({"arch": "()"}, r"row 1: expected n x n \+ n numbers"),
        ({"arch": "(0, 1, 0, 0, 0, 9)"}, r"the last n of them from 0 to 4"),
        ({"arch": "(0, 2, 0, 0, 0, 1)"}, r"0 and 1 in the matrix"),
        ({"arch": "(0, 1, 0, 0, 1, 0)"}, r"operations from input to output, got output, input"),
        ({"arch": "(0, 0, 0, 0, 0, 1)"}, r"row 1: expected a path from input to output, got none"),
        ({"arch": "matrix"}, r"row 1: expected integers in parentheses"),
        ({"val_accuracy": float("nan")}, r"column val_accuracy, row 1: .*got nan"),
        ({"params": "many"}, r"column params: expected numbers"),
    ],
)
def test_broken_files_are_refused(changed, part, tmp_path):
    path = write(tmp_path, [row(CHAIN), row(DIRECT) | changed])
    with pytest.raises(InputError, match=part):
        NB101().read(path, "cifar10")


def test_other_files_and_names_are_refused(tmp_path):
    with pytest.raises(InputError, match="a benchmark file, got nothing there"):
        NB101().datasets(tmp_path / "none.parquet")
    path = write(tmp_path, [row(CHAIN)])
    with pytest.raises(UnknownNameError, match=r"data set of nb101.*\n.*did you mean 'cifar10'"):
        NB101().read(path, "cifar100")
    with pytest.raises(InputError, match="the columns dataset"):
        NB101().datasets(write(tmp_path, [{"arch": "(1, 2)"}]))
