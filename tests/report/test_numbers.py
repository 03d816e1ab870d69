"""Numbers as people read them."""

from __future__ import annotations

import math

import pytest

from archsmith.history.numbers import axis_title, change, duration, metric_name, short, with_unit
from archsmith.history.objective import Metric


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.98123, "0.981"),
        (0.0391, "0.0391"),
        (12_500, "12.5k"),
        (999_999, "1M"),
        (999.6, "1k"),
        (1_234_567, "1.23M"),
        (2.5e9, "2.5G"),
        (3.21e-5, "3.2e−5"),
        (4.5e-4, "0.00045"),
        (0, "0"),
        (-4.5, "−4.5"),
        (1e14, "100T"),
        (9.994e14, "999T"),
        (9.996e14, "1e15"),
        (1e15, "1e15"),
        (-1.234e16, "−1.23e16"),
        (1.5e300, "1.5e300"),
        (100, "100"),
        (None, "—"),
        (math.nan, "—"),
        (-math.inf, "−∞"),
    ],
)
def test_short(value: float | None, text: str) -> None:
    assert short(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.42, "0.42s"),
        (8.06, "8.1s"),
        (9.97, "10s"),
        (59.6, "1m00s"),
        (80, "1m20s"),
        (7500, "2h05m"),
        (90_000, "1d01h"),
        (math.inf, "—"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_change_has_its_sign() -> None:
    assert [change(v) for v in (0.0139, -0.0139, 0.0)] == ["+0.014", "−0.014", "±0"]


def test_units_come_from_the_metric() -> None:
    assert with_unit("latency_ms", 1.2345) == "1.23 ms"
    assert with_unit("accuracy", 0.98765) == "0.9877"
    assert with_unit("error", 2.0, {"error": Metric("error", "px", "minimize")}) == "2 px"
    assert axis_title("memory_mb") == "memory (MB)"


def test_names_of_metrics() -> None:
    names = ("iou_Sign_Symbol", "ap_RBC", "miou", "val_loss", "iou")
    assert [*map(metric_name, names)] == ["IoU Sign Symbol", "AP RBC", "mIoU", "val loss", "IoU"]
