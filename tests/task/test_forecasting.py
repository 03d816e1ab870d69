"""Forecasting: windows in the order of time, known errors, and times that are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from archsmith._support.errors import DataError, InputError
from archsmith.data.clock import clock_of
from archsmith.data.timelines import Timeline, read_timelines
from archsmith.space import choose
from archsmith.task import task
from archsmith.task.base import Data, ReadOptions
from archsmith.task.forecast_references import LinearForecast, SeasonalNaive, seasonal
from archsmith.task.forecast_windows import error_scale
from archsmith.task.forecasting import Forecasting
from archsmith.task.quantiles import ForecastMeter, pinball, quantiles
from archsmith.testing.task import TaskContract
from archsmith.train import score

from .signals import seasons

TASK = Forecasting()


def small(channels: int, outputs: int, length: int) -> nn.Module:
    width = choose("width", [8, 16])
    return nn.Sequential(
        nn.Flatten(), nn.Linear(channels * length, width), nn.ReLU(), nn.Linear(width, outputs)
    )


def long_table(path: Path, count: int = 90, names: tuple[str, ...] = ("a", "b")) -> Path:
    lines = ["series,date,value,load"]
    for number, name in enumerate(names):
        lines += [f"{name},{t},{v + 50 * number:.4f},{v * v:.4f}" for t, v in seasons(count)]
    path.write_text("\n".join(lines) + "\n")
    return path


class TestForecastingTask(TaskContract):
    task = Forecasting()
    builder = staticmethod(small)

    def write(self, folder: Path) -> Path:
        return long_table(folder / "sales.csv")


@pytest.fixture
def data(tmp_path: Path) -> Data:
    return TASK.read(str(long_table(tmp_path / "sales.csv")), ReadOptions())


def test_parts_follow_each_other_in_time(data: Data) -> None:
    whole = np.array([v for _, v in seasons(90)], dtype=np.float32)
    assert (data.facts["horizon"], data.facts["length"], data.facts["season"]) == (7, 14, 7)
    parts = {"train": data.train, "validation": data.validation, "test": data.test}
    ahead = {name: part.targets["values"].numpy() for name, part in parts.items()}

    def steps(rows: np.ndarray) -> set[int]:
        first = rows[: len(rows) // 2]  # of the first series
        return {int(np.abs(whole - round(float(v), 4)).argmin()) for v in first.ravel()}

    found = {name: steps(rows) for name, rows in ahead.items()}
    assert found["train"] == set(range(14, 54))
    assert found["validation"] == set(range(54, 72))
    assert found["test"] == set(range(72, 90))


def test_wide_columns_are_series(tmp_path: Path) -> None:
    rows = seasons(60)
    lines = ["date,north,south,always", *(f"{t},{v:.3f},{2 * v:.3f},1" for t, v in rows)]
    path = tmp_path / "wide.csv"
    path.write_text("\n".join(lines))
    found = read_timelines(path)
    assert [one.name for one in found.series] == ["north", "south"]
    assert found.columns == ("value",)
    assert any("'always' left out" in note for note in found.notes)
    assert found.series[1].values[0] == pytest.approx(2 * found.series[0].values[0], abs=0.01)


@pytest.mark.parametrize(
    ("cells", "season", "step", "positions"),
    [
        (["2020-01", "2020-02", "2020-04"], 12, "1 month", [0, 1, 3]),
        (["2020-01-31", "2020-02-29", "2020-03-31"], 12, "1 month", [0, 1, 2]),
        (["2020 Q1", "2020-Q2", "2020Q4"], 4, "3 months", [0, 1, 3]),
        (["2020-01-01T00:00Z", "2020-01-01T02:00+01:00"], 24, "1 hour", [0, 1]),
        (["1990", "1991", "1993"], 1, "1 number", [0, 1, 3]),
        ([f"2024-01-{d:02}" for d in (1, 2, 3, 4, 5, 8, 9)], 5, "1 working day", list(range(7))),
        (["2020-01-01 00:00", "2020-01-01 00:30"], 48, "30 minutes", [0, 1]),
    ],
)  # fmt: skip
def test_grids(cells: list[str], season: int, step: str, positions: list[int]) -> None:
    clock = clock_of(cells, [np.arange(len(cells))], cells)
    assert (clock.season, clock.step) == (season, step)
    assert clock.positions.tolist() == positions


def with_cell(rows: list, column: int, cell: object) -> list:
    """The rows with another cell in the sixth."""
    row = list(rows[5])
    row[column] = cell
    return [*rows[:5], tuple(row), *rows[6:]]


@pytest.mark.parametrize(
    ("change", "where", "expected"),
    [
        (lambda rows: [*rows[:5], rows[4], *rows[5:]], "line 7, column 'date'", "once"),
        (lambda rows: [*rows[:5], *rows[7:]], "line 7, column 'date'", "1 day later"),
        (lambda rows: with_cell(rows, 1, "?"), "line 7, column 'value'", "a number"),
        (lambda rows: with_cell(rows, 1, "many"), "line 7, column 'value'", "numbers"),
        (lambda rows: with_cell(rows, 0, "spring"), "line 7, column 'date'", "ISO 8601"),
        (lambda rows: rows[:30], "t.csv", "at least one window"),
        (lambda rows: [(t, float(t > "2024-03")) for t, _ in rows], "t.csv", "that varies"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(tmp_path: Path, change, where: str, expected: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["date,value", *(f"{t},{v}" for t, v in change(seasons(90)))]))
    with pytest.raises(DataError, match=expected) as error:
        TASK.read(str(path), ReadOptions())
    assert where in error.value.where


def test_gaps_are_filled_and_orders_repaired_where_that_is_right(tmp_path: Path) -> None:
    rows = [(t, float(i)) for i, (t, _) in enumerate(seasons(60))]
    path = tmp_path / "t.csv"
    kept = [*rows[30:35], *rows[:10], *rows[12:30], *rows[35:]]
    path.write_text("\n".join(["date,value", *(f"{t},{v}" for t, v in kept)]))
    found = read_timelines(path, fill=True)
    assert found.series[0].values[0].tolist() == [float(i) for i in range(60)]
    assert any("put in the order" in note for note in found.notes)
    assert any("2 missing values" in note for note in found.notes)


def test_errors_are_relative_to_the_seasonal_naive_forecast() -> None:
    own = np.array([[0.0, 3.0, 1.0, 5.0, 2.0, 7.0, 100.0]])
    assert error_scale(Timeline("a", own, 10), 16, 2) == pytest.approx((1 + 2 + 1 + 2) / 4)
    assert error_scale(Timeline("a", own, 10), 12, 2) == pytest.approx(3.0)  # naive: too short
    assert seasonal(np.arange(6.0)[None], 5, 3).tolist() == [[3, 4, 5, 3, 4]]
    assert seasonal(np.arange(6.0)[None], 3, 9).tolist() == [[5, 5, 5]]


def test_the_loss_and_the_metrics_are_those_of_the_definitions() -> None:
    targets = {
        "values": torch.tensor([[10.0, 20.0]]),
        "scale": torch.tensor([4.0]),
        "level": torch.tensor([10.0]),
        "spread": torch.tensor([2.0]),
    }
    outputs = torch.tensor([[-1.0, 1.0, 0.0, 2.0, 1.0, 1.0]])  # 8, 12; 10, 14; 12, 12
    # Errors over scale: 0.5, 2; 0, 1.5; -0.5, 2.
    losses = [0.1 * 0.5, 0.1 * 2, 0.0, 0.5 * 1.5, 0.1 * 0.5, 0.9 * 2]
    assert float(pinball(outputs, targets)) == pytest.approx(sum(losses) / 6)
    assert quantiles(outputs)[0].tolist() == [[-1, 1], [0, 2], [1, 2]]
    meter = ForecastMeter()
    meter.update(outputs, targets)
    found = meter.result()
    assert found["mae"] == pytest.approx(3.0)
    assert found["mase"] == pytest.approx(0.75)
    assert found["rmse"] == pytest.approx(18**0.5)
    assert found["coverage"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("reference", "most"), [(SeasonalNaive("a"), 1.2), (LinearForecast("b"), 1.0)]
)
def test_references_forecast_seasons(data: Data, reference, most: float) -> None:
    fitted = reference.fit(TASK, data, 0)
    found = score(fitted.model, TASK, data.test, data.facts)
    assert found["mase"] < most
    assert 0.5 < found["coverage"] <= 1


def test_the_end_of_each_series_is_what_is_continued(data: Data, tmp_path: Path) -> None:
    inputs = TASK.load_input(tmp_path / "sales.csv", data.facts)
    assert inputs.shape == (2, 2, 14)
    expected = [v for _, v in seasons(90)][-14:]
    assert inputs[0, 0].tolist() == pytest.approx(expected, abs=1e-3)
    assert inputs[1, 0].tolist() == pytest.approx([v + 50 for v in expected], abs=1e-3)
    long_table(tmp_path / "short.csv", 13)
    with pytest.raises(DataError, match="14 steps or more"):
        TASK.load_input(tmp_path / "short.csv", data.facts)


def test_options_are_checked() -> None:
    for text in ("horizon=-1", "context=1", "season=99999"):
        with pytest.raises(InputError):
            task(f"forecasting:{text}")
