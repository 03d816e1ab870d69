"""Latency of an architecture as an evaluator."""

from __future__ import annotations

import pytest

from archsmith._support.errors import InputError, MissingExtraError
from archsmith.evaluate import Price, Watch, evaluators
from archsmith.evaluate.latency import LatencyEvaluator
from archsmith.hardware import runtimes
from archsmith.hardware.options import LatencyOptions
from archsmith.history.trial import Fidelity
from archsmith.space import Space
from archsmith.testing.evaluator import EvaluatorContract
from archsmith.zoo.convnet import convnet

DIGITS = Space(convnet, channels=1, classes=10, height=8, width=8)


class TestLatencyEvaluator(EvaluatorContract):
    space, repeatable = DIGITS, False
    evaluator = LatencyEvaluator(DIGITS, (1, 1, 8, 8), options=LatencyOptions(seconds=0.02))


@pytest.mark.parametrize("device", ["cuda:99", "meta", "no such device"])
def test_a_device_that_is_not_there_is_refused_early(device):
    with pytest.raises(InputError, match="device"):
        LatencyEvaluator(DIGITS, (1, 1, 8, 8), device=device)


def test_a_runtime_that_is_not_there_is_refused_early(monkeypatch):
    monkeypatch.setattr(runtimes, "has_onnx", lambda: False)
    with pytest.raises(MissingExtraError, match="pip install"):
        LatencyEvaluator(DIGITS, (1, 1, 8, 8), options=LatencyOptions(runtime="onnx"))


def test_it_is_registered_and_dearer_than_static_costs():
    assert evaluators.get("latency") is LatencyEvaluator
    assert Price.STATIC < LatencyEvaluator.price < Price.TRAINED


def test_a_trial_says_what_it_was_measured_with():
    options = LatencyOptions(batch=3, threads=2, seconds=0.01)
    evaluator = LatencyEvaluator(DIGITS, (1, 1, 8, 8), options=options)
    metrics = evaluator.evaluate(DIGITS.default(), Fidelity(), 0, Watch())
    assert (metrics["latency_batch"], metrics["latency_threads"]) == (3.0, 2.0)
    assert set(metrics) == set(evaluator.provides)
