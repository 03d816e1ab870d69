"""Scales and ticks against known values."""

from __future__ import annotations

import pytest

from archsmith.report.axes import (
    WIDE,
    Axis,
    Frame,
    Scale,
    log_ticks,
    needs_log,
    nice_ticks,
    span,
    tick_labels,
    without_stragglers,
)


@pytest.mark.parametrize(
    ("low", "high", "count", "ticks"),
    [
        (0.0, 10.0, 5, [0, 2, 4, 6, 8, 10]),
        (0.951, 0.987, 4, [0.96, 0.97, 0.98]),
        (-1.2, 1.2, 5, [-1.0, -0.5, 0.0, 0.5, 1.0]),
        (0, 39, 4, [0, 10, 20, 30]),
        (3e-6, 9e-6, 3, [4e-6, 6e-6, 8e-6]),
        (0.0, 1e-14, 4, [0, 2.5e-15, 5e-15, 7.5e-15, 1e-14]),
        (-3e-300, 3e-300, 3, [-2e-300, 0, 2e-300]),
        (0.0, 4e16, 4, [0, 1e16, 2e16, 3e16, 4e16]),
        (2e17, 1e18, 4, [2e17, 4e17, 6e17, 8e17, 1e18]),
    ],
)
def test_ticks_are_round(low: float, high: float, count: int, ticks: list[float]) -> None:
    assert nice_ticks(low, high, count) == pytest.approx(ticks, rel=1e-12, abs=0)


@pytest.mark.parametrize(
    ("low", "high"), [(0.95, 0.95 + 1e-14), (1e16, 1e16 + 4), (1e16, 1e16 + 1e9), (-1e-14, 1e-14)]
)
def test_ticks_and_labels_are_different_where_the_range_is_extreme(low: float, high: float) -> None:
    ticks = nice_ticks(low, high, 4)
    assert len(ticks) > 1
    assert ticks == sorted(set(ticks))
    assert all(low <= tick <= high for tick in ticks)
    assert len(set(tick_labels(ticks))) == len(ticks)


def test_whole_axes_have_whole_ticks() -> None:
    assert nice_ticks(0, 3, 6, whole=True) == [0, 1, 2, 3]
    assert nice_ticks(0, 12, 5, whole=True) == [0, 5, 10]


def test_log_ticks() -> None:
    assert log_ticks(1, 1e4, 5) == [1, 10, 100, 1000, 10000]
    assert log_ticks(1, 1e9, 5) == [1, 1e2, 1e4, 1e6, 1e8]
    assert log_ticks(2, 40, 6) == [2, 5, 10, 20]


def test_labels_have_the_decimals_that_tell_ticks_apart() -> None:
    assert tick_labels([0.95, 0.975, 1.0]) == ["0.950", "0.975", "1.000"]
    assert tick_labels([0, 50_000, 100_000]) == ["0", "50k", "100k"]
    assert tick_labels([1_000_000, 1_500_000]) == ["1.0M", "1.5M"]
    assert tick_labels([0, 500, 1000, 2000]) == ["0", "500", "1000", "2000"]
    assert tick_labels([-1, 0]) == ["−1", "0"]
    assert tick_labels([0, 1e16, 2e16]) == ["0", "1e16", "2e16"]
    assert tick_labels([1e18, 1.0025e18]) == ["1e18", "1.0025e18"]


def test_scales_map_ends_and_middle() -> None:
    scale = Scale(10, 20, 100, 0)
    assert [scale(v) for v in (10, 15, 20, 99)] == [100, 50, 0, 0]
    log = Scale(1, 10_000, 0, 80, log=True)
    assert [log(v) for v in (1, 100, 10_000)] == pytest.approx([0, 40, 80])


def test_only_wide_spreads_of_positive_values_are_logarithmic() -> None:
    assert needs_log([1, 101])
    assert not needs_log([1, 99])
    assert not needs_log([-1, 500])
    assert not needs_log([])


def test_spans_are_never_empty_and_keep_their_sign() -> None:
    low, high = span([3.0, 3.0], log=False)
    assert low < 3 < high
    assert span([0.0, 1.0], log=False)[0] == 0.0


def test_collapsed_trials_do_not_press_the_others_together() -> None:
    values = [0.1, *(0.97 + 0.002 * i for i in range(10))]
    low, high = without_stragglers(values, "maximize")
    assert low > 0.9
    assert high == max(values)
    # On the good side nothing is cut, and neither is a short list.
    assert without_stragglers([*values[1:], 5.0], "maximize")[1] == 5.0
    assert without_stragglers([0.1, 0.9, 0.91], "maximize")[0] == 0.1
    assert without_stragglers([0.1, *values], "maximize", log=True)[0] == 0.1


def test_a_frame_keeps_its_labels_inside() -> None:
    frame = Frame(WIDE, Axis(0, 1e6, "parameters"), Axis(0.9123, 0.9987, "accuracy"))
    assert frame.left > 30
    assert frame.x(0) == frame.left
    assert frame.x(1e6) == WIDE.width - 14
    assert frame.y(0.9123) == frame.bottom
