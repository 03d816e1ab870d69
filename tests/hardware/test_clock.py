"""Timing by a clock that stands still unless it is moved."""

from __future__ import annotations

import pytest

from archsmith.hardware.clock import Latency, confirmed, quantiles, steadied, timed
from archsmith.hardware.options import noisy


class Fake:
    """A clock that a run moves by known times, in milliseconds."""

    def __init__(self, times: list[float]) -> None:
        self.times, self.now, self.calls = times, 0.0, 0

    def __call__(self) -> float:
        return self.now

    def run(self) -> None:
        self.now += self.times[min(self.calls, len(self.times) - 1)] / 1e3
        self.calls += 1


def test_the_warm_up_ends_where_runs_are_no_longer_faster_and_does_not_count():
    clock = Fake([50, 30, 20, 20, 20, 20, 20, 20, 5])
    times = timed(clock.run, runs=4, seconds=10, clock=clock)
    # After seven runs the last three were as fast as the three before.
    assert times == pytest.approx([20, 5, 5, 5])


def test_it_is_limited_in_time_but_runs_five_times_at_least():
    clock = Fake([1000 / 64])  # sixteen runs last exactly as long as it may take
    assert len(timed(clock.run, runs=10_000, seconds=0.25, clock=clock)) == 17 - 6
    clock = Fake([1000 / 64])
    assert len(timed(clock.run, seconds=0.001, clock=clock)) == 5


def test_quantiles_are_those_of_the_times():
    assert quantiles([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx((3.0, 1.4, 4.6, 4.8))


def made(median: float, spread: float) -> Latency:
    low, high = median * (1 - spread / 2), median * (1 + spread / 2)
    return Latency(median, low, high, high, 9, 1, 1, "cpu")


def offer(*latencies: Latency):
    left = list(latencies)
    return lambda: left.pop(0)


@pytest.mark.parametrize(
    ("offered", "expected"),
    [
        ([made(10, 0.2), made(1, 0)], 10),  # steady: measured once
        ([made(10, 3.5), made(7, 0.3), made(1, 0)], 7),
        ([made(10, 0.7), made(7, 9.0)], 10),  # the second was no steadier
    ],
)
def test_a_wide_spread_is_measured_once_more(offered, expected):
    assert steadied(offer(*offered)).median == expected


def test_a_figure_that_stays_noisy_is_marked():
    latency = steadied(offer(made(10, 0.7), made(7, 0.9)))
    assert latency.noisy
    assert noisy(latency.metrics())
    assert latency.metrics()["latency_spread"] == pytest.approx(0.7)
    assert not noisy(made(10, 0.2).metrics())
    assert not noisy({"accuracy": 1.0})


def test_the_slowest_steady_measurement_confirms():
    slowest = confirmed(offer(made(5, 0.1), made(6, 0.1), made(4, 0.1)))
    assert slowest.median == 6
    noise = [made(5, 0.1), made(60, 0.9), made(60, 0.8), made(4, 0.1)]
    assert confirmed(offer(*noise)).median == 5
    wild = [made(9, 0.9), made(9, 0.9), made(5, 0.9), made(5, 0.9), made(7, 0.9), made(7, 0.9)]
    assert confirmed(offer(*wild)).median == 7
