"""Evaluators of a user's own: by name, and in place of the training of finalists."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import archsmith as nas
from archsmith._support.errors import InputError, UnknownNameError
from archsmith._support.weights import snapshot
from archsmith.evaluate import Price
from archsmith.evaluate.training import TrainingEvaluator
from archsmith.task.problem import open_problem
from archsmith.workflow.evaluator import named_evaluator


def net(features: int, classes: int) -> nn.Module:
    width = nas.choose("width", [4, 8])
    return nn.Sequential(nn.Linear(features, width), nn.Tanh(), nn.Linear(width, classes))


class Own(nas.Evaluator):
    """Says that wide is good."""

    name = "own"
    price = Price.TRAINED

    @property
    def provides(self):
        return ("accuracy",)

    def evaluate(self, architecture, fidelity, seed, watch):
        return {"accuracy": architecture["width"] / 10}


class OwnLoop(Own, nas.Trainer):
    """Trains by the perceptron's rule of nobody: weights of one."""

    name = "own-loop"

    def __init__(self) -> None:
        self.trained: list[tuple[int, int]] = []

    def train(self, architecture, seed, fidelity=None, on_epoch=None, start=None):
        self.trained.append((architecture["width"], seed))
        model = nas.Space(net, features=4, classes=3).build(architecture, seed=seed)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(1.0)
        metrics = {"accuracy": 1 / 3, "loss": math.log(3)}
        if on_epoch is not None:
            on_epoch({"epoch": 1.0, **metrics})
        return nas.Trained(snapshot(model), 1, metrics, [{"epoch": 1.0, **metrics}])


def test_an_own_loop_trains_the_finalists(tmp_path):
    own = OwnLoop()
    result = nas.search(net, "iris", evaluator=own, trials=2, finalists=1, run=tmp_path / "run")
    assert {width for width, _ in own.trained} == {4, 8}
    assert result.best is not None
    assert all(bool((value == 1).all()) for value in result.best.model.state_dict().values())
    assert result.best.metrics["params"] > 0
    with pytest.raises(InputError, match="own-loop"):
        nas.Run(tmp_path / "run").train(0)
    again = nas.Run(tmp_path / "run", evaluator=own).train(0)
    assert again.validation == {"accuracy": 1 / 3, "loss": math.log(3)}


def test_an_evaluator_that_cannot_train_is_told_of():
    doubts: list[str] = []
    listener = nas.Listener(doubt=doubts.append)
    search = {"evaluator": Own(), "trials": 1, "final_epochs": 1, "listener": listener}
    nas.search(net, "iris", **search, finalists=1)
    assert "own does not train finalists" in doubts[0]
    nas.search(net, "iris", **search, finalists=0)
    assert len(doubts) == 1


def test_evaluators_are_made_by_name():
    problem = open_problem(net, "iris")
    assert isinstance(named_evaluator("training", problem), TrainingEvaluator)
    own = named_evaluator(f"{__file__}:Own", problem)
    assert own is not None
    assert own.name == "own"
    assert named_evaluator(None, problem) is None
    with pytest.raises(UnknownNameError, match="training"):
        named_evaluator("trainig", problem)
    with pytest.raises(InputError, match="created from a problem alone"):
        named_evaluator("table", problem)
    with pytest.raises(InputError, match=r"a subclass of nas\.Evaluator"):
        named_evaluator(f"{__file__}:net", problem)


def test_the_command_line_names_evaluators_and_executors(archsmith, tmp_path):
    search = ["search", "iris", "--space", f"{__file__}:net", "--trials", "2", "--finalists", "0"]
    done = archsmith(*search, "--evaluator", f"{__file__}:Own", "--run", tmp_path / "run")
    assert done.status == 0, done.err
    assert "0.8" in done.out
    wrong = archsmith(*search, "--executor", "locl", "--run", tmp_path / "other")
    assert wrong.status == 2
    assert "did you mean 'local'" in wrong.err
