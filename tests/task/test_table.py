from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from archsmith._support.errors import DataError
from archsmith.task import task_for
from archsmith.task.base import Data, ReadOptions
from archsmith.task.picture import _ticks, scatter
from archsmith.task.table import TabularClassification, TabularRegression

COLOURS = ("blue", "green", "red")


@pytest.fixture
def houses(tmp_path: Path) -> Path:
    rng = np.random.RandomState(0)
    lines = ["area,colour,price"]
    for i in range(100):
        area = rng.uniform(50, 150)
        lines.append(f"{area:.3f},{COLOURS[i % 3]},{1000 * area + 5000 * (i % 3):.1f}")
    (tmp_path / "houses.csv").write_text("\n".join(lines))
    return tmp_path / "houses.csv"


@pytest.fixture
def regression(houses: Path) -> Data:
    return TabularRegression().read(str(houses), ReadOptions())


def test_the_target_decides_which_task_suits(houses: Path) -> None:
    assert task_for(str(houses)).name == "tabular-regression"
    by_colour = task_for(str(houses), ReadOptions(target="colour"))
    assert by_colour.name == "tabular-classification"
    assert task_for("iris").name == "tabular-classification"
    assert task_for("diabetes").name == "tabular-regression"


def test_categories_become_one_hot_and_numbers_standard(regression: Data) -> None:
    task = TabularRegression()
    prepared = task.prepare(regression.train.inputs, regression.facts)
    assert prepared.shape == (len(regression.train), 4)
    codes = regression.train.inputs[:, 1].long()
    assert torch.equal(prepared[:, 1:], nn.functional.one_hot(codes, 3).float())
    assert prepared[:, 0].mean().abs() < 1e-5
    assert abs(float(prepared[:, 0].std(correction=0)) - 1) < 1e-5
    offered = task.arguments(regression.facts)
    assert offered.items() >= {"features": 4, "classes": 1, "outputs": 1}.items()
    edges, categories = offered["columns"]
    assert categories == 3
    # Each bin of a number has as many training rows as the others.
    counts = torch.histogram(prepared[:, 0], torch.tensor(edges))[0]
    assert counts.max() - counts.min() <= 1
    assert json.loads(json.dumps(regression.facts)) == regression.facts


def test_iris_is_split_and_described() -> None:
    task = TabularClassification()
    data = task.read("iris", ReadOptions())
    assert torch.bincount(data.test.targets).tolist() == [10, 10, 10]
    assert data.facts["class_names"] == ["setosa", "versicolor", "virginica"]
    offered = task.arguments(data.facts)
    assert offered.items() >= {"features": 4, "classes": 3, "outputs": 3}.items()
    assert len(offered["columns"]) == 4
    assert task.example(data.facts, 5).shape == (5, 4)
    assert "150 rows, 4 columns (0 categorical)" in data.summary


def test_regression_metrics_are_in_the_users_units(regression: Data) -> None:
    task, facts, part = TabularRegression(), regression.facts, regression.validation
    offset = 700.0
    outputs = task.prepare_targets(part.targets + offset, facts)[:, None]
    meter = task.meter(facts)
    meter.update(outputs[:7], part.targets[:7])
    meter.update(outputs[7:], part.targets[7:])
    result = meter.result()
    assert list(result) == ["r2", "rmse", "mae", "loss"]
    assert result["rmse"] == pytest.approx(offset, rel=1e-3)
    assert result["mae"] == pytest.approx(offset, rel=1e-3)
    spread = float(part.targets.double().var(correction=0))
    assert result["r2"] == pytest.approx(1 - offset**2 / spread, abs=1e-4)
    loss = task.criterion(outputs, task.prepare_targets(part.targets, facts))
    assert result["loss"] == pytest.approx(float(loss), rel=1e-3)


