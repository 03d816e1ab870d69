"""From what a user says to objectives, limits and seconds; settings and finalists."""

from __future__ import annotations

import pytest
from torch import nn

import archsmith as nas
from archsmith.history.trial import History, State, Trial
from archsmith.task import task
from archsmith.task.goals import limits_of, objectives_of, seconds_of
from archsmith.task.problem import open_problem, open_space
from archsmith.workflow.finalists import best_trials

IMAGES = task("image-classification")


def test_the_tasks_own_metric_comes_first_where_none_is_named():
    assert objectives_of(IMAGES) == (nas.Objective("accuracy", "maximize"),)
    assert [o.metric for o in objectives_of(IMAGES, minimize="params")] == ["accuracy", "params"]
    assert [o.metric for o in objectives_of(IMAGES, minimize=["loss", "params"])] == [
        "loss",
        "params",
    ]
    with pytest.raises(nas.InputError, match="one direction"):
        objectives_of(IMAGES, "accuracy", "accuracy")


def test_limits_from_a_mapping_take_the_sign_of_the_metric():
    found = limits_of(IMAGES, {"params": 1000, "accuracy": 0.9})
    assert [str(limit) for limit in found] == ["params<=1000", "accuracy>=0.9"]
    assert limits_of(IMAGES, "params<=1k") == (nas.Limit("params", "<=", 1000.0),)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("10m", 600), ("1h30m", 5400), ("1.5m", 90), (2.5, 2.5), ("1h30s", 3630)],
)
def test_times(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "10 minutes", "-3", "1h30", "10m30"])
def test_times_that_cannot_be_read(text):
    with pytest.raises(nas.InputError):
        seconds_of(text)


def test_a_builder_gets_what_it_asks_for_by_name():
    def net(classes: int, width: int = 3) -> nn.Module:
        return nn.Linear(width, classes)

    offered = {"channels": 1, "classes": 10}
    assert open_space(net, offered).arguments == {"classes": 10}
    assert open_space(net, offered, {"width": 5}).arguments == {"classes": 10, "width": 5}

    def greedy(**given: int) -> nn.Module:
        return nn.Linear(given["channels"], given["classes"])

    assert open_space(greedy, offered).arguments == offered


def test_settings_are_json_that_opens_again():
    import json

    from archsmith.workflow.reopening import reopen

    first = open_problem(None, "iris", epochs=3)
    plain = json.loads(json.dumps(first.to_json() | {"arguments": first.space.arguments}))
    again = reopen(plain)
    assert again.fidelity == first.fidelity
    assert again.recipe == first.recipe
    assert again.space.fingerprint == first.space.fingerprint
    assert (again.data.train.inputs == first.data.train.inputs).all()


def test_finalists_are_the_best_that_keep_the_limits_each_once():
    history = History([nas.Objective("accuracy", "maximize")], [nas.Limit("params", "<=", 10)])
    rows = [(0.5, 1, "a"), (0.9, 99, "b"), (0.7, 5, "c"), (0.8, 5, "c"), (0.6, 5, "d")]
    for number, (accuracy, params, name) in enumerate(rows):
        trial = Trial(number, nas.Architecture({"x": name}), state=State.FINISHED)
        trial.metrics = {"accuracy": accuracy, "params": params}
        history.add(trial)
        history.close(trial)
    assert [t.number for t in best_trials(history, 2)] == [3, 4]
