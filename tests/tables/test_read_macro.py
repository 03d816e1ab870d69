"""NAS-Bench-Macro and Channel-Bench-Macro: known facts of the files, and what is refused."""

import random

import pytest

from archsmith._support.errors import InputError, UnknownNameError
from archsmith.tables.macro import ChannelBench, NBMacro
from archsmith.zoo import channel_bench, nasbench_macro

from .reader_checks import cost, real, write

READERS = {"nbmacro": NBMacro(), "channelbench": ChannelBench()}


@pytest.fixture(scope="module", params=READERS)
def table(request):
    reader = READERS[request.param]
    path = real(reader.file)
    assert reader.datasets(path) == ["cifar10"]
    return reader.read(path, "cifar10")


def rows_of(table, **changed):
    bench = READERS[table].bench
    archs = {"nbmacro": ["00000000", "01201210"], "channelbench": ["1111111", "4321234"]}[table]
    rows = [{"bench": bench, "arch": a, "mean_acc": 90.0, "params": 10, "flops": 20} for a in archs]
    rows[1] |= changed
    return [{"bench": "other", "arch": "?", "mean_acc": "", "params": 1, "flops": 1}, *rows]


@pytest.mark.slow
def test_counts_and_the_best_are_those_of_the_files(table):
    facts = {
        "nbmacro": (3**8, 9 * 21 * 21, "22212220", 93.126663),
        "channelbench": (4**7, 4**7, "4344424", 93.893328),
    }
    count, graphs, digits, best = facts[table.name]
    assert len(table.architectures) == table.space.size().count == count
    assert table.graphs == graphs
    assert -table.optimum == pytest.approx(best, abs=1e-5)
    module = nasbench_macro if table.name == "nbmacro" else channel_bench
    row = table.row(module.from_digits(digits))
    assert table.values["accuracy"][row] == -table.optimum
    assert module.to_digits(table.architectures[row]) == digits
    assert table.space.note == ""
    assert table.select.metric == table.report == "accuracy"
    assert "test accuracy" in table.note


def test_params_and_flops_are_exactly_those_of_the_networks(table):
    of = cost(table.space, (1, 3, 32, 32))
    for row in random.Random(0).sample(range(len(table.architectures)), 12):
        expected = (table.values["params"][row], table.values["flops"][row])
        assert of(table.architectures[row]) == expected
    assert table.seconds.mean() == pytest.approx(1.0)


@pytest.mark.parametrize("name", READERS)
def test_a_part_of_a_table_restricts_the_space(name, tmp_path):
    table = READERS[name].read(write(tmp_path, rows_of(name)), "cifar10")
    assert set(table.space.enumerate()) == set(table.architectures)
    assert table.space.note.startswith("2 of ")
    assert table.note.startswith("2 of ")
    assert table.values["flops"].tolist() == [40.0, 40.0]


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    ("changed", "part"),
    [
        (
            {"arch": "9"},
            r"column arch, row 2: expected \d digits from . to .*, got 9\n  hint: arch",
        ),
        ({"mean_acc": float("nan")}, r"column mean_acc, row 2: expected a finite number, got nan"),
        ({"params": "many"}, r"column params: expected numbers"),
    ],
)
def test_broken_files_are_refused(name, changed, part, tmp_path):
    path = write(tmp_path, rows_of(name, **changed))
    with pytest.raises(InputError, match=part):
        READERS[name].read(path, "cifar10")


def test_a_repeated_architecture_is_refused(tmp_path):
    path = write(tmp_path, rows_of("nbmacro", arch="00000000"))
    with pytest.raises(InputError, match=r"row 2: expected each.*00000000 again, as in row 1"):
        NBMacro().read(path, "cifar10")


def test_other_files_and_names_are_refused(tmp_path):
    with pytest.raises(InputError, match="a benchmark file, got nothing there"):
        NBMacro().read(tmp_path / "none.parquet", "cifar10")
    path = write(tmp_path, rows_of("nbmacro"))
    with pytest.raises(UnknownNameError, match=r"data set of nbmacro.*\n.*did you mean 'cifar10'"):
        NBMacro().read(path, "cifar-10")
    with pytest.raises(InputError, match=r"rows with channel_bench.*got other, nas_bench_macro"):
        ChannelBench().datasets(path)
    rows = [{k: v for k, v in row.items() if k != "flops"} for row in rows_of("nbmacro")]
    with pytest.raises(InputError, match="the columns flops"):
        NBMacro().read(write(tmp_path, rows), "cifar10")