def test_a_mean_has_no_r2(regression: Data) -> None:
    targets = regression.validation.targets
    facts = {**regression.facts, "target_mean": float(targets.mean()), "target_std": 1.0}
    meter = TabularRegression().meter(facts)
    meter.update(torch.zeros(len(targets), 1), targets)
    assert meter.result()["r2"] == pytest.approx(0, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["iris", "diabetes"])
def test_the_deployed_form_takes_raw_rows_and_any_batch(name: str) -> None:
    task = task_for(name)
    data = task.read(name, ReadOptions())
    arguments = task.arguments(data.facts)
    model = nn.Linear(arguments["features"], arguments["outputs"])
    deployed = task.deployable(model, data.facts).eval()
    rows = data.test.inputs[:5]
    with torch.no_grad():
        raw = model(task.prepare(rows, data.facts))
        answers = deployed(rows)
    if name == "iris":
        assert torch.allclose(answers, raw.softmax(1), atol=1e-6)
    else:
        meter = task.meter(data.facts)
        meter.update(raw, answers)
        assert meter.result()["rmse"] < 1e-3
    batch = torch.export.Dim("batch")
    program = torch.export.export(
        deployed, (task.signature(data).example,), dynamic_shapes=({0: batch},)
    )
    assert torch.allclose(program.module()(rows), answers, rtol=1e-5)


def test_rows_load_by_column_name(regression: Data, tmp_path: Path) -> None:
    path = tmp_path / "new.csv"
    path.write_text("colour,note,area\nred,x,80\nblue,,100.5\n")
    rows = TabularRegression().load_input(path, regression.facts)
    assert rows.tolist() == [[80, 2], [100.5, 0]]
    np.save(tmp_path / "rows.npy", np.array([[80, 2]]))
    assert TabularRegression().load_input(tmp_path / "rows.npy", regression.facts).shape == (1, 2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("area\n80\n", "a column 'colour'"),
        ("area,colour\n,red\n", "line 2 column 'area': expected a finite number"),
        ("area,colour\n", "rows below the header"),
    ],
)
def test_rows_that_do_not_load(regression: Data, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "new.csv").write_text(text)
    with pytest.raises(DataError, match=said):
        TabularRegression().load_input(tmp_path / "new.csv", regression.facts)


def test_targets_that_do_not_fit_the_task_are_refused(houses: Path) -> None:
    with pytest.raises(DataError, match="tabular-classification"):
        TabularRegression().read(str(houses), ReadOptions(target="colour"))
    with pytest.raises(DataError, match="regression"):
        TabularClassification().read(str(houses), ReadOptions(target="price"))


