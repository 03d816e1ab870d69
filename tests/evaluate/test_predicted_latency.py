"""Latency by a predictor as an evaluator."""

from __future__ import annotations

import pytest

import archsmith as nas
from archsmith._support.trees import TensorSpec
from archsmith.evaluate import Price, Stages, evaluators
from archsmith.evaluate.predicted_latency import PredictedLatencyEvaluator
from archsmith.hardware.options import LatencyOptions
from archsmith.hardware.predictor import LatencyPredictor, holds_for
from archsmith.hardware.sampling import distinct
from archsmith.study import check_limits
from archsmith.testing.evaluator import EvaluatorContract
from archsmith.zoo.convnet import convnet

SPACE = nas.Space(convnet, channels=1, classes=10, height=8, width=8)


def params(architecture: nas.Architecture) -> float:
    return float(sum(p.numel() for p in SPACE.build(architecture, device="meta").parameters()))


def made() -> LatencyPredictor:
    options = LatencyOptions(batch=4, threads=2)
    predictor = LatencyPredictor(SPACE, holds_for(SPACE, TensorSpec((1, 1, 8, 8)), "cpu", options))
    drawn = distinct(SPACE, 12)
    predictor.fit(drawn, [1.0 + params(a) / 1e4 for a in drawn])
    return predictor


class TestPredictedLatencyEvaluator(EvaluatorContract):
    space, evaluator = SPACE, PredictedLatencyEvaluator(made())


@pytest.mark.slow
def test_a_trial_says_how_far_its_latency_can_be_believed():
    evaluator = PredictedLatencyEvaluator(made())
    found = evaluator.evaluate(SPACE.default(), nas.Fidelity(), 0, nas.Watch())
    assert found["latency_ms"] == float(evaluator.predictor.predict([SPACE.default()])[0])
    assert found["latency_error"] == evaluator.predictor.error > 0
    assert (found["latency_batch"], found["latency_threads"]) == (4.0, 2.0)


def test_it_is_registered_and_static():
    assert evaluators.get("predicted-latency") is PredictedLatencyEvaluator
    assert PredictedLatencyEvaluator.price is Price.STATIC


@pytest.mark.slow
def test_a_search_starts_from_an_architecture_that_keeps_a_predicted_limit():
    evaluator = PredictedLatencyEvaluator(made())
    default = float(evaluator.predictor.predict([SPACE.default()])[0])
    limit = nas.Limit("latency_ms", "<=", 0.97 * default)
    reach = check_limits(SPACE, Stages([evaluator]), [limit])
    assert reach.kept is not None
    assert evaluator.predictor.predict([reach.kept])[0] <= limit.bound
