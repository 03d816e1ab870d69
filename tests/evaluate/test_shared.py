"""Judging by shared weights: the evaluator's contract, and known answers."""

from __future__ import annotations

import random

import pytest
import torch
from torch import nn

import archsmith as nas
from archsmith.evaluate.base import TrialFailed, Watch
from archsmith.evaluate.shared import SharedWeightsEvaluator
from archsmith.history.trial import Fidelity
from archsmith.task.base import ReadOptions
from archsmith.testing.evaluator import EvaluatorContract
from archsmith.train import score


def builder(channels: int = 1, classes: int = 10) -> nn.Module:
    width = nas.choose("width", [4, 8])
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64 * width, classes),
    )


def plain(channels: int = 1, classes: int = 10) -> nn.Module:
    width = nas.choose("width", [4, 8])
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, classes))


def evaluator(space: nas.Space, file: str = "", **more: object) -> SharedWeightsEvaluator:
    task = "image-classification"
    return SharedWeightsEvaluator(space, file, "digits", ReadOptions(), task, **more)


SPACE = nas.Space(builder)


@pytest.fixture(scope="class", autouse=True)
def saved(request, tmp_path_factory) -> None:
    """Weights go to another process by a file."""
    if request.cls is TestSharedWeights:
        file = tmp_path_factory.mktemp("shared") / "net.safetensors"
        nas.Supernet(SPACE).save(file)
        request.cls.evaluator = evaluator(SPACE, str(file))


class TestSharedWeights(EvaluatorContract):
    space = SPACE


def test_without_statistics_it_is_the_extracted_models_score():
    space = nas.Space(plain)
    judge = evaluator(space, supernet=nas.Supernet(space))
    for seed in range(2):
        architecture = space.sample(random.Random(seed))
        alone = judge.supernet.extract(architecture)
        data = judge.data
        scored = score(alone, judge.task, data.validation, data.facts)
        expected = {name: scored[name] for name in judge.provides}
        assert judge.evaluate(architecture, Fidelity(), 0, Watch()) == expected


def test_recalibration_makes_up_for_wrong_statistics():
    net = nas.Supernet(SPACE)
    right = evaluator(SPACE, supernet=net).judge(SPACE.default(), 1024)
    for _, buffer in net.named_buffers():
        if buffer.is_floating_point():
            buffer.fill_(50.0)
    wrong = evaluator(SPACE, supernet=net)
    assert wrong.judge(SPACE.default(), 1024) == right
    assert wrong.judge(SPACE.default(), 0) != right


def test_weights_that_are_not_finite_fail_the_trial():
    net = nas.Supernet(SPACE)
    with torch.no_grad():
        next(net.parameters()).fill_(float("nan"))
    with pytest.raises(TrialFailed, match="loss nan"):
        evaluator(SPACE, supernet=net).evaluate(SPACE.default(), Fidelity(), 0, Watch())