def test_a_constant_target_and_one_class_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,y\n" + "".join(f"{i},1.5\n" for i in range(30)))
    with pytest.raises(DataError, match=r"1\.5 in every row"):
        TabularRegression().read(str(path), ReadOptions())
    path.write_text("a,y\n" + "".join(f"{i},yes\n" for i in range(30)))
    with pytest.raises(DataError, match="two classes, got only 'yes'"):
        TabularClassification().read(str(path), ReadOptions())


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([1_700_000_000 + i for i in range(30)], "float32 can distinguish"),
        ([1 + i * 1e-9 for i in range(30)], "float32 can distinguish"),
        ([i * 1e-50 for i in range(30)], "float32 can distinguish"),
        ([i * 1e38 for i in range(30)], "within the range of float32"),
    ],
)
def test_values_that_float32_loses_are_refused(
    tmp_path: Path, values: list[float], said: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,y\n" + "".join(f"{i},{value!r}\n" for i, value in enumerate(values)))
    with pytest.raises(DataError, match=rf"'y': .*{said}"):
        TabularRegression().read(str(path), ReadOptions())


def test_large_values_that_float32_keeps_are_read(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,y\n" + "".join(f"{i},{1_700_000_000 + i * 10**6}\n" for i in range(30)))
    data = TabularRegression().read(str(path), ReadOptions())
    assert len(data.train.targets.unique()) == len(data.train)


def test_a_missing_header_is_told(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("".join(f"{i}.5,{i % 7},{'ab'[i % 2]}\n" for i in range(40)))
    data = TabularClassification().read(str(path), ReadOptions())
    assert sum(map(len, (data.train, data.validation, data.test))) == 40
    assert any("no header" in line for line in data.summary)
    rows = TabularClassification().load_input(path, data.facts)
    assert rows[0].tolist() == [0.5, 0]


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1.0, 1e30])
def test_ticks_are_round_at_every_scale(scale: float) -> None:
    ticks = _ticks(0.13 * scale, 0.87 * scale)
    expected = [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks == pytest.approx([tick * scale for tick in expected], rel=1e-9, abs=0)


def test_ticks_of_one_value_hold_it() -> None:
    for low, high in ((3.0, 3.0), (0.0, 0.0), (1.0, 1.0 + 1e-15), (-1e-12, -1e-12)):
        ticks = _ticks(low, high)
        assert ticks[0] <= low <= ticks[-1]
        assert ticks[0] < ticks[-1]


def test_a_scatter_of_tiny_values() -> None:
    values = torch.linspace(1e-12, 3e-12, 20)
    assert scatter(values, values, "y").width > 400


def test_answers_name_the_target(regression: Data) -> None:
    assert TabularRegression().describe(torch.tensor([2.5]), regression.facts) == [{"price": 2.5}]


def test_pictures_of_tables(regression: Data) -> None:
    targets = regression.test.targets
    perfect = TabularRegression().picture(
        regression.test.inputs, targets, targets, regression.facts
    )
    pixels = np.asarray(perfect).astype(int)
    blue = (pixels[..., 2] - pixels[..., 0]) > 60
    ys, xs = np.nonzero(blue)
    # A perfect prediction lies on the falling diagonal of the picture's coordinates.
    assert np.corrcoef(xs, ys)[0, 1] < -0.99
    data = TabularClassification().read("iris", ReadOptions())
    right = nn.functional.one_hot(data.test.targets, 3).float()
    matrix = TabularClassification().picture(data.test.inputs, data.test.targets, right, data.facts)
    red = np.asarray(matrix).astype(int)
    assert ((red[..., 0] - red[..., 2]) > 60).sum() == 0


def seconds(path: Path, offset: int) -> Path:
    """A moment and whether it is late; ``offset`` is all that they have in common."""
    rows = [f"{offset + i % 60},{'late' if i % 60 >= 30 else 'early'}\n" for i in range(240)]
    file = path / f"{offset}.csv"
    file.write_text("when,label\n" + "".join(rows))
    return file


@pytest.mark.parametrize("offset", [1_700_000_000, 5_400_000_000_000, 2**44])
def test_large_numbers_of_a_small_spread_are_standardised_whole(
    tmp_path: Path, offset: int
) -> None:
    task = TabularClassification()
    near = task.read(str(seconds(tmp_path, 0)), ReadOptions())
    path = seconds(tmp_path, offset)
    far = task.read(str(path), ReadOptions())
    ready = task.prepare(far.train.inputs, far.facts)
    assert ready.dtype == torch.float32
    assert torch.allclose(ready, task.prepare(near.train.inputs, near.facts), atol=1e-4)
    assert any("float64" in line and "'when'" in line for line in far.summary)
    assert near.train.inputs.dtype == torch.float32
    assert "dtype" not in near.facts
    rows = task.load_input(path, far.facts)
    assert rows[:60, 0].tolist() == [offset + i for i in range(60)]


def test_an_npz_of_seconds_is_read_as_the_csv_is(tmp_path: Path) -> None:
    path = seconds(tmp_path, 1_700_000_000)
    moment = np.arange(240) % 60
    np.savez(tmp_path / "s.npz", x=1_700_000_000 + moment[:, None], y=moment >= 30)
    task = TabularClassification()
    one, two = (task.read(str(p), ReadOptions()) for p in (path, tmp_path / "s.npz"))
    first, second = (task.prepare(data.train.inputs, data.facts) for data in (one, two))
    assert torch.equal(first, second)


@pytest.mark.slow
def test_exported_models_take_large_numbers_whole(tmp_path: Path) -> None:
    from archsmith.export.onnx import ONNX
    from archsmith.export.programs import live
    from archsmith.export.pt2 import PT2
    from archsmith.hardware.runtimes import has_onnx

    task = TabularClassification()
    data = task.read(str(seconds(tmp_path, 1_700_000_000)), ReadOptions())
    model = nn.Linear(1, 2)
    deployed = task.deployable(model, data.facts)
    expected = live(deployed)(data.test.inputs)
    assert len(expected[:, 0].unique()) > 30
    signature = task.signature(data)
    PT2().write(deployed, signature, tmp_path / "m.pt2")
    assert torch.allclose(PT2().read(tmp_path / "m.pt2")(data.test.inputs), expected)
    if not has_onnx():
        pytest.skip("the export extra is not installed")
    ONNX().write(deployed, signature, tmp_path / "m.onnx")
    read = ONNX().read(tmp_path / "m.onnx")(data.test.inputs)
    assert torch.allclose(read, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("cells", "helps"),
    [
        ([f'"{1000 + 37 * i:,}"' for i in range(200)], "tabular-regression"),
        ([f"{i}.25" for i in range(200)], "tabular-regression"),
        (["red", "blue"] * 100, "tabular-classification"),
        ([*(f"{i}.5" for i in range(199)), "unknown"], None),
        ([f"person {i}" for i in range(200)], None),
    ],
)
def test_a_refused_task_names_one_that_takes_the_target(
    tmp_path: Path, cells: list[str], helps: str | None
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("rooms,price\n" + "".join(f"{i % 7},{cell}\n" for i, cell in enumerate(cells)))
    tasks = {task.name: task for task in (TabularClassification(), TabularRegression())}
    taken, advice = [], []
    for name, task in tasks.items():
        try:
            task.read(str(path), ReadOptions())
            taken.append(name)
        except DataError as error:
            advice.append(error.hint or "")
    assert taken == ([helps] if helps else [])
    for hint in advice:
        if helps:
            assert helps in hint or "regression task" in hint
        else:
            assert "choose tabular-classification" not in hint
            assert "tabular-regression" not in hint or "correct these cells" in hint
    if helps:
        assert task_for(str(path)).name == helps


MIXED = "when,size,colour,note,y\n"


def mixed(folder: Path) -> Path:
    """Numbers that are missing at times, rare categories, dates, and texts of two words."""
    rng = np.random.RandomState(1)
    lines = []
    for i in range(300):
        day = f"2021-{1 + i % 12:02}-{1 + i % 28:02}"
        size = "" if i % 10 == 0 else f"{rng.rand():.4f}"
        colour = "" if i % 29 == 0 else f"rare{i}" if i % 50 == 1 else COLOURS[i % 3]
        lines.append(
            f"{day},{size},{colour},{'good' if i % 2 else 'bad'} nr {i},{rng.rand():.5f}\n"
        )
    (folder / "mixed.csv").write_text(MIXED + "".join(lines))
    return folder / "mixed.csv"


def test_columns_of_all_kinds_are_prepared(tmp_path: Path) -> None:
    task = TabularRegression()
    data = task.read(str(mixed(tmp_path)), ReadOptions())
    facts, raw = data.facts, data.train.inputs
    ready = task.prepare(raw, facts)
    assert bool(ready.isfinite().all())
    names = [column["name"] for column in facts["columns"]]
    assert names == ["when", "size", "colour", "note", "note"]
    shapes = task.arguments(facts)["columns"]
    assert [s if isinstance(s, int) else len(s) > 0 for s in shapes] == [
        *[True, False, False, False, False],  # when: a number, the year's and the week's cycle
        *[True, False],  # size: a number, and whether it is missing
        5,  # blue, green, red, the rare ones, missing
        *[False, False],  # bad, good
    ]
    days = raw[:, 0].double()
    week = torch.stack([ready[:, 3], ready[:, 4]], 1).double()
    assert torch.allclose(week.square().sum(1), torch.ones(len(raw)).double(), atol=1e-4)
    monday = (days + 3) % 7 == 0
    assert week[monday].std(0).max() < 1e-3
    assert week[~monday].sub(week[monday][0]).norm(dim=1).min() > 0.5
    missing = raw[:, 1].isnan()
    assert torch.equal(ready[:, 6], missing.float())
    assert ready[missing, 5].abs().max() == 0
    assert abs(float(ready[~missing, 5].mean())) < 1e-5
    assert torch.equal(ready[:, 7:12].sum(1), torch.ones(len(raw)))
    assert any("rare categories count as one" in line for line in data.summary)
    assert json.loads(json.dumps(facts)) == facts


def test_rows_of_all_kinds_are_loaded_and_unknown_categories_are_no_error(tmp_path: Path) -> None:
    task = TabularRegression()
    facts = task.read(str(mixed(tmp_path)), ReadOptions()).facts
    path = tmp_path / "new.csv"
    path.write_text(MIXED[:-3] + "\n2022-03-01,,pink,a GOOD one\n2022-03-02,1,,?\n")
    rows = task.load_input(path, facts)
    assert rows[0, [0, 2, 3, 4]].tolist() == [19052, 3, 0, 1]
    assert rows[:, 1].isnan().tolist() == [True, False]
    assert bool(rows[1, 2].isnan())
    ready = task.prepare(rows, facts)
    assert ready[:, 7:12].tolist() == [[0, 0, 0, 1, 0], [0, 0, 0, 0, 1]]
    path.write_text(MIXED[:-3] + "\n31.12.2021,1,red,x\n")
    with pytest.raises(DataError, match=r"line 2 column 'when': expected a date as in the train"):
        task.load_input(path, facts)
    np.save(tmp_path / "r.npy", rows.numpy())
    assert torch.equal(task.load_input(tmp_path / "r.npy", facts).isnan(), rows.isnan())


def test_what_the_training_part_does_not_have_is_told(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = [f"{i},{'xy'[i % 2] if i < 90 else 'z'},{int(i > 79)},{i % 3}\n" for i in range(100)]
    path.write_text("n,c,late,y\n" + "".join(rows))
    data = TabularClassification().read(str(path), ReadOptions(order="n"))
    assert data.facts["columns"] == [{"name": "c", "categories": ["x", "y"]}]
    assert "column 'late' left out: it is the same in all training rows" in data.summary
    assert any(
        "'c': categories without training rows count as unknown (1)" in line
        for line in data.summary
    )
    last = data.test.inputs[-1:]
    assert TabularClassification().prepare(last, data.facts).tolist() == [[0, 0]]
    path.write_text("n,late,y\n" + "".join(f"{i},{int(i > 79)},{i % 3}\n" for i in range(100)))
    with pytest.raises(DataError, match="a column that differs in the training part"):
        TabularClassification().read(str(path), ReadOptions(order="n"))


def test_missing_numbers_are_missing_to_trees(tmp_path: Path) -> None:
    from archsmith.task.estimators import _folded

    task = TabularRegression()
    data = task.read(str(mixed(tmp_path)), ReadOptions())
    ready = task.prepare(data.train.inputs, data.facts).double().numpy()
    folded = _folded(data.facts, ready)
    columns = folded.encode(ready)
    assert folded.categorical.tolist() == [False] * 6 + [True] + [False] * 2
    assert np.array_equal(np.isnan(columns[:, 5]), data.train.inputs[:, 1].isnan().numpy())
    assert len(np.unique(columns[:, 6])) == 5


def test_classes_are_balanced_as_those_of_images(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(
        "a,y\n" + "".join(f"{i % 17},{'rare' if i % 10 == 0 else 'usual'}\n" for i in range(200))
    )
    plain = TabularClassification().read(str(path), ReadOptions())
    assert any("--task tabular-classification:balance=weights" in line for line in plain.summary)
    task = TabularClassification("balance=weights")
    data = task.read(str(path), ReadOptions())
    weights = task.prepare_targets(data.train.targets, data.facts).sum(0)
    assert weights[0] == pytest.approx(float(weights[1]))


@pytest.fixture
def two_values(tmp_path: Path) -> Data:
    rng = np.random.RandomState(2)
    rows = [f"{a:.4f},{2 * a + 5:.4f},{100 * a * a:.4f}\n" for a in rng.rand(120)]
    (tmp_path / "two.csv").write_text("a,b,c\n" + "".join(rows))
    source, options = str(tmp_path / "two.csv"), ReadOptions(target="b, c")
    assert task_for(source, options).name == "tabular-regression"
    return TabularRegression().read(source, options)


def test_several_values_are_predicted_together(two_values: Data) -> None:
    task, data, facts = TabularRegression(), two_values, two_values.facts
    assert facts["targets"] == ["b", "c"]
    assert task.arguments(facts)["outputs"] == 2
    ready = task.prepare_targets(data.train.targets, facts)
    assert torch.allclose(ready.mean(0), torch.zeros(2), atol=1e-5)
    assert torch.allclose(ready.std(0, correction=0), torch.ones(2), atol=1e-5)
    offset = torch.tensor([0.5, 3.0])
    part = data.validation
    outputs = task.prepare_targets(part.targets + offset, facts)
    meter = task.meter(facts)
    meter.update(outputs[:9], part.targets[:9])
    meter.update(outputs[9:], part.targets[9:])
    result = meter.result()
    assert result["rmse_b"] == pytest.approx(0.5, rel=1e-3)
    assert result["mae_c"] == pytest.approx(3.0, rel=1e-3)
    assert result["rmse"] == pytest.approx(1.75, rel=1e-3)
    assert result["r2"] == pytest.approx((result["r2_b"] + result["r2_c"]) / 2)
    parts = task.parts(outputs, part.targets, facts)
    assert task.pooled("rmse", parts["rmse"].numpy().sum(0)) == pytest.approx(1.75, rel=1e-3)
    answers = task.deployable(nn.Identity(), facts | {"features": 2, "expansion": _two()})(
        task.prepare_targets(part.targets, facts)
    )
    assert torch.allclose(answers, part.targets, atol=1e-3)
    assert list(task.describe(answers, facts)[0]) == ["b", "c"]
    assert task.picture(part.inputs, part.targets, answers, facts).width > 400


def _two() -> dict[str, list[float]]:
    """An expansion of two columns that leaves them as they are."""
    return {"column": [0, 1], "code": [-1.0, -1.0], "mean": [0.0, 0.0], "std": [1.0, 1.0]}


@pytest.mark.slow
def test_trees_predict_several_values(two_values: Data) -> None:
    from archsmith.train import score

    task = TabularRegression()
    for reference in task.references():
        fitted = reference.fit(task, two_values, 0, 0.0)
        result = score(fitted.model, task, two_values.test, two_values.facts)
        assert min(result["r2_b"], result["r2_c"]) > 0.5


def test_several_targets_that_do_not_fit_are_refused(houses: Path) -> None:
    with pytest.raises(DataError, match=r"(?s)one column of classes.*tabular-regression"):
        TabularClassification().read(str(houses), ReadOptions(target="colour,price"))
    with pytest.raises(DataError, match="name columns of numbers"):
        TabularRegression().read(str(houses), ReadOptions(target="colour,price"))
    with pytest.raises(DataError, match="distinct target columns"):
        TabularRegression().read(str(houses), ReadOptions(target="price,price"))
