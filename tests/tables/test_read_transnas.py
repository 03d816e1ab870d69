"""TransNAS-Bench-101: known facts of the file, and what is refused."""

import random

import pytest

from archsmith._support.errors import InputError, UnknownNameError
from archsmith.space import Space
from archsmith.tables.transnas import TransnasMacro, TransnasMicro
from archsmith.zoo.transnas import transnas_macro, transnas_micro

from .reader_checks import cost, real, write

TASKS = ["class_scene", "class_object", "autoencoder", "segmentsemantic"]
READERS = {"tnb101-micro": TransnasMicro(), "tnb101-macro": TransnasMacro()}
#: Recorded architectures and the best of them.
FACTS = {
    ("tnb101-micro", "class_scene"): (711, 54.796974),
    ("tnb101-micro", "class_object"): (711, 45.730495),
    ("tnb101-micro", "autoencoder"): (711, 0.571911),
    ("tnb101-micro", "segmentsemantic"): (711, 94.754814),
    ("tnb101-macro", "class_scene"): (662, 56.911823),
    ("tnb101-macro", "class_object"): (662, 47.472134),
    ("tnb101-macro", "autoencoder"): (725, 0.768785),
    ("tnb101-macro", "segmentsemantic"): (725, 95.049637),
}


def row(kind="tnb101_micro", arch="(3, 0, 2, 3, 0, 1)", task="class_scene", **changed):
    return {
        "space": kind,
        "dataset": task,
        "arch": arch,
        "val_accuracy": 50.0,
        "params": 1.5,
        "flops": 100.0,
        "snip": 3.0,
        "snip_time_s": 1.0,
    } | changed


@pytest.mark.parametrize(("name", "task"), FACTS)
def test_counts_and_the_best_are_those_of_the_file(name, task):
    path = real(READERS[name].file)
    assert READERS[name].datasets(path) == TASKS
    table = READERS[name].read(path, task)
    count, best = FACTS[name, task]
    assert len(table.architectures) == table.space.size().count == count
    assert -table.optimum == pytest.approx(best, abs=1e-6)
    quality = "ssim" if task == "autoencoder" else "accuracy"
    assert table.select.metric == table.report == quality
    whole = "4,096" if name == "tnb101-micro" else "3,256"
    assert table.space.note == f"{count} of {whole} architectures are recorded"
    assert ("decoder" in table.note) == (task not in ("class_scene", "class_object"))
    assert {"params", "flops", "snip", "nwot"} < set(table.metrics)
    assert not any(metric.endswith("time_s") for metric in table.metrics)
    table.space.validate(random.Random(0).choice(table.architectures))


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("task", TASKS[:2])
def test_params_are_exactly_those_of_the_networks_and_flops_nearly(name, task):
    # The file counts normalisation and pooling too, which archsmith does not.
    table = READERS[name].read(real(READERS[name].file), task)
    builder = transnas_micro if name == "tnb101-micro" else transnas_macro
    space = Space(builder, channels=3, classes=63 if task == "class_scene" else 100)
    of = cost(space, (1, 3, 256, 256))
    for place in random.Random(0).sample(range(len(table.architectures)), 12):
        params, flops = of(table.architectures[place])
        assert params == table.values["params"][place]
        assert 0.9 * table.values["flops"][place] < flops <= table.values["flops"][place]


def test_recorded_cells_of_one_graph_reach_nearly_the_same():
    table = TransnasMicro().read(real(TransnasMicro.file), "class_scene")
    assert table.graphs == 343
    graphs = {}
    for architecture, accuracy in zip(table.architectures, table.values["accuracy"], strict=True):
        graphs.setdefault(table.space.canonical(architecture), []).append(accuracy)
    spread = [max(found) - min(found) for found in graphs.values() if len(found) > 1]
    assert sum(spread) / len(spread) < 1.0 < table.values["accuracy"].std() / 10
    # Where nothing comes out of the cell only the classifier learns.
    assert {round(found, 3) for found in graphs["# of "]} == {14.152}


def test_a_cell_and_a_network_are_read(tmp_path):
    path = write(tmp_path, [row(), row("tnb101_macro", "(1, 4, 2, 3, 0, 0)")])
    table = TransnasMicro().read(path, "class_scene")
    assert list(table.architectures[0].values()) == [
        "nor_conv_3x3",
        "none",
        "nor_conv_1x1",
        "nor_conv_3x3",
        "none",
        "skip_connect",
    ]
    assert {name: values.tolist() for name, values in table.values.items()} == {
        "accuracy": [50.0],
        "params": [1.5e6],
        "flops": [2e8],
        "snip": [3.0],
    }
    table = TransnasMacro().read(path, "class_scene")
    assert dict(table.architectures[0]) == {"modules": 4, "wider": (2, 3), "smaller": (2, 4)}


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        (
            {"arch": "(3, 0, 2, 3, 0, 4)"},
            r"row 1: expected 6 digits from 0 to 3.*\n  hint: arch has",
        ),
        ({"arch": "3_02_301"}, r"row 1: expected integers in parentheses"),
        ({"arch": "(3, 0, 2, 3, 0, 1)"}, r"row 1: expected each architecture once.*as in row 0"),
        ({"val_accuracy": float("nan")}, r"column val_accuracy, row 1: .*got nan"),
        ({"flops": "much"}, r"column flops: expected numbers"),
    ],
)
def test_broken_files_are_refused(changed, part, tmp_path):
    path = write(tmp_path, [row(), row(**{"arch": "(0, 0, 0, 3, 0, 0)"} | changed)])
    with pytest.raises(InputError, match=part):
        TransnasMicro().read(path, "class_scene")


@pytest.mark.parametrize("arch", ["(1, 1, 1, 1, 0, 0)", "(1, 0, 4, 2, 3, 1)", "(1, 4, 2, 0, 0, 0)"])
def test_networks_that_the_space_has_not_are_refused(arch, tmp_path):
    path = write(tmp_path, [row("tnb101_macro", arch)])
    with pytest.raises(InputError, match=r"column arch, row 0: expected"):
        TransnasMacro().read(path, "class_scene")


def test_other_files_and_names_are_refused(tmp_path):
    with pytest.raises(InputError, match="a benchmark file, got nothing there"):
        TransnasMicro().datasets(tmp_path / "none.parquet")
    path = write(tmp_path, [row()])
    with pytest.raises(UnknownNameError, match=r"task of tnb101-micro.*\n.*mean 'class_scene'"):
        TransnasMicro().read(path, "class_seen")
    with pytest.raises(InputError, match=r"rows with tnb101_macro, got tnb101_micro"):
        TransnasMacro().read(path, "class_scene")
    with pytest.raises(InputError, match="the columns space"):
        TransnasMacro().datasets(write(tmp_path, [{"arch": "(1, 2)"}]))
