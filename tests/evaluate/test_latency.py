"""Latency: what is counted, how long it may take, and what is left behind."""

import time

import pytest
import torch
from torch import Tensor, nn

from archsmith.errors import InputError
from archsmith.evaluate import Price, Watch, evaluators
from archsmith.evaluate import latency as module
from archsmith.evaluate.latency import Latency, LatencyEvaluator, device_name, measure_latency
from archsmith.space import Space
from archsmith.testing.evaluator import EvaluatorContract
from archsmith.trial import Fidelity
from archsmith.zoo.convnet import convnet

DIGITS = Space(convnet, channels=1, classes=10, height=8, width=8)


class TestLatencyEvaluator(EvaluatorContract):
    space, repeatable = DIGITS, False
    evaluator = LatencyEvaluator(DIGITS, (1, 1, 8, 8), seconds=0.02)


class Sleeps(nn.Module):
    """Takes a known time; remembers how it was called."""

    def __init__(self, seconds: list[float]) -> None:
        super().__init__()
        self.seconds, self.calls = seconds, 0
        self.seen: list[tuple[int, int, bool, bool]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append((len(x), torch.get_num_threads(), self.training, x.requires_grad))
        time.sleep(self.seconds[min(self.calls, len(self.seconds) - 1)])
        self.calls += 1
        return x


def test_the_median_is_the_time_of_a_run_and_the_warm_up_does_not_count():
    model = Sleeps([0.05, 0.03, 0.02, 0.005])
    latency = measure_latency(model, torch.zeros(1, 4), runs=20, seconds=1.0)
    assert 5 <= latency.median < 8
    assert latency.p95 < 15
    assert latency.p10 <= latency.median <= latency.p90 <= latency.p95
    assert latency.runs == 20
    assert model.calls >= 20 + 6


def test_it_is_limited_in_time_but_runs_five_times_at_least():
    model = Sleeps([0.02])
    start = time.perf_counter()
    latency = measure_latency(model, torch.zeros(1, 4), runs=10_000, seconds=0.3)
    assert time.perf_counter() - start < 0.6
    assert 5 <= latency.runs < 20
    assert measure_latency(model, torch.zeros(1, 4), seconds=0.001).runs == 5


def test_batch_threads_and_modes_are_set_and_set_back():
    model = Sleeps([0.0]).train()
    before = torch.get_num_threads()
    latency = measure_latency(model, torch.zeros(3, 4), batch=8, threads=before + 1, seconds=0.01)
    assert set(model.seen) == {(8, before + 1, False, False)}
    assert (latency.batch, latency.threads) == (8, before + 1)
    assert latency.device == device_name("cpu") != ""
    assert torch.get_num_threads() == before
    assert model.training


def test_threads_are_set_back_after_a_failure():
    before = torch.get_num_threads()
    with pytest.raises(RuntimeError):
        measure_latency(nn.Linear(3, 3), torch.zeros(1, 4), threads=before + 1)
    assert torch.get_num_threads() == before


def test_more_work_takes_longer():
    small, large = (nn.Sequential(nn.Linear(n, n), nn.Linear(n, n)) for n in (16, 2048))
    quick = measure_latency(small, torch.zeros(1, 16), seconds=0.1)
    slow = measure_latency(large, torch.zeros(1, 2048), seconds=0.1)
    assert slow.median > 3 * quick.median


def made(median: float, p10: float, p90: float) -> Latency:
    return Latency(median, p10, p90, p90, 9, 1, 1, "cpu")


@pytest.mark.parametrize(
    ("offered", "expected"),
    [
        ([made(10, 9, 11), made(1, 1, 1)], 10),  # steady: measured once
        ([made(10, 5, 40), made(7, 6, 8), made(1, 1, 1)], 7),
        ([made(10, 8, 15), made(7, 1, 80)], 10),  # the second was no steadier
    ],
)
def test_a_wide_spread_is_measured_once_more(monkeypatch, offered, expected):
    left = list(offered)
    monkeypatch.setattr(module, "measure_latency", lambda *_, **__: left.pop(0))
    evaluator = LatencyEvaluator(DIGITS, (1, 1, 8, 8))
    metrics = evaluator.evaluate(DIGITS.default(), Fidelity(), 0, Watch())
    assert metrics["latency_ms"] == expected


@pytest.mark.parametrize("device", ["cuda:99", "meta", "no such device"])
def test_a_device_that_is_not_there_is_refused_early(device):
    with pytest.raises(InputError, match="device"):
        LatencyEvaluator(DIGITS, (1, 1, 8, 8), device=device)


@pytest.mark.parametrize("name", ["batch", "threads", "runs"])
def test_numbers_below_one_are_refused(name):
    with pytest.raises(InputError, match=name):
        measure_latency(nn.ReLU(), torch.zeros(1, 4), **{name: 0})


def test_it_is_registered_and_dearer_than_static_costs():
    assert evaluators.get("latency") is LatencyEvaluator
    assert Price.STATIC < LatencyEvaluator.price < Price.TRAINED


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_is_waited_for():
    model = nn.Sequential(*(nn.Linear(4096, 4096) for _ in range(20)))
    latency = measure_latency(model, torch.zeros(1, 4096), device="cuda", batch=4096)
    work = 2 * 20 * 4096**3  # operations; no GPU does 1,000 of them a picosecond in float32
    assert latency.median > work / 1e15 * 1e3
    assert not next(model.parameters()).is_cuda
    assert latency.device == torch.cuda.get_device_name()


def test_a_trial_says_what_it_was_measured_with():
    evaluator = LatencyEvaluator(DIGITS, (1, 1, 8, 8), batch=3, threads=2, seconds=0.01)
    metrics = evaluator.evaluate(DIGITS.default(), Fidelity(), 0, Watch())
    assert (metrics["latency_batch"], metrics["latency_threads"]) == (3.0, 2.0)
    assert set(metrics) == set(evaluator.provides)
